"""A copy of a picture with its classes below it."""

from collections.abc import Sequence
from itertools import chain, count
from math import sqrt
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from topfive.datasets.images import Photographs
from topfive.predict.classify import Prediction
from topfive.problems import Problem

NARROWEST = 480  # pixels of a line, so that it holds a name
GROUND, BAR, INK = (24, 24, 27), (37, 99, 235), (255, 255, 255)
LETTERS = 1 / 28  # their height, of the side of a square as large as the picture
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LINE = 1.6  # of the letters' height


def annotated(picture: Image.Image, prediction: Prediction) -> Image.Image:
    """RGB: the picture, and below it a line for each class, with a bar as long as it is probable.

    The lines have a ground of their own, so that they read alike whatever the picture. A picture that is
    small both ways is enlarged, by a whole factor and pixel by pixel.
    """
    factor = max(1, NARROWEST // max(picture.size))
    picture = picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )
    width = max(NARROWEST, picture.width)
    size = max(15, round(LETTERS * sqrt(width * picture.height)))
    line, guesses = round(LINE * size), prediction.guesses
    canvas = Image.new("RGB", (width, picture.height + line * len(guesses)), GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size)
    for row, guess in enumerate(guesses):
        top, margin = picture.height + row * line, size // 2
        draw.rectangle((0, top + 1, guess.probability * (width - 1), top + line - 2), fill=BAR)
        share = f"{guess.probability:.1%}"
        room = width - 3 * margin - font.getlength(share)
        middle = top + line / 2
        draw.text((margin, middle), _fitting(guess.words, font, room), INK, font, anchor="lm")
        draw.text((width - margin, middle), share, INK, font, anchor="rm")
    return canvas


def _fitting(text: str, font: Font, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip(' ,')}…"


def write(predictions: Sequence[Prediction], folder: Path) -> None:
    """An annotated PNG for each prediction's image. Raises Problem where `folder` cannot be written to."""
    images = [one.image for one in predictions]
    pictures = Photographs(Path(), [str(image) for image in images], np.full(len(images), -1))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (one, file) in enumerate(zip(predictions, names(images, folder), strict=True)):
            annotated(pictures.read(number), one).save(file)
    except OSError as error:
        raise Problem(
            f"--annotate {folder}: {error.strerror or error}. Name another folder."
        ) from error


def names(images: Sequence[Path], folder: Path) -> list[Path]:
    """A file in `folder` for each image: none twice, and none that is one of the images."""
    taken = {image.resolve() for image in images}
    given = []
    for image in images:
        endings = chain([""], (f"-{number}" for number in count(2)))
        paths = (folder / f"{image.stem}.predicted{ending}.png" for ending in endings)
        path = next(path for path in paths if path.resolve() not in taken)
        taken.add(path.resolve())
        given.append(path)
    return given
