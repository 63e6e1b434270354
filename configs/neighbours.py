"""Figure 5 of the paper: the training images nearest to some queries in an encoder's features.

  python -m bigan_jax.main --config=configs/neighbours.py --config.encoder=RUN --workdir=OUT

By cosine distance, in fc6 (a random projection of conv5, as in the figure) and in e-, the last
hidden layer, which is conv5 itself; of a perceptron, in e- alone. OUT gets
pictures/neighbours_LAYER.png, queries on the left, neighbours.csv and results.json.

Takes 10 s on 2 cores for configs/digits.py; 90 % of the neighbours are of their query's class.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/neighbours.py:argument`."""
  parse_argument(argument, {}, ("cosine",))
  config = downstream.base("neighbours")
  config.layers = ()  # names, "fc6" among them; (): see above
  config.queries = 10  # images of the judged split, drawn by config.seed
  config.neighbours = 4  # of each
  config.train_images = 0  # to look among; 0: all
  config.judged_images = 0  # to draw from; 0: all
  return config
