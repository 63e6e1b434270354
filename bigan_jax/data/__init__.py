"""Where the pictures come from: builders prepare, sources load, preprocess crops and scales."""
