"""The fetch step: copies a model artifact from a store into a folder, verified by its digest.

The server never imports this package. See ``transport.py`` for what a store's module provides.
"""
