"""Trains supervised networks on top of transferred layers: the paper's Tables 2 and 3."""
