"""The devices that JAX was told to use, or one sentence where there are none."""

import jax


def check() -> None:
  """Starts JAX's backend, which otherwise happens somewhere within the first computation.

  Where processes train as one they must have met before.

  Raises:
    OSError: it does not start; JAX raises RuntimeError, AssertionError and others.
  """
  try:
    jax.devices()
  except Exception as error:  # What plugins raise is up to them.
    asked = jax.config.jax_platforms
    reason = str(error).partition("\n")[0] or f"JAX_PLATFORMS is {asked}"
    raise OSError(
        f"JAX finds no such device ({reason}): set JAX_PLATFORMS=cpu, or install jax for it."
    ) from error
