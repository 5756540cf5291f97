"""Predictions as text: for reading, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Iterable

from topfive.predict.classify import Guess, Prediction


def plain(predictions: Iterable[Prediction]) -> str:
    """An image a paragraph, a class a line: probability, what it is in words, its name."""
    return "".join(f"{one.image}\n{''.join(map(_line, one.guesses))}\n" for one in predictions)


def label(guess: Guess) -> str:
    """The words, with the class's name where it is another."""
    same = guess.words == guess.class_name
    return guess.words if same else f"{guess.words} ({guess.class_name})"


def as_csv(predictions: Iterable[Prediction]) -> str:
    """A class a row under image, rank, class, name, probability; ranks count from 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "rank", "class", "name", "probability"))
    for one in predictions:
        writer.writerows((one.image, rank, *guess) for rank, guess in enumerate(one.guesses, 1))
    return text.getvalue()


def as_json(predictions: Iterable[Prediction]) -> str:
    """A list of {image, predictions: [{class, name, probability}]}."""
    content = [
        {
            "image": str(one.image),
            "predictions": [
                {"class": g.class_name, "name": g.words, "probability": g.probability}
                for g in one.guesses
            ],
        }
        for one in predictions
    ]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _line(guess: Guess) -> str:
    return f"  {guess.probability:7.2%}  {label(guess)}\n"
