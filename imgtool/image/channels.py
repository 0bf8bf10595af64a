"""Channels by name, and as gray pictures: one alone, or all of a color space side by side with their names.

Numbers become gray between fixed ends, so that pictures of several images can be compared. Where a channel is signed, 0
is mid-gray.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.pixels import Pixels, to_pixels, white_level
from imgtool.image.sheet import GAP_PIXELS
from imgtool.names import unknown_name


class Channel(NamedTuple):
    """A channel of a color space, and the numbers that are black and white in a picture of it."""

    name: str
    black: float = 0.0
    white: float = 1.0


_HUE_LIKE = Channel("H"), Channel("S")
CHANNELS: dict[str, tuple[Channel, ...]] = {
    "hsv": (*_HUE_LIKE, Channel("V")),
    "hsl": (*_HUE_LIKE, Channel("L")),
    "luv": (Channel("L", 0, 100), Channel("u", -180, 180), Channel("v", -180, 180)),
    "xyz": (Channel("X", 0, 0.95047), Channel("Y", 0, 1), Channel("Z", 0, 1.08883)),  # white of D65
    "lab": (Channel("L", 0, 100), Channel("a", -128, 127), Channel("b", -128, 127)),
    "cmyk": (Channel("C"), Channel("M"), Channel("Y"), Channel("K")),
}
# Names of the channels of pixels, by how many there are.
PIXEL_CHANNELS = {1: ("gray",), 2: ("gray", "alpha"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "alpha")}
PIXEL_NAMES = ("gray", *PIXEL_CHANNELS[4])


def channel_index(name: str, names: Sequence[str]) -> int:
    """Return the place of a channel, by its name in any case. Raises ParameterError when there is none."""
    lowered = [each.lower() for each in names]
    if name.lower() not in lowered:
        raise unknown_name("channel", name, names)
    return lowered.index(name.lower())


def channel_of(image: np.ndarray, name: str) -> np.ndarray:
    """Return one channel of pixels (height, width). Raises ImageError when the image has none of that name."""
    names = PIXEL_CHANNELS[image.shape[2] if image.ndim == 3 else 1]
    if name.lower() not in [each.lower() for each in names]:
        raise ImageError(f"has no channel {name}; its channels are {', '.join(names)}")
    return np.asarray(image.reshape(*image.shape[:2], -1)[:, :, channel_index(name, names)])


def channel_picture(values: np.ndarray, channel: Channel, *, range: str = "clip", depth: str = "8") -> Pixels:
    """Return a gray picture of one channel's numbers, counting what lies beyond black and white.

    range: `clip`, or `stretch` from the smallest to the largest number; depth: `8` or `16`.
    """
    unit = (values.astype(np.float64) - channel.black) / (channel.white - channel.black)
    return to_pixels(unit, range, depth=depth, like=np.dtype(np.float64))


def panels(numbers: np.ndarray, space: str, *, range: str = "clip", depth: str = "8") -> Pixels:
    """Return the channels of a color space as gray pictures side by side, each below its name."""
    shown = [
        channel_picture(numbers[:, :, index], channel, range=range, depth=depth)
        for index, channel in enumerate(CHANNELS[space])
    ]
    white = int(white_level(shown[0].pixels.dtype))
    parts = [_named(each.pixels, channel.name, white) for each, channel in zip(shown, CHANNELS[space], strict=True)]
    gap = np.full((len(parts[0]), GAP_PIXELS), white, parts[0].dtype)
    row = [gap, *(piece for part in parts for piece in (part, gap))]
    return Pixels(np.hstack(row), sum(each.clipped for each in shown), sum(each.not_finite for each in shown))


def _named(picture: np.ndarray, name: str, white: int) -> np.ndarray:
    """Return a picture below its name, with a white margin; text grows with wide pictures."""
    import cv2

    scale = float(np.clip(picture.shape[1] / 400, 0.5, 4))
    thickness = max(1, round(scale))
    (_, height), base = cv2.getTextSize("Hg", cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)  # of all names alike
    (width, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    across = max(picture.shape[1], width)
    head = np.full((height + base + GAP_PIXELS, across), 255, np.uint8)
    place = (across - width) // 2, height + GAP_PIXELS // 2
    cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 0, thickness, cv2.LINE_AA)
    left = (across - picture.shape[1]) // 2
    margins = (0, GAP_PIXELS), (left, across - picture.shape[1] - left)
    body = np.pad(picture, margins, constant_values=white)
    return np.vstack([head.astype(picture.dtype) * (white // 255), body])
