"""Talks to Kubernetes: client, watch, cache, queue, leader election. Knows no RiskPredictors."""
