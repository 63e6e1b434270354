"""`python -m bigan_jax.benchmark`: the speed of a training step, beside what the machine can do."""
