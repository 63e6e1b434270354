"""TensorFlow Datasets builders that prepare without TensorFlow."""
