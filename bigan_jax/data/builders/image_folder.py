"""TFDS builder of anyone's own pictures: a folder, with or without splits and classes in it."""

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from bigan_jax.data import pictures
from bigan_jax.data.builders import presize

# What people call the folders of a split, in lower case.
SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}
PICTURES_PER_PART = 256
PICTURES_PER_SHARD = 4096
SHUFFLE_SEED = 42


class Entry(tuple):
  pass
