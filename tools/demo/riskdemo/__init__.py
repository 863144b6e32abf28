"""Demonstrations on a real cluster: what they share."""
