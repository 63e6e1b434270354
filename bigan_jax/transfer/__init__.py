"""Trains with labels on top of an encoder (the paper's Tables 2 and 3); `jobs` names every job.

What only looks at a frozen network is in `evaluation`.
"""
