"""The RiskPredictor operator: keeps predictor Deployments, Services and autoscalers as declared."""

__version__ = "0.1.0"
