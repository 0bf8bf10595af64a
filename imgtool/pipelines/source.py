"""The images to process: files, standard input, or arrays, and how each is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from imgtool.batch.inputs import Input, expand, path_text
from imgtool.errors import ImageError, ParameterError
from imgtool.parameters import require_pixels
from imgtool.pipelines.sizes import parse_size, resize_to
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.batch.isolated import IsolatedReader
    from imgtool.image.codecs.header import Header
    from imgtool.image.metadata import Metadata
    from imgtool.image.strips import RowFile

BACKGROUND = "white"  # image.alpha's WHITE, for the same reason
MAX_PIXELS = 178_000_000  # image.read's, which stands here too because that imports NumPy; a test holds them equal

_METADATA_BY_LIBRARIES = ("avif", "heic")  # which may crash; that of other formats is read by ourselves


@dataclass(frozen=True)
class Reading:
    """How images are read: everything that `imgtool.image.read` is told beside the file, and what becomes of alpha.

    max_pixels: an image that has more is refused; allow_truncated: cut files are read as far as they go. background:
    the color that transparent images are shown on, None unless asked for; flat: they are shown on one in any case.
    page, bands: which page of a file and which bands of its pixels, counted from 1; None for what is read by default.
    """

    max_pixels: int = MAX_PIXELS
    allow_truncated: bool = False
    background: str | None = None
    flat: bool = False
    page: int | None = None
    bands: tuple[int, ...] | None = None

    @property
    def flattens(self) -> bool:
        """Whether images come without alpha."""
        return self.flat or self.background is not None

    @property
    def meta(self) -> dict[str, Any]:
        """What changes pixels and is not as it is by default: feature files hold it beside the parameters."""
        background = None if self.background == BACKGROUND else self.background
        bands = None if self.bands is None else list(self.bands)
        told = {"background": background, "page": self.page, "bands": bands}
        return {key: value for key, value in told.items() if value is not None}

    @classmethod
    def of_meta(cls, parameters: Mapping[str, Any]) -> Reading:
        """Return how images were read that are described with a feature file's parameters, but for the background."""
        bands = parameters.get("bands")
        return cls(page=parameters.get("page"), bands=tuple(bands) if bands else None)

    def show(self, image: np.ndarray, remarks: list[Remark]) -> np.ndarray:
        """Return an image without alpha if so wanted; a remark is added where something shows through."""
        from imgtool.image.alpha import flatten, has_alpha, is_opaque

        if not (self.flattens and has_alpha(image.shape)):
            return image
        if not is_opaque(image[:, :, -1]):
            remarks.append(Remark("alpha", by_rule=self.background is not None))
        return flatten(image, self.background or BACKGROUND)

    def __post_init__(self) -> None:
        """Raise ParameterError for a limit that nothing can be compared with."""
        require_pixels(self.max_pixels)

    def decode(self, data: bytes, read: Callable[..., np.ndarray], remarks: list[Remark]) -> np.ndarray:
        """Return the array that an image's bytes hold; remarks are added on what it lacks. Raises ImageError."""
        settings = {**asdict(self), "allow_truncated": False, "remarks": remarks}
        del settings["background"], settings["flat"]
        try:
            return self.show(read(data, **settings), remarks)
        except ImageError:
            if not self.allow_truncated:
                raise
        image = read(data, **{**settings, "allow_truncated": True})
        remarks.append(Remark("damaged"))
        return self.show(image, remarks)


class Source:
    """Images to be read, by their index.

    reading: how; isolated: the reader that decodes in other processes, None to decode in this one; resize: text such as
    640x480, the size that each image is brought to. also_read: other files that were read for them, which no result
    replaces: the list that named the images, a kernel.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        reading: Reading = Reading(),
        isolated: IsolatedReader | None = None,
        resize: str | None = None,
        also_read: tuple[str, ...] = (),
    ) -> None:
        self.inputs, self.reading = inputs, reading
        self.isolated, self.resize = isolated, resize
        self.also_read = also_read
        self._size = parse_size("resize", resize) if resize else None

    def __len__(self) -> int:
        return len(self.inputs)

    def in_size(self, resize: str | None) -> Source:
        """Return the same images, brought to a size."""
        return Source(self.inputs, self.reading, self.isolated, resize, self.also_read)

    def flat(self) -> Source:
        """Return the same images, without alpha: transparent ones are shown on the background."""
        return Source(self.inputs, replace(self.reading, flat=True), self.isolated, self.resize, self.also_read)

    def other(self, path: str) -> Source:
        """Return another image, read in the same way."""
        return Source([Input(path)], self.reading, self.isolated, self.resize)

    def indexes(self, first: int = 0) -> Iterator[int]:
        """Yield the indexes of the images in order, those before `first` left out."""
        return iter(range(first, len(self)))

    @property
    def reads_files_only(self) -> bool:
        """Whether every image is a file, which another process can read too."""
        return not any(each.is_stream for each in self.inputs)

    def input(self, index: int) -> Input:
        """Return where an image comes from."""
        return self.inputs[index]

    def content(self, index: int) -> bytes:
        """Return the bytes of one image's file. Raises ImageError."""
        return self.input(index).read_bytes(self.reading.max_pixels)

    def read(self, index: int, remarks: list[Remark]) -> np.ndarray:
        """Return one image as an array, as it is displayed, in the size asked for. Raises ImageError."""
        return self.decode(self.content(index), remarks)

    def decode(self, data: bytes, remarks: list[Remark]) -> np.ndarray:
        """Return the array that an image's bytes hold; a remark is added where some of it is missing."""
        image = self.reading.decode(data, self._reader(), remarks)
        return resize_to(image, self._size) if self._size else image

    def header(self, data: bytes) -> Header:
        """Return the header in an image's bytes, without decoding pixels."""
        from imgtool.image import probe

        return (self.isolated.probe if self.isolated else probe)(data, page=self.reading.page)

    def metadata(self, content: bytes | str, remarks: list[Remark]) -> Metadata | None:
        """Return the metadata in an image's bytes, or in the file at a path; None where there is none."""
        from imgtool.image.codecs.header import format_of_bytes
        from imgtool.image.read import find_metadata

        if isinstance(content, bytes) and self.isolated and format_of_bytes(content) in _METADATA_BY_LIBRARIES:
            return self.isolated.metadata(content, self.reading.page, remarks)
        return find_metadata(content, self.reading.page, remarks)

    @contextmanager
    def rows(self, index: int) -> Iterator[RowFile | None]:
        """Hold open a large file that is sliced by rows; None when it has to be read as a whole."""
        from imgtool.filters.strip_filter import LARGE_PIXELS
        from imgtool.image.alpha import has_alpha
        from imgtool.image.strips import open_rows

        path, chosen = self.input(index).path, self.reading.page or self.reading.bands
        is_file = not self.input(index).is_stream and os.path.isfile(path)
        is_file = is_file and not (self.isolated or self._size or chosen)
        large = is_file and os.path.getsize(path) >= LARGE_PIXELS
        file = open_rows(path, max_pixels=self.reading.max_pixels) if large else None
        with file or nullcontext():
            yield None if file and self.reading.flattens and has_alpha(file.shape) else file

    def close(self) -> None:
        """End what was started to read the images."""
        if self.isolated:
            self.isolated.close()

    def _reader(self) -> Callable[..., np.ndarray]:
        """Return the function that decodes."""
        from imgtool.image import read

        return self.isolated.read if self.isolated else read


