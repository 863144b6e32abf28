"""Builds what a release hands out, and checks what it is made of."""
