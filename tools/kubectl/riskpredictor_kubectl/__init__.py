"""The kubectl plug-in for RiskPredictors: ``kubectl riskpredictor``."""

__version__ = "0.1.0"
