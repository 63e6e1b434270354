"""The devices that JAX was told to use, or one sentence where there are none; how they reckon."""

from collections.abc import Iterator
import contextlib

import jax


@contextlib.contextmanager
def usual_types() -> Iterator[None]:
  """Float32 and JAX's own rules of promotion, whatever JAX_ENABLE_X64 and the like say.

  For what judges networks: its numbers are to be the same everywhere.
  """
  with (jax.enable_x64(False), jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow")):
    yield


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
    # JAX's own remedy, in brackets at its end, would be a second one.
    reason = str(error).partition("\n")[0].partition(" (set JAX_PLATFORMS=")[0]
    reason = reason.rstrip(".") or f"JAX_PLATFORMS is {asked}"
    raise OSError(
        f"JAX finds no such device ({reason}): set JAX_PLATFORMS=cpu, or install jax for it."
    ) from error
