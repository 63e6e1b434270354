"""The paper's theorems (sections 3.1-3.3; l0 theorem: reference section 11) on finite spaces.

A joint distribution is a table of integer counts over (x, z): the mean over its atoms, each as
often as it is counted, is the exact expectation, so V and Lambda are the library's own.
"""

from collections.abc import Callable
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import rel_entr

from bigan_jax.data.batch import Batch
from bigan_jax.training.objectives import bigan, inverse_value, value

CHANCE = -np.log(4.0)  # C(G, E) at its global minimum
NEAR = 1e-4  # closer to the minimum than any pair that is not optimal
ROUNDING = 5e-6  # float32 means of about a hundred terms
CERTAIN = 60.0  # stands for the infinite logit of D* = 1: log sigmoid(60) = -9e-27
# p_X and p_Z as counts of one total, and the number of pairs (G, E) that reach the minimum.
CASES = pytest.mark.parametrize("p_X, p_Z, optima", [
    ([1, 1, 1], [1, 1, 1], 6), ([1, 2, 3], [3, 1, 2], 1), ([1, 1, 2], [1, 2, 1], 2),
    ([1, 2, 3], [2, 2, 2], 0), ([3, 3, 3, 3], [4, 4, 4], 0), ([2, 1, 3], [1, 2, 1, 2], 0),
    ([2, 2, 0], [0, 2, 2], 18)])  # E and G are free where there is no mass: 2 bijections * 3 * 3


