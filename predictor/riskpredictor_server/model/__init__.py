"""The model: its artifact, scorers, drift and audit."""
