"""The classes of images that belong to no data set: found, seen by a protocol's views, written down."""
