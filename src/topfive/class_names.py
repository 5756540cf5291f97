"""What classes are called in words."""

from collections.abc import Sequence

from topfive.datasets import imagenet_classes


def words(classes: Sequence[str]) -> list[str]:
    """Of a WordNet id of ILSVRC timm's description ("tench, Tinca tinca"); any other name as it is."""
    known = dict(zip(imagenet_classes.wordnet_ids(), imagenet_classes.names(), strict=True))
    return [known.get(name, name) for name in classes]
