"""Parts that recipe=modern has not kept, and its means: another game, for tests."""

import ml_collections

ALONE = {
    "loss": "hinge", "average": 0.999, "augment": "flip,translation", "optim.weight_decay": 0.0,
    "model.D.norm": "spectral",
}
JOINTLY = {  # of a D that judges pairs
    "views": True, "optim.E_rate_factor": 4.0, "model.D.unary": True, "model.D.hidden": 512,
}


def take(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """The config, with all parts that its objective has a use for."""
  config.update_from_flattened_dict(ALONE | (JOINTLY if config.objective == "bigan" else {}))
  return config
