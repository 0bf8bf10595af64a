"""Sizes and parts of images as text: 640x480, or 640x and x480, which keep the ratio; 10,20,64x48 for a rectangle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from imgtool.errors import ImageError, ParameterError

if TYPE_CHECKING:
    import numpy as np


def parse_size(parameter: str, text: str) -> tuple[int, int]:
    """Return (width, height) of text such as 640x480, 640x or x480; 0 for what is left open.

    parameter: whose value it is, for the error.
    """
    width, times, height = str(text).lower().partition("x")
    sides = [part for part in (width, height) if part]
    if not times or not sides or not all(part.isdecimal() and int(part) > 0 for part in sides):
        wrong = f"{parameter} {text}: write WIDTHxHEIGHT, WIDTHx or xHEIGHT in pixels"
        raise ParameterError(wrong, parameters=(parameter,))
    return int(width or 0), int(height or 0)


class Crop(NamedTuple):
    """A rectangle of an image: column and row of its upper left pixel, its sides in pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return that part of an image. Raises ImageError where it reaches beyond it."""
        height, width = image.shape[:2]
        if self.x + self.width > width or self.y + self.height > height:
            raise ImageError(f"has {width}x{height} pixels, and {self} reaches beyond them")
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width}x{self.height}"


def parse_crop(parameter: str, text: str) -> Crop:
    """Return the rectangle of text such as 10,20,64x48; parameter: whose value it is, for the error."""
    found = re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9})[xX](\d{1,9})", text.strip(), re.ASCII)
    if not found or not int(found[3]) or not int(found[4]):
        wrong = f"{parameter} {text}: write X,Y,WIDTHxHEIGHT in pixels, such as 10,20,64x48"
        raise ParameterError(wrong, parameters=(parameter,))
    return Crop(*map(int, found.groups()))


def sides_in(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of an image of this shape in a size (width, height); a side of 0 keeps the ratio."""
    width, height = size
    width = width or max(1, round(shape[1] * height / shape[0]))
    return height or max(1, round(shape[0] * width / shape[1])), width


def resize_to(image: np.ndarray, size: tuple[int, int], resample: str = "bilinear") -> np.ndarray:
    """Return the image in a size (width, height), antialiased; a side of 0 keeps the ratio.

    resample: as `resize` takes it.

    Raises ImageError if that would be more pixels than the image has and than `read` allows, as for a narrow image.
    """
    from imgtool.image.codecs.header import MAX_PIXELS
    from imgtool.image.resize import resize

    height, width = sides_in(size, image.shape)
    if width * height > max(MAX_PIXELS, image.shape[0] * image.shape[1]):
        raise ImageError(f"would be {width}x{height} pixels, more than the {MAX_PIXELS} that imgtool makes of it")
    return resize(image, height, width, resample=resample)
