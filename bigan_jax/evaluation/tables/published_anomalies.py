"""Published numbers of anomaly detection, in percent, with where they were read.

Only what was read in the paper, or in others that quote it, is here; numbers from memory are not.
"""

from typing import NamedTuple


class Published(NamedTuple):
  """A published row.

  name: the method. cells: {class: percent, with the spread if one is printed}.
  mean: over all classes, as it is printed; "" where it is not. source: where it was read.
  """

  name: str
  cells: dict[int, str]
  mean: str
  source: str


def _digits(name: str, source: str, *cells: str) -> Published:
  return Published(name, dict(zip((1, 4, 5, 7, 9), cells, strict=True)), "", source)


def _classes(name: str, mean: str, source: str, *cells: float) -> Published:
  return Published(name, {i: f"{cell:g}" for i, cell in enumerate(cells)}, mean, source)


MEG, EBM = "arXiv 1901.08508, Table 4", "multi-layer latent EBM, 2023, Table 3"
BARS = "arXiv 1812.02288, its bars as a reproduction read them"
AGAD = "as quoted in the paper of AGAD, Table 1"

MNIST = (  # AUPR; the digit is 9 to 11 % of the test
    _digits("VAE", MEG, "6.3", "33.7", "32.5", "14.8", "10.4"),
    _digits("EGBAD", MEG, "28.7 ± 2.3", "44.3 ± 2.9", "51.4 ± 2.9", "34.7 ± 1.7", "30.7 ± 2.8"),
    _digits("MEG", MEG, "28.1 ± 3.5", "40.1 ± 6.1", "40.2 ± 6.2", "29.0 ± 4.0", "34.2 ± 3.4"),
    _digits("latent EBM", EBM, "33.6 ± 0.8", "63.0 ± 1.7", "61.9 ± 1.3", "46.3 ± 0.9",
            "41.3 ± 1.0"),
    _digits("HVAE", EBM, "49.4", "92.0", "91.3", "68.0", "79.1"),
    _digits("multi-layer latent EBM", EBM, "72.2", "94.9", "98.0", "94.1", "93.5"),
)
CIFAR10 = (  # AUROC; one class is normal
    _classes("ALAD", "", BARS, 68, 46, 63, 62, 67, 53, 78, 52, 77, 42),
    _classes("AnoGAN", "61.2", AGAD, 64, 56.5, 64.8, 52.8, 67, 59.2, 62.5, 57.6, 72.3, 58.2),
    _classes("OCGAN", "65.6", AGAD, 75.7, 53, 64, 62, 72.3, 62, 72.3, 57.5, 82, 55.4),
    _classes("GeoTrans", "86.0", AGAD, 74.7, 95.7, 78.1, 72.4, 87.8, 87.8, 83.4, 95.5, 93.3, 91.3),
)
# Pictures of each digit in all of MNIST: 60,000 and 10,000.
DIGITS = (6_903, 7_877, 6_990, 7_141, 6_824, 6_313, 6_876, 7_293, 6_825, 6_958)


def released_share(digit: int) -> float:
  """Share of anomalies in the test of EGBAD's released code.

  All pictures of the digit, and a fifth of all others.
  """
  others = (sum(DIGITS) - DIGITS[digit]) / 5
  return DIGITS[digit] / (DIGITS[digit] + others)