class ArraySource(Source):
    """Arrays, taken one by one as they are asked for, so that they may come from a generator of any length."""

    def __init__(self, arrays: Iterable[Any], reading: Reading = Reading(), resize: str | None = None) -> None:
        super().__init__((), reading, resize=resize)
        self._arrays = arrays
        self._waiting: dict[int, Any] = {}

    def __len__(self) -> int:
        """Return the number of images if it is known; a large number for a generator."""
        return len(self._arrays) if isinstance(self._arrays, Sequence) else _UNKNOWN

    def in_size(self, resize: str | None) -> Source:
        """Return the same arrays, brought to a size."""
        return ArraySource(self._arrays, self.reading, resize)

    def flat(self) -> Source:
        """Return the same arrays, without alpha."""
        return ArraySource(self._arrays, replace(self.reading, flat=True), self.resize)

    def indexes(self, first: int = 0) -> Iterator[int]:
        """Yield the indexes of the arrays in order; each is kept until it is read."""
        for index, array in enumerate(self._arrays):
            if index >= first:
                self._waiting[index] = array
                yield index

    @property
    def reads_files_only(self) -> bool:
        """Whether every image is a file: none is."""
        return False

    def input(self, index: int) -> Input:
        """Return what an array is called in messages."""
        return Input(f"image {index}")

    def read(self, index: int, remarks: list[Remark]) -> np.ndarray:
        """Return one array, once. Raises ImageError where it is no image."""
        from imgtool.arrays import image_array

        image = self.reading.show(image_array(self._waiting.pop(index)), remarks)
        return resize_to(image, self._size) if self._size else image


_UNKNOWN = 1 << 30  # how many images come, where nobody knows


def source_of(
    images: Any,
    *,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    isolate: bool = False,
    resize: str | None = None,
    background: Any = None,
) -> Source:
    """Return the source for a file or folder, several of them, arrays, or a source.

    A folder stands for all images in it, in sorted order. If `images` is a source, only its `resize` is replaced.
    """
    if isinstance(images, Source):
        return images.in_size(resize) if resize else images
    chosen = None if bands is None else tuple(bands)
    reading = Reading(max_pixels, allow_truncated, color_text(background), page=page, bands=chosen)
    if not isinstance(images, str | os.PathLike):
        if hasattr(images, "dtype") and not isinstance(images, type) and images.ndim < 4:
            raise ImageError("is one array; several images come as a list or an iterator")
        first, images = _peek(images)
        if not isinstance(first, str | os.PathLike | None):
            if page is not None or bands is not None:
                wrong = "bands" if page is None else "page"
                raise ParameterError(f"{wrong} is for files: arrays are taken as they are", parameters=(wrong,))
            return ArraySource(images, reading, resize)
    isolated = None
    if isolate:
        from imgtool.batch.isolated import IsolatedReader

        isolated = IsolatedReader()
    paths = [images] if isinstance(images, str | os.PathLike) else list(images)
    names = [path_text(path, "images") for path in paths]
    inputs = expand(names) if names else ()  # expand takes no path for standard input
    return Source(inputs, reading, isolated, resize)


def color_text(color: Any) -> str | None:
    """Return a background as `color_name` does, None for none."""
    if color is None:
        return None
    from imgtool.image.alpha import color_name

    return color_name(color)


def _peek(images: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """Return the first of some images, None where there is none, and all of them."""
    if isinstance(images, Sequence):
        return (images[0] if images else None), images
    try:
        rest = iter(images)
    except TypeError:
        raise ParameterError(f"images must be a path, or several paths or arrays, got {images!r}") from None
    first = next(rest, None)
    return first, () if first is None else chain([first], rest)
