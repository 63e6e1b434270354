"""How like pictures samples are, over features that need no download: compared as a whole.

Numbers of networks at each evaluation that the paper has are in evaluation/metrics.py.
"""
