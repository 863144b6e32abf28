"""What any operator needs: client, watches, cache, work queue, leader election, probes, logs.

Knows Kubernetes, kopf and asyncio, and nothing of RiskPredictors: what is particular to them
(kinds, selectors, what to keep of an object) is passed in by ``controller``.
"""
