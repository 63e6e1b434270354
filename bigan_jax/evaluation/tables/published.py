"""Published accuracies of features of photos, with how they were read out and where they stand.

Only what was read in the paper, or in notes that quote it, is here; numbers from memory are not.
"""

from typing import NamedTuple

Cells = tuple[float | str | None, float | str | None, float | str | None]
DIM = "Deep InfoMax, arXiv 1808.06670, an earlier version"
NOTES = "as quoted in notes on the paper"


class Published(NamedTuple):
  """A published row.

  name: the features.
  read_out: the classifier, in short.
  cells: percent on the last convolution, the last hidden layer, and the code.
  other: percent on other features.
  source: where it was read.
  """

  name: str
  read_out: str
  cells: Cells = (None, None, None)
  other: float | None = None
  source: str = DIM


MLP = "MLP"  # one hidden layer of 200 units
LINEAR = "linear"
NEIGHBOURS = "neighbours"
OTHERS = "other classifiers"
NOTE = (
    "Published MLP rows have rate and dropout chosen on the test set, and are the mean of the last"
    " 100 epochs on it; ours are chosen on a share of the training set, and the last epoch counts."
    " Published linear rows of Deep InfoMax are SVMs of five runs, others L2-SVMs or regressions;"
    " ours are logistic regressions, and their ± is half the range of the seeds."
)

CIFAR10 = (
    Published("supervised network", MLP, (75.39, None, None)),
    Published("VAE", MLP, (60.71, 60.54, 54.61)),
    Published("AAE", MLP, (59.44, 57.19, 52.81)),
    Published("BiGAN", MLP, (62.57, 62.74, 52.54)),
    Published("NAT", MLP, (56.19, 51.29, 31.16)),
    Published("DIM(G)", MLP, (52.2, 52.84, 43.17)),
    Published("DIM(L) JSD", MLP, (73.25, 73.62, 66.96)),
    Published("DIM(L) NCE", MLP, (75.21, 75.57, 69.13)),
    Published("VAE", LINEAR, ("53.83 ± 0.62", "42.14 ± 3.69", 39.59)),
    Published("AAE", LINEAR, (55.22, 43.34, 37.76)),
    Published("BiGAN", LINEAR, ("56.40 ± 1.12", "38.42 ± 6.86", "44.90 ± 0.13")),
    Published("NAT", LINEAR, (48.62, 42.63, 39.59)),
    Published("DIM(G)", LINEAR, (46.8, 28.79, 29.08)),
    Published("DIM(L)", LINEAR, ("63.25 ± 0.86", "54.06 ± 3.6", 49.62)),
    Published("raw pixels, PCA to 200", LINEAR, other=41.04, source="arXiv 1611.04905"),
    Published("random Gaussian patches, one layer, pooled", LINEAR, other=78.6,
              source="arXiv 2101.07528"),
    Published("patches of the data, one layer, pooled", LINEAR, other=85.6,
              source="arXiv 2101.07528"),
    Published("k-means (hard), 1,600 centres", LINEAR, other=68.6, source="Coates et al. 2011"),
    Published("k-means (triangle), 1,600 centres", LINEAR, other=77.9, source="Coates et al. 2011"),
    Published("k-means (triangle), 4,000 centres", LINEAR, other=79.6, source="Coates et al. 2011"),
    Published("k-means, one layer", LINEAR, other=80.6, source=f"DCGAN, arXiv 1511.06434, {NOTES}"),
    Published("DCGAN's D, trained on ImageNet (28,672 numbers)", LINEAR, other=82.8,
              source=f"arXiv 1511.06434, {NOTES}"),
    Published("raw pixels, 1-NN by L2", NEIGHBOURS, other=35.4, source="CS231n notes"),
    Published("raw pixels, 1-NN by L1", NEIGHBOURS, other=38.6, source="CS231n notes"),
    Published("raw pixels, k-NN", NEIGHBOURS, other=33.86, source="arXiv 1611.04905"),
    Published("raw pixels, PCA to 30, k-NN", NEIGHBOURS, other=41.78, source="arXiv 1611.04905"),
    Published("Exemplar CNN", OTHERS, other=84.3, source=f"RotNet, arXiv 1803.07728, {NOTES}"),
    Published("RotNet, block 2, three layers on top", OTHERS, other=89.06,
              source=f"arXiv 1803.07728, {NOTES}"),
    Published("RotNet's network untrained, convolutions on top", OTHERS, other=72.50,
              source=f"arXiv 1803.07728, {NOTES}"),
)
TINY_IMAGENET = (  # of all 200 classes
    Published("supervised network", MLP, (36.60, None, None)),
    Published("VAE", MLP, (18.63, 16.88, 11.93)),
    Published("AAE", MLP, (18.04, 17.27, 11.49)),
    Published("BiGAN", MLP, (24.38, 20.21, 13.06)),
    Published("NAT", MLP, (13.70, 11.62, 1.20)),
    Published("DIM(G)", MLP, (11.32, 6.34, 4.95)),
    Published("DIM(L) JSD", MLP, (33.54, 36.88, 31.66)),
    Published("DIM(L) NCE", MLP, (34.21, 38.09, 33.33)),
)
SETS = {"cifar10": (CIFAR10, 10), "tiny_imagenet": (TINY_IMAGENET, 200)}  # rows, their classes
