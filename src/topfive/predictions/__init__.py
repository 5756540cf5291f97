"""What networks answered, image by image, and all that can be read from it without a network."""

from topfive.predictions.file import Predictions, file_name, read, write

__all__ = ["Predictions", "file_name", "read", "write"]
