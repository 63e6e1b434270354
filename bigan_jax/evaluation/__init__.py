"""Judges a frozen network: every metric of the paper and of the authors' code."""
