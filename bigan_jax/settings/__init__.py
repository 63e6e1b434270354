"""What a config or a command line may say, and the sentence for who says something else.

Nothing here imports jax, so that a wrong flag is answered at once.
"""
