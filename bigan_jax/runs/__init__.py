"""The run folder: checkpoints, rows, pictures and results, each written whole or not at all.

What is in them is decided by those who write: nothing here knows networks or pictures.
"""
