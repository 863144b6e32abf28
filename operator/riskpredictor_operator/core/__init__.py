"""Pure functions: what a spec asks for, how it differs from what is there, and what to report.

Plain data in, plain data out: no kopf, no Kubernetes client, no I/O, no clock, no randomness, no
logging, no global state.
"""
