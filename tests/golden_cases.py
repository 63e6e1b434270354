"""What tests/golden_test.py holds to the authors' numbers, and how closely."""

from typing import NamedTuple

MNIST = {
    "family": "mlp", "latent_dim": 50, "value_range": (0.0, 1.0),
    "image_shape": (28, 28, 1), "encoder_shape": (28, 28, 1),
    "G": {"width": 64, "first_bn": True, "z_skip": True},
    "E": {"width": 64},
    "D": {"width": 64, "z_output": False},
}
IMAGENET = {
    "family": "dcgan", "latent_dim": 200, "value_range": (-1.0, 1.0),
    "image_shape": (64, 64, 3), "encoder_shape": (64, 64, 3),
    "G": {"width": 8, "z_skip": True},
    "E": {"first_bn": False},
    "D": {"width": 8, "z_output": False},
}
ALEXNET_D = {**IMAGENET, "family": "dcgan_alexnet_D", "D": {"first_bn": False}}


class Tie(NamedTuple):
  """An entry of a map that rounding decides: on which side of 0, or larger than its neighbour.

  update: in which it matters. norm, batches: the batch norm that gives the map, and how many
  batches that network stacks. entry: [b, y, x, c]. by: raises it to where it is in the stored run.
  """

  update: int
  norm: str
  batches: int
  entry: tuple[int, int, int, int]
  by: float


class Case(NamedTuple):
  """A golden run's settings, and how closely its later updates can be followed.

  Adam turns the rounding of near-zero gradients into whole steps, the more so in the convolutional
  networks: after one update everything agrees, after three only as far as these say.

  updates: how many are re-computed.
  weights: absolute tolerance of weights and their means after each, where a step is 2e-4.
  losses, samples: tolerances after the last, relative to the loss and to the largest pixel.
  ties: what `with_ties` raises.
  """

  objective: str
  model: dict
  updates: int = 3
  weights: tuple[float, ...] = (1e-6, 1e-6, 1e-6)
  losses: float = 1e-5
  samples: float = 5e-5
  ties: tuple[Tie, ...] = ()


CASES = {
    "mnist_bigan": Case("bigan", MNIST),
    "mnist_latent_regressor": Case("latent_regressor", MNIST),
    "imagenet_bigan": Case(
        "bigan", IMAGENET, weights=(1e-6, 2e-4, 2e-4), losses=5e-3, samples=1e-3
    ),
    "imagenet_highres_bigan": Case(
        "bigan", {**IMAGENET, "encoder_shape": (112, 112, 3)}, updates=0
    ),
    # The plain GAN, beside which the authors' run trains an E that touches neither G nor D. In its
    # second update two entries of a window of D's second pool are 3e-5 deviations apart. The other
    # wins in the stored run, which alone takes samples 3e-3 away, in float64 too; else 3e-6.
    # In its first update an entry of E's fourth map is 5e-7 in float64 and in the stored run, and
    # -2e-7 on CPUs without AVX-512, which alone takes E's loss 1.2e-4 away, and its weights 9e-6.
    # In the third one of D's last map is 2e-6, and below 0 where sums have another order (CPUs that
    # do not multiply and add at once), which takes samples 1e-4 away, and D's loss 7e-5.
    "imagenet_alexnet_gan": Case(
        "latent_regressor", ALEXNET_D, weights=(1e-6, 1e-6, 5e-6), losses=5e-5,
        ties=(Tie(1, "conv2_bn", 2, (13, 1, 0, 23), 1e-4),
              Tie(0, "conv4_bn", 1, (0, 2, 0, 248), 1e-5),
              Tie(2, "conv5_bn", 2, (14, 3, 3, 199), 1e-5)),
    ),
}
