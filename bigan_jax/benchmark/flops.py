"""Counts the floating-point operations of the products in a program: what the model needs."""

from collections.abc import Callable
import math
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval


def products(function: Callable[..., Any], *args: Any) -> float:
  """Multiplications and additions in the matrix products and convolutions of function(*args).

  Of those whose result is used; whatever else a program does is some hundredths of that in these
  networks. Unlike XLA's own count this one multiplies a loop's body by its rounds, and leaves out
  the zeros that transposed convolutions are written with. Of code that depends on the platform,
  the cheapest form counts.
  """
  whole = jax.make_jaxpr(function)(*args).jaxpr
  used, _ = partial_eval.dce_jaxpr(whole, [True] * len(whole.outvars))
  return _of(used)


def _of(jaxpr: core.Jaxpr) -> float:
  return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn) -> float:
  name, params = equation.primitive.name, equation.params
  if name == "dot_general":
    return _dot(equation)
  if name == "conv_general_dilated":
    return _convolution(equation)
  if name == "cond":
    return min(_of(branch.jaxpr) for branch in params["branches"])
  inner = sum(_of(part) for part in _parts(params))
  return inner * params.get("length", 1) if name == "scan" else inner


def _parts(params: dict[str, Any]) -> list[core.Jaxpr]:
  """The programs that an equation runs: of calls, loops, derivatives."""
  found = [v.jaxpr if isinstance(v, core.ClosedJaxpr) else v for v in params.values()]
  return [part for part in found if isinstance(part, core.Jaxpr)]


def _dot(equation: core.JaxprEqn) -> float:
  (contracted, _), _ = equation.params["dimension_numbers"]
  left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
  return 2.0 * math.prod(out) * math.prod(left[axis] for axis in contracted)


def _convolution(equation: core.JaxprEqn) -> float:
  kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
  layout = equation.params["dimension_numbers"].rhs_spec  # (out, in, *spatial) axes of the kernel
  taps = math.prod(kernel[axis] for axis in layout[1:])
  return 2.0 * math.prod(out) * taps / math.prod(equation.params["lhs_dilation"])