def pair_counts(weights: list[int], x: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Counts [P, X, Z] of the pairs (x_s, z_s), s = 1..S, of given weights; x, z: [P, S] or [S]."""
  shape = x.max() + 1, z.max() + 1
  x, z = np.broadcast_arrays(x, z)
  table = np.zeros((len(x), *shape), int)
  np.add.at(table, (np.arange(len(x))[:, None], x, z), np.array(weights))
  return table


def every_pair(p_X: list[int], p_Z: list[int], g_X: list[int] | None = None,
               g_Z: list[int] | None = None) -> tuple[np.ndarray, ...]:
  """E: [P, X], G: [P, Z], p_EX and p_GZ: [P, X', Z'] of all deterministic pairs.

  p_EX is of (g_X(x), E(x)), p_GZ of (G(z), g_Z(z)); the generalised BiGAN's g_X and g_Z
  (reference section 11) are identities unless given.
  """
  seen_x = np.array(range(len(p_X)) if g_X is None else g_X)
  seen_z = np.array(range(len(p_Z)) if g_Z is None else g_Z)
  all_E = itertools.product(range(seen_z.max() + 1), repeat=len(p_X))
  all_G = itertools.product(range(seen_x.max() + 1), repeat=len(p_Z))
  E, G = (np.array(maps) for maps in zip(*itertools.product(all_E, all_G), strict=True))
  return E, G, pair_counts(p_X, seen_x, E), pair_counts(p_Z, G, seen_z)


def random_joints(seed: int) -> list[np.ndarray]:
  """p(x) p_E(z|x) and p(z) p_G(x|z) of 200 random stochastic E and G, as counts [P, X, Z]."""
  rng = np.random.default_rng(seed)

  def draw(given: int, made: int) -> np.ndarray:
    marginal = rng.multinomial(10, rng.dirichlet([1.0] * given, 200))
    return marginal[..., None] * rng.multinomial(12, rng.dirichlet([0.5] * made, (200, given)))
  return [draw(3, 4), draw(4, 3).swapaxes(1, 2)]


def probabilities(*tables: np.ndarray) -> list[np.ndarray]:
  return [table / table.sum((1, 2), keepdims=True) for table in tables]


def optimal_logits(EX: np.ndarray, GZ: np.ndarray) -> np.ndarray:
  """The logit of D* = p_EX / (p_EX + p_GZ), [P, X, Z]; 0 where neither has mass."""
  log_EX, log_GZ = (np.log(np.maximum(p, 1e-99)) for p in probabilities(EX, GZ))
  return np.clip(log_EX - log_GZ, -CERTAIN, CERTAIN)


def evaluate(objective: Callable, logits: jax.Array, EX: np.ndarray, GZ: np.ndarray) -> jax.Array:
  """An objective [P] of tabular discriminators, logits: [P, X, Z], by enumeration of all atoms."""
  def at_atoms(counts: np.ndarray) -> jax.Array:
    cells = np.indices((len(counts), counts[0].size))[1]
    atoms = np.repeat(cells.ravel(), counts.ravel()).reshape(len(counts), -1)
    return jnp.take_along_axis(jnp.asarray(logits, jnp.float32).reshape(cells.shape), atoms, 1)
  return jax.vmap(objective)(at_atoms(EX), at_atoms(GZ))


def C(EX: np.ndarray, GZ: np.ndarray) -> np.ndarray:
  """C(G, E) = max_D V(D, G, E) of each pair, [P]."""
  return np.asarray(evaluate(value, optimal_logits(EX, GZ), EX, GZ))


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
  """D_KL(p || q) in float64, [P]."""
  return rel_entr(p, q).sum((1, 2))


def theorem_1(EX: np.ndarray, GZ: np.ndarray) -> np.ndarray:
  """2 D_JS(p_EX, p_GZ) - log 4 in float64, [P]."""
  p, q = probabilities(EX, GZ)
  return divergence(p, (p + q) / 2) + divergence(q, (p + q) / 2) + CHANCE


def recovered(mass: list[int], there: np.ndarray, back: np.ndarray) -> np.ndarray:
  """1[there(s) has mass and back(there(s)) = s] for each point s, [P, S]."""
  returned = np.take_along_axis(back, there, 1) == np.arange(there.shape[1])
  return returned & (np.array(mass)[there] > 0)


def test_proposition_1_gradient_ascent_ends_at_the_closed_form() -> None:
  EX, GZ = np.array([[[1, 4, 2], [3, 1, 5]]]), np.array([[[2, 1, 2], [6, 1, 1]]])
  gradient = jax.grad(lambda logits: evaluate(value, logits, EX, GZ).sum())
  ascend = jax.jit(lambda d: jax.lax.fori_loop(0, 1000, lambda _, d: d + 8 * gradient(d), d))
  logits = ascend(jnp.zeros(EX.shape))
  np.testing.assert_allclose(gradient(logits), 0, atol=1e-6)
  p, q = probabilities(EX, GZ)
  np.testing.assert_allclose(jax.nn.sigmoid(logits), p / (p + q), atol=1e-5)
  np.testing.assert_allclose(evaluate(value, logits, EX, GZ), C(EX, GZ), atol=ROUNDING)


@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0])
def test_proposition_1_any_other_discriminator_is_worse(scale: float) -> None:
  EX, GZ = (table + 1 for table in random_joints(seed=1))  # mass everywhere: D* is unique
  noise = scale * np.random.default_rng(2).standard_normal(EX.shape)
  assert np.all(evaluate(value, optimal_logits(EX, GZ) + noise, EX, GZ) < C(EX, GZ) - 1e-3)


def test_theorem_1_of_stochastic_pairs() -> None:
  EX, GZ = random_joints(seed=3)
  np.testing.assert_allclose(C(EX, GZ), theorem_1(EX, GZ), atol=ROUNDING)
  assert np.all(C(EX, GZ) > CHANCE + NEAR)
  # Equal joints are optimal though nothing is inverted: Theorem 2 needs deterministic maps.
  np.testing.assert_allclose(C(EX, EX), CHANCE, atol=ROUNDING)
  np.testing.assert_array_equal(optimal_logits(EX, EX), 0)  # D* = 1/2 everywhere


def test_proposition_1_leaves_D_arbitrary_where_there_is_no_mass() -> None:
  EX, GZ = random_joints(seed=4)
  logits = np.where((EX == 0) & (GZ == 0), 1e4, optimal_logits(EX, GZ))
  assert (logits == 1e4).any()
  np.testing.assert_array_equal(evaluate(value, logits, EX, GZ), C(EX, GZ))


@CASES
def test_theorems_1_and_2_of_every_deterministic_pair(
    p_X: list[int], p_Z: list[int], optima: int) -> None:
  """The optima of V and Lambda: equal joints, so inverse maps that push p_X forward to p_Z."""
  E, G, EX, GZ = every_pair(p_X, p_Z)
  np.testing.assert_allclose(C(EX, GZ), theorem_1(EX, GZ), atol=ROUNDING)
  equal = (EX == GZ).all((1, 2))
  inverse = ((recovered(p_Z, E, G) | (np.array(p_X) == 0)).all(1)
             & (recovered(p_X, G, E) | (np.array(p_Z) == 0)).all(1))
  pushed = EX.sum(1)  # the push-forward of p_X by E, [P, Z]
  np.testing.assert_array_equal(equal, inverse & (pushed == p_Z).all(1))
  np.testing.assert_array_equal(equal, C(EX, GZ) < CHANCE + NEAR)
  inverse_values = evaluate(inverse_value, optimal_logits(EX, GZ), EX, GZ)
  np.testing.assert_array_equal(equal, inverse_values > CHANCE - NEAR)
  assert equal.sum() == optima


@pytest.mark.parametrize("n", [2, 3, 4])
def test_theorems_2_and_3_of_uniform_points(n: int) -> None:
  """The optima are exactly the inverse bijections; each point not recovered costs log(2) / n."""
  E, G, EX, GZ = every_pair([1] * n, [1] * n)
  best = C(EX, GZ) < CHANCE + NEAR
  found = sorted(zip(G[best].tolist(), E[best].tolist(), strict=True))
  assert found == [(list(g), np.argsort(g).tolist()) for g in itertools.permutations(range(n))]
  l0 = (~recovered([1] * n, E, G)).mean(1) + (~recovered([1] * n, G, E)).mean(1)
  np.testing.assert_allclose(C(EX, GZ), CHANCE + np.log(2) * l0, atol=ROUNDING)
  for maps in (E, G):  # Propositions 2-4: a collision loses a point on both sides
    collides = (np.diff(np.sort(maps), axis=1) == 0).any(1)
    np.testing.assert_allclose(l0[collides].min(), 2 / n)


@CASES
def test_theorem_3_value_is_an_l0_autoencoder_loss(
    p_X: list[int], p_Z: list[int], optima: int) -> None:
  """With D optimal, only exactly recovered points count, each with a negative term.

  Let f_EX = p_EX / (p_EX + p_GZ) = D* and f_GZ = 1 - f_EX, so that C(G, E) =
  E_x[log f_EX(x, E(x))] + E_z[log f_GZ(G(z), z)]. For deterministic G the mass of p_GZ at
  (x, E(x)) is p_Z(E(x)) 1[G(E(x)) = x]. Where that is zero, f_EX = 1 and the term is log 1 = 0.
  Elsewhere E(x) has mass, G(E(x)) = x and f_EX = p_X(x) / (p_X(x) + p_Z(E(x))) lies in (0, 1).
  The same holds for z with E and G exchanged (D* = 0 at unmatched z), hence
    C = E_x[1[E(x) in supp p_Z, G(E(x)) = x] log f_EX(x, E(x))]
      + E_z[1[G(z) in supp p_X, E(G(z)) = z] log f_GZ(G(z), z)].
  """
  E, G, EX, GZ = every_pair(p_X, p_Z)
  p, q = probabilities(EX, GZ)
  pair, xs, zs = np.arange(len(E))[:, None], np.arange(len(p_X)), np.arange(len(p_Z))
  l0_loss = np.zeros(len(E))
  for mass, x, z, density, again in ((p_X, xs, E, p, recovered(p_Z, E, G)),
                                     (p_Z, G, zs, q, recovered(p_X, G, E))):
    f = density[pair, x, z] / np.maximum((p + q)[pair, x, z], 1e-99)
    counts, missed = again & (np.array(mass) > 0), ~again & (np.array(mass) > 0)
    np.testing.assert_array_equal(f[missed], 1)
    assert np.all((f[counts] > 0) & (f[counts] < 1))
    l0_loss += np.log(f, where=counts, out=np.zeros(f.shape)) @ mass / sum(mass)
  np.testing.assert_allclose(C(EX, GZ), l0_loss, atol=ROUNDING)
  assert (l0_loss < CHANCE + NEAR).sum() == optima


def test_inverse_objective_of_stochastic_pairs_is_below_its_optimum() -> None:
  """At D*, Lambda = 2 D_JS - D_KL(p || q) - D_KL(q || p) - log 4, below -log 4 unless p = q."""
  EX, GZ = (table + 1 for table in random_joints(seed=5))  # mass everywhere: finite divergences
  p, q = probabilities(EX, GZ)
  expected = theorem_1(EX, GZ) - divergence(p, q) - divergence(q, p)
  inverse_values = evaluate(inverse_value, optimal_logits(EX, GZ), EX, GZ)
  np.testing.assert_allclose(inverse_values, expected, atol=ROUNDING)
  assert np.all(expected < CHANCE - NEAR)


@pytest.mark.parametrize("lead", [0.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("real, fake", [(1, 0), (0, -1)])
def test_inverse_objective_opposes_the_value_at_chance_and_keeps_its_slope_as_D_wins(
    lead: float, real: int, fake: int) -> None:
  """Section 3.3: slopes in D's logits (lead, -lead), on the real pair (E's) or the fake (G's)."""
  def ahead(step: float, objective: Callable) -> jax.Array:
    return objective(jnp.full(1, lead + step * real), jnp.full(1, step * fake - lead))
  mistaken = 1 / (1 + np.exp(lead))  # 1/2 at chance, 0 when D has won
  for objective, slope in ((value, mistaken), (inverse_value, mistaken - 1)):
    difference = (ahead(0.125, objective) - ahead(-0.125, objective)) / 0.25
    np.testing.assert_allclose(difference, slope, rtol=0.005)
    np.testing.assert_allclose(jax.grad(ahead)(0.0, objective), slope, rtol=1e-5)


@pytest.mark.parametrize("g_X, g_Z", [
    ([0, 1], [0, 1]), ([0, 0, 1, 1], [0, 1]), ([0, 1], [0, 1, 1, 0])])
def test_generalised_bigan_inverts_what_g_X_and_g_Z_keep(g_X: list[int], g_Z: list[int]) -> None:
  """At the optimum E(x) = b(g_X(x)) and G(z) = b^-1(g_Z(z)), b a bijection of the two points."""
  E, G, EX, GZ = every_pair([len(g_Z)] * len(g_X), [len(g_X)] * len(g_Z), g_X, g_Z)
  best = C(EX, GZ) < CHANCE + NEAR
  np.testing.assert_array_equal(E[best], [g_X, 1 - np.array(g_X)])
  np.testing.assert_array_equal(G[best], [g_Z, 1 - np.array(g_Z)])


def tabular_run(E: jax.Array, G: jax.Array, D: jax.Array) -> Callable:
  """The `run` of an objective on points: E: [X], G: [2], D: [X', 2]; the two z are -1 and 1."""
  def run(name: str, points: jax.Array) -> jax.Array:
    if name == "E":
      return CERTAIN * (2.0 * E[points] - 1)[:, None]  # logits of the codes -1 and 1
    return G[(points[:, 0] > 0).astype(int)]
  run.encode = lambda x: jnp.tanh(run("E", x) / 2)
  run.judge = lambda *pairs: [D[x, (z[:, 0] > 0).astype(int)] for x, z in pairs]
  return run


@pytest.mark.parametrize("g_X", [[0, 1], [0, 0, 1, 1]])  # the identity: the plain BiGAN
def test_bigan_objective_is_half_of_the_value_and_of_its_inverse(g_X: list[int]) -> None:
  E, G, EX, GZ = every_pair([1] * len(g_X), [1, 1], g_X)
  logits = np.random.default_rng(6).standard_normal(EX.shape).astype(np.float32)
  batch, z = Batch(np.array(g_X), np.arange(len(g_X))), np.array([[-1.0], [1.0]])
  losses = jax.jit(jax.vmap(lambda *maps: bigan(tabular_run(*maps), batch, z)))(E, G, logits)
  V, Lambda = (evaluate(objective, logits, EX, GZ) for objective in (value, inverse_value))
  for player, expected in (("D", -V / 2), ("G", -Lambda / 2), ("E", -Lambda / 2)):
    np.testing.assert_allclose(losses[player], expected, atol=ROUNDING)
