"""Patient-risk prediction server: trains a model, proves it, and serves it over HTTP."""

__version__ = "0.1.0"
