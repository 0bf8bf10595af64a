"""Image files in another size, color space, depth or format: what `imgtool convert` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.pictures import ByFormat, Picture, Writing, Written, write_pictures
from imgtool.pipelines.sizes import parse_size, resize_to
from imgtool.pipelines.source import Source

if TYPE_CHECKING:
    import numpy as np

    from imgtool.events import Events

NUMERIC_SPACES = ("hsv", "hsl", "luv", "xyz", "lab", "cmyk")  # that are numbers, not pixels
PICTURE_DEPTHS, PICTURE_RANGES = ("8", "16"), ("clip", "stretch")  # by which numbers of a color space become pictures


def convert_images(
    source: Source,
    *,
    color: str | None = None,
    from_color: str = "rgb",
    gray: str = "rec601",
    range: str = "auto",
    depth: str = "keep",
    size: str | None = None,
    resample: str | None = None,
    show_channel: str | None = None,
    jobs: int | None = None,
    events: Events | None = None,
    **writing: Any,
) -> Iterator[Outcome[Written]]:
    """Resize each image, change its color space, pick a channel, change range and depth, and write it.

    size: text such as 640x480 or 640x; resample: how, as `resize` takes it [bilinear]; show_channel: the name of one
    channel, which is all that is written; the rest as `imgtool.image.color.convert` and `to_pixels` take it (range
    `auto`: `clip` where pixels are made, else nothing changes). Numbers of a color space are written as they are to
    formats that hold floats, as gray pictures of the channels, side by side, to all others.

    writing: the fields of `Writing`. Raises ParameterError where color space, range, depth and format do not go
    together.
    """
    if from_color in NUMERIC_SPACES and color is None and show_channel:
        color = from_color
    if resample and not size:
        raise ParameterError("resample goes with size", parameters=("resample", "size"))
    wanted = parse_size("size", size) if size else None
    work = Conversion(color, from_color, gray, range, depth, wanted, resample or "bilinear", show_channel)
    work.check()
    shown = work.gives_pictures or show_channel
    raw = (work.gives_numbers and not shown) or depth == "float" or range == "raw"
    return write_pictures(
        source,
        ByFormat(work),
        Writing(**writing),
        what="converted",
        same_meaning=work.keeps_meaning,
        raw=raw,
        alpha=not work.gives_numbers,
        jobs=jobs,
        events=events,
    )


@dataclass(frozen=True)
class Conversion:
    """What is done to an image, by the format that it is for; see `convert_images`."""

    color: str | None
    from_color: str
    gray: str
    range: str
    depth: str
    size: tuple[int, int] | None
    resample: str
    show_channel: str | None

    @property
    def gives_numbers(self) -> bool:
        """Tell whether the result is in a color space of numbers."""
        return self.color in NUMERIC_SPACES

    @property
    def gives_pictures(self) -> bool:
        """Tell whether these numbers are to become pictures in any format."""
        return self.gives_numbers and (self.depth in PICTURE_DEPTHS or self.range in PICTURE_RANGES)

    @property
    def keeps_meaning(self) -> bool:
        """Tell whether the numbers of the result mean what those of the image do."""
        pixels = not self.gives_numbers and self.from_color not in NUMERIC_SPACES
        return pixels and not self.show_channel and self.range in ("auto", "clip", "raw")

    def check(self) -> None:
        """Raise ParameterError for what does not go together, and for a channel that no such image has."""
        if self.from_color in NUMERIC_SPACES and self.color is None:
            text = f"from_color {self.from_color} goes with color: what are the numbers to become?"
            raise ParameterError(text, parameters=("from_color", "color"))
        if self.gives_numbers and self.range in ("abs", "center"):
            text = f"range {self.range} does not go with color {self.color}; there are auto, clip, stretch and raw"
            raise ParameterError(text, parameters=("range", "color"))
        if self.show_channel:
            from imgtool.image.channels import CHANNELS, PIXEL_NAMES, channel_index

            space = CHANNELS.get(self.color or "", ())
            channel_index(self.show_channel, [each.name for each in space] or PIXEL_NAMES)

    def __call__(self, image: np.ndarray, format: str) -> Picture:
        """Return the result; what has no alpha shows transparent images on white."""
        from imgtool.image.alpha import flatten, has_alpha, is_opaque

        if not (self.drops_alpha and has_alpha(image.shape)):
            return self._convert(image, format)
        flattened = not is_opaque(image[:, :, -1])
        return self._convert(flatten(image), format)._replace(flattened=flattened)

    @property
    def drops_alpha(self) -> bool:
        """Tell whether results of images with alpha have none: gray, numbers, and one channel of color."""
        pixels = self.from_color not in NUMERIC_SPACES
        return pixels and (self.color not in (None, "rgb") or (self.show_channel or "alpha").lower() != "alpha")

    def _convert(self, image: np.ndarray, format: str) -> Picture:
        """Return the result of an image that is seen as it is."""
        from imgtool.image.channels import channel_of
        from imgtool.image.color import convert
        from imgtool.image.depth import to_range

        if self.size:
            image = resize_to(image, self.size, self.resample)
        if self.color:
            image = convert(image, self.color, source=self.from_color, gray=self.gray)
        if self.gives_numbers:
            return self._of_numbers(image, format)
        if self.show_channel:
            image = channel_of(image, self.show_channel)
        if self.depth == "keep" and self.range == "auto":
            return Picture(image)
        return Picture(*to_range(image, self.range, self.depth))

    def _of_numbers(self, numbers: np.ndarray, format: str) -> Picture:
        """Return numbers of a color space as the format takes them: as they are, or as a picture."""
        import numpy as np

        from imgtool.image.channels import CHANNELS, channel_index, channel_picture, panels
        from imgtool.image.write import capacity_of

        space = self.color or ""
        holds_numbers = "float32" in capacity_of(format)[0]
        as_picture = self.gives_pictures or not (holds_numbers or self.depth == "float" or self.range == "raw")
        shown = {
            "range": "stretch" if self.range == "stretch" else "clip",
            "depth": "16" if self.depth == "16" else "8",
        }
        if self.show_channel:
            index = channel_index(self.show_channel, [each.name for each in CHANNELS[space]])
            channel = np.ascontiguousarray(numbers[:, :, index])
            if as_picture:
                return Picture(*channel_picture(channel, CHANNELS[space][index], **shown))
            numbers = channel
        elif as_picture and holds_numbers:
            raise self._no_picture(format)
        elif as_picture:
            return Picture(*panels(numbers, space, **shown))
        return Picture(numbers.astype(np.float32) if self.depth == "float" else numbers)

    def _no_picture(self, format: str) -> ParameterError:
        """Return the error for pixels of several channels in a format of numbers."""
        which, value = ("depth", self.depth) if self.depth in PICTURE_DEPTHS else ("range", self.range)
        return ParameterError(
            f"{which} {value} makes pictures, and {format} holds the numbers of color {self.color} as they are:"
            " leave it out, write png or another format of pictures, or pick one by show_channel",
            parameters=(which, "color", "show_channel"),
        )
