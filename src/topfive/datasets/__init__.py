"""What is read: one file per set, each with a `load` that returns a `Dataset`."""

from topfive.datasets.images import Dataset, Images, Missing, Photographs, Pixels, Unreadable

__all__ = ["Dataset", "Images", "Missing", "Photographs", "Pixels", "Unreadable"]
