"""A real Kubernetes on one Linux machine, from source and Debian packages.

Standard library only: it has to run on a fresh machine, before any virtual environment exists.
"""
