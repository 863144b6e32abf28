"""Generates the files that are derived from others: ``make reference``."""
