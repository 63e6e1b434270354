"""The z whose G(z) is most like a picture, searched by its gradient from E(x) on.

As StyleGAN's projector (github.com/NVlabs/stylegan2-ada-pytorch), which has no E to start from, and
compares by a network that it downloads; here D does.
"""

from collections.abc import Callable
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bigan_jax.data.preprocess import shrink, to_native
from bigan_jax.evaluation import pictures, walks
from bigan_jax.evaluation.anomaly import measuring, scores
from bigan_jax.exchange import loaded
from bigan_jax.runs import outputs

STEPS = 100
RATE = 0.1  # of Adam at first; it falls to 0 by a cosine
TINY = 1e-12
NAMES = ("target.png", "encoded.png", "projected.png")  # x, G(E(x)), G(z), as large as they are
SHEET, CODES = "projection.png", "z.npz"
Errors = dict[str, jax.Array]


class Projection(NamedTuple):
  """What was found for B pictures.

  z: float32 [B, d]. code: E(x), [B, d].
  before, after: {error: [B]} of G(E(x)) and of G(z), see `errors`.
  x, encoded, picture: x as G would make it, G(E(x)), G(z): uint8 [B, *image_shape].
  """

  z: np.ndarray
  code: np.ndarray
  before: dict[str, np.ndarray]
  after: dict[str, np.ndarray]
  x: np.ndarray
  encoded: np.ndarray
  picture: np.ndarray


def project(model: loaded.Model, images: Any, steps: int = STEPS) -> Projection:
  """Searches z from E(x) on, by Adam, each picture for itself; the best z on the way is kept.

  What falls is the mean of the `errors`, each divided by its value at E(x). Where p(z) is uniform,
  z is kept within -1 and 1.

  Args:
    images: one or more, all seen at once: files, or what `model.preprocess` takes.

  Raises:
    ValueError: there is no E, or a picture cannot be read; steps < 1.
  """
  if steps < 1:
    raise ValueError(f"A search of {steps} steps finds nothing: take 1 or more.")
  seen = measuring.read_all(images, model.view)
  code, small = walks.codes(model, seen), shrink(jnp.asarray(seen), model.image_shape[0])
  x = to_native(small, model.value_range)
  z, before, after = jax.tree.map(np.asarray, _search(model, steps)(x, code))
  made = (walks.generate(model, codes) for codes in (code, z))
  return Projection(z, code, before, after, np.asarray(small), *made)


def errors(model: loaded.Model, x: jax.Array, code: jax.Array) -> Callable[[jax.Array], Errors]:
  """A function of z [B, d]: {error: [B]} of G(z), the scores of these names of `anomaly`.

  "pixels" are mean |x - G(z)|, "features" mean |f(x, E(x)) - f(G(z), E(x))| of the last hidden
  layer f of D; there are none without D.

  Args:
    x: [B, *image_shape] in the native range. code: E(x), [B, d].
  """
  given = (code,) if "z" in loaded.judged_shapes(model.config) else ()
  features = lambda x: model.D(x, *given)[1][model.hidden_layer]
  real = features(x) if "D" in model.sizes else None
  def of(z: jax.Array) -> Errors:
    made = model.G(z)
    found = {"pixels": scores.mean_distance(x, made)}
    if real is not None:
      found["features"] = scores.mean_distance(real, features(made))
    return found
  return of


def _search(model: loaded.Model, steps: int) -> Callable[..., tuple[jax.Array, Errors, Errors]]:
  """A program of (x, E(x)) -> (z, errors at E(x), errors at z): all steps are one loop in it."""
  adam = optax.adam(optax.cosine_decay_schedule(RATE, steps))
  bound = 1.0 if walks.prior(model) == "uniform" else np.inf
  @jax.jit
  def search(x: jax.Array, code: jax.Array) -> tuple[jax.Array, Errors, Errors]:
    of = errors(model, x, code)
    def loss(z: jax.Array, first: Errors, i: jax.Array) -> tuple[jax.Array, tuple[_Best, Errors]]:
      found = of(z)
      now = jax.lax.stop_gradient(found)
      first = {name: jnp.where(i == 0, now[name], first[name]) for name in found}
      ratios = [found[name] / jnp.maximum(first[name], TINY) for name in found]
      each = sum(ratios) / len(ratios)
      return each.sum(), (_Best(each, z, found), first)  # A picture's gradient is that of its own.
    def step(state: tuple, i: jax.Array) -> tuple[tuple, None]:
      z, moments, best, first = state
      slope, (found, first) = jax.grad(loss, has_aux=True)(z, first, i)
      change, moments = adam.update(slope, moments)
      z = jnp.clip(z + change, -bound, bound)
      return (z, moments, _better(best, found), first), None
    nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(of, code))
    best = _Best(jnp.full(len(code), jnp.inf), code, nothing)
    start = code, adam.init(code), best, nothing
    with jax.default_matmul_precision("float32"):
      (_, _, best, first), _ = jax.lax.scan(step, start, jnp.arange(steps + 1))
    return best.z, first, best.errors
  return search


class _Best(NamedTuple):
  """The best so far of each picture, by what falls: loss [B], z [B, d], {error: [B]}."""

  loss: jax.Array
  z: jax.Array
  errors: Errors


def _better(a: _Best, b: _Best) -> _Best:
  """Of each picture the one whose loss is lower."""
  lower = b.loss < a.loss
  choose = lambda a, b: jnp.where(lower.reshape(-1, *(1,) * (a.ndim - 1)), b, a)
  return jax.tree.map(choose, a, b)


def write(model: loaded.Model, image: str, out: pathlib.Path, force: bool) -> str:
  """Projects the picture of a file; writes NAMES, SHEET and CODES to the folder `out`.

  Returns:
    The errors, before and after, in words.

  Raises:
    FileNotFoundError, ValueError: as `project`.
    FileExistsError: `out` is there.
  """
  with outputs.new_folder(out, force, outputs.only(*NAMES, SHEET, CODES)) as folder:
    found = project(model, [image])
    three = (found.x[0], found.encoded[0], found.picture[0])
    for name, picture in zip(NAMES, three, strict=True):
      pictures.save(picture, folder / name)
    title = f"x, G(E(x)), and G(z) after {STEPS} steps"
    pictures.save(pictures.titled(pictures.grid(np.stack(three), 3), title), folder / SHEET)
    numbers = {f"{name}_{when}": value[0] for when, errors in
               (("before", found.before), ("after", found.after)) for name, value in errors.items()}
    np.savez(folder / CODES, z=found.z[0], code=found.code[0], **numbers)
  return summary(model, found)


def summary(model: loaded.Model, found: Projection) -> str:
  """The errors of the first picture: a line each."""
  what = {"pixels": "mean |x - G(z)| of pixels",
          "features": f"the same of D's {model.hidden_layer}"}
  lines = [f"{text}: {found.before[name][0]:.4g} at E(x), {found.after[name][0]:.4g} after {STEPS} "
           "steps" for name, text in what.items() if name in found.before]
  lines += [] if "features" in found.before else ["There is no D: pixels alone were compared."]
  return "\n".join(lines)
