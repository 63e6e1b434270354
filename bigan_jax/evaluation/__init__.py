"""Judges a frozen network: metrics, probes, neighbours, pictures, and the jobs that call them.

Nothing here changes a weight; what trains on top of an encoder is in `transfer`.
"""
