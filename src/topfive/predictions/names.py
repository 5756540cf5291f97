"""What classes are called: WordNet ids with a word for them, all others as they are."""

from collections.abc import Sequence

from topfive.class_names import words


def spoken(classes: Sequence[str]) -> list[str]:
    """ "n01440764 tench" for a WordNet id of ILSVRC-2012: of its synonyms the first."""
    return [
        one if word == one else f"{one} {word.partition(',')[0]}"
        for one, word in zip(classes, words(classes), strict=True)
    ]
