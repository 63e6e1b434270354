"""The section `data` of every config that reads pictures."""

import ml_collections


def data_section() -> ml_collections.ConfigDict:
  """Which pictures, in every config that reads any."""
  data = ml_collections.ConfigDict()
  data.name = ""  # "image_folder", "imagenet_presized", a set of TFDS, or "fake": noise
  data.path = ""  # folder of a set of your own
  data.splits = "validation"  # or "test": train on all, evaluate on the test set
  data.edge = 0  # shorter side that pictures are resized to; 0: as they are
  data.flip = False  # mirror training images with probability 1/2
  data.validation_share = 0.1  # of a folder without a split of its own
  data.max_labels = 0  # only images of the first so many classes; 0: all
  data.only_labels = ""  # only images of these classes, by number or name: "horse,3"; "": all
  data.without_labels = ""  # only images of all classes but these, likewise; "": all
  data.accept_change = False  # go on with a run though its pictures or classes changed
  data.resident_gb = 0.0  # train on larger sets from disk; 0: larger than what memory holds
  data.workers = 0  # processes that decode those; 0: threads
  return data
