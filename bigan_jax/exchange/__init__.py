"""What comes in and goes out: trained networks as files, functions and features.

How a training run keeps its own state is the room `runs`.
"""
