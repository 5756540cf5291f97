"""What is read: one file per set, each with a `load` that returns a `Dataset`."""

from topfive.datasets.images import Dataset, Images, Photographs, Pixels, Unreadable

__all__ = ["Dataset", "Images", "Photographs", "Pixels", "Unreadable"]
