"""Tests of devices.py."""

import jax
import jax.numpy as jnp
import pytest

from bigan_jax.machine import devices


@pytest.mark.parametrize("error, reason", [
    (AssertionError(), f"JAX_PLATFORMS is {jax.config.jax_platforms}"),
    (RuntimeError("Unable to initialize backend 'tpu': no libtpu.so. (set JAX_PLATFORMS='' to"
                  " automatically choose an available backend)\nand more"),
     "Unable to initialize backend 'tpu': no libtpu.so"),
])
def test_a_device_that_is_missing(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  def start() -> None:
    raise error
  monkeypatch.setattr(jax, "devices", start)
  with pytest.raises(OSError) as found:
    devices.check()
  assert str(found.value) == (
      f"JAX finds no such device ({reason}): set JAX_PLATFORMS=cpu, or install jax for it."
  )


def test_usual_types_whatever_was_switched() -> None:
  def sum_of_mixed() -> jax.Array:
    return jnp.zeros(3) + jnp.ones((2, 3), jnp.int32)
  with (jax.enable_x64(True), jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise")):
    with pytest.raises((TypeError, ValueError)):
      sum_of_mixed()
    assert devices.usual_types()(sum_of_mixed)().dtype == jnp.float32
