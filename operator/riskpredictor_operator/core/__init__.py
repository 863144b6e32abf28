"""The pure heart: what should be, what is, what to do, what to say.

Charter: plain data in, plain data out. No kopf, no Kubernetes client, no I/O, no clock, no
randomness, no logging, no global state. Everything here can be tested by calling it.
"""
