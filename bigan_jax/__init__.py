"""Bidirectional GANs (Donahue, Kraehenbuehl, Darrell, "Adversarial Feature Learning") in JAX."""

__version__ = "0.1.0"
