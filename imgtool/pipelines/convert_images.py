"""Image files in another size, color space, depth or format: what `imgtool convert` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imgtool.errors import ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.pictures import Picture, Writing, Written, write_pictures
from imgtool.pipelines.sizes import parse_size, resize_to
from imgtool.pipelines.source import Source

if TYPE_CHECKING:
    import numpy as np

    from imgtool.events import Events

NUMERIC_SPACES = ("hsv", "hsl", "luv", "xyz", "lab", "cmyk")  # that are numbers, not pixels


def convert_images(
    source: Source,
    *,
    color: str | None = None,
    from_color: str = "rgb",
    gray: str = "rec601",
    depth: str = "keep",
    size: str | None = None,
    resample: str | None = None,
    jobs: int | None = None,
    events: Events | None = None,
    **writing: Any,
) -> Iterator[Outcome[Written]]:
    """Resize each image, change its color space, change its depth, and write it.

    size: text such as 640x480 or 640x; resample: how, as `resize` takes it [bilinear]; the rest as
    `imgtool.image.color.convert` and `to_pixels` take it.
    writing: the fields of `Writing`. Raises ParameterError where color space and depth do not go together.
    """
    wanted = parse_size("size", size) if size else None
    if resample and not size:
        raise ParameterError("resample goes with size", parameters=("resample", "size"))
    numbers = color in NUMERIC_SPACES
    if numbers and depth in ("8", "16"):
        text = f"color {color} gives numbers; it does not go with depth {depth}"
        raise ParameterError(text, parameters=("color", "depth"))
    if from_color in NUMERIC_SPACES and color is None:
        text = f"from_color {from_color} goes with color: what are the numbers to become?"
        raise ParameterError(text, parameters=("from_color", "color"))

    def compute(image: np.ndarray) -> Picture:
        return _convert(image, color, from_color, gray, depth, wanted, resample or "bilinear")

    raw = numbers or depth == "float"
    same = from_color not in NUMERIC_SPACES and not numbers
    return write_pictures(
        source, compute, Writing(**writing), what="converted", same_meaning=same, raw=raw, jobs=jobs, events=events
    )


def _convert(
    image: np.ndarray,
    color: str | None,
    from_color: str,
    gray: str,
    depth: str,
    size: tuple[int, int] | None,
    resample: str,
) -> Picture:
    """Resize, change the color space, change the depth."""
    import numpy as np

    from imgtool.image.color import convert
    from imgtool.image.pixels import to_pixels

    if size:
        image = resize_to(image, size, resample)
    if color:
        image = convert(image, color, source=from_color, gray=gray)
    if depth == "keep":
        return Picture(image)
    return Picture(*to_pixels(image.astype(np.float64), "clip", depth=depth, like=image.dtype))
