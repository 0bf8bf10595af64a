"""Compute images from images: read, compute, write; large ones in strips."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from imgtool.batch.destinations import Destination, without_results
from imgtool.batch.pool import job_count
from imgtool.errors import ParameterError
from imgtool.pipelines.mapping import map_inputs
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import ArraySource, Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.events import Events
    from imgtool.filters.strip_filter import Rows, StripFilter
    from imgtool.image.metadata import Metadata
    from imgtool.image.pixels import Pixels
    from imgtool.pipelines.strips import StripResult, Target

MAX_THREADS = 2  # of one image, unless more are asked for: its strips wait for memory


class Picture(NamedTuple):
    """A result image with its remarks."""

    pixels: np.ndarray
    clipped: int = 0
    not_finite: int = 0
    flattened: bool = False
    nodata: int = 0


class Written(NamedTuple):
    """Where a result is: a path, or `-` for standard output; its shape, () where it was there and was left as it is."""

    output: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class ByFormat:
    """A computation that depends on the format in which its result is stored."""

    compute: Callable[[np.ndarray, str], Picture]


Compute = Callable[["np.ndarray"], "Picture | Pixels"]


@dataclass(frozen=True)
class ByFile:
    """A computation that depends on what a file says beside its pixels.

    make: from the file's path or bytes, and the page that is read, to the computation.
    """

    make: Callable[[bytes | str, int | None], Compute]


Carry = Callable[[tuple[int, ...], "np.dtype"], "Metadata | None"]  # from a result's shape and type


@dataclass(frozen=True)
class Writing:
    """Where images go and how they are stored.

    output: a file, a folder, a template with {stem} and the like, or `-` for standard output; format: of results whose
    names are made up, such as "png"; quality, compression: as `imgtool.image.encode` takes them; skip_existing:
    results that are there already stay as they are; strip: no metadata is written.
    """

    output: str | None
    format: str | None = None
    overwrite: bool = False
    skip_existing: bool = False
    quality: int | None = None
    compression: int | None = None
    strip: bool = False

    def encode(
        self, pixels: np.ndarray, name: str, metadata: Metadata | None, remarks: list[Remark], *, spoil: bool = False
    ) -> bytes:
        """Return the bytes of an image in the format of that name. spoil: its memory may be used for that."""
        from imgtool.image import write

        encode = write.encode_and_spoil if spoil else write.encode
        settings = {"quality": self.quality, "compression": self.compression}
        return encode(pixels, name, **settings, metadata=metadata, remarks=remarks)


def write_pictures(
    source: Source,
    compute: Compute | ByFormat | ByFile,
    writing: Writing,
    *,
    what: str,
    same_meaning: bool,
    raw: bool = False,
    clips_by_rule: bool = False,
    alpha: bool = True,
    jobs: int | None = None,
    events: Events | None = None,
) -> Iterator[Outcome[Written]]:
    """Read, compute and write every image; large ones in strips when the function is a StripFilter.

    what: the operation, for names that are made up; same_meaning: numbers of results mean what those of images do; raw:
    results are numbers, stored as NPY unless told otherwise; clips_by_rule: nobody chose range or depth; alpha: the
    last of 2 or 4 channels of a result is that; jobs: images at once, or threads of a single one [the processors].
    Remarks: pixels that were clipped, values that are not finite, metadata that is left out, transparent images that
    were flattened. Raises ParameterError and OutputError, before any work is done, where results have no place.
    """
    if isinstance(source, ArraySource):
        raise ParameterError("arrays have no names that files could be named after; give paths")
    source.inputs = without_results(source.inputs, writing.output)
    suffix = f".{writing.format}" if writing.format else ".npy" if raw else ".png"
    destination = Destination(
        writing.output, source.inputs, what=what, suffix=suffix, force=writing.overwrite, reads=source.also_read
    )
    at_once = job_count(jobs)
    threads = max(1, (jobs or min(MAX_THREADS, at_once)) // max(1, min(at_once, len(source))))
    writer = _Writer(source, compute, writing, destination, suffix, same_meaning, clips_by_rule, alpha, threads, events)
    return map_inputs(source, writer.write, jobs=at_once)


@dataclass(frozen=True)
class _Writer:
    """What makes one result of one image."""

    source: Source
    compute: Compute | ByFormat | ByFile
    writing: Writing
    destination: Destination
    suffix: str
    same_meaning: bool
    clips_by_rule: bool
    alpha: bool
    threads: int
    events: Events | None

    def write(self, index: int, remarks: list[Remark]) -> Written:
        """Make one result."""
        from imgtool.filters.strip_filter import StripFilter
        from imgtool.image.write import format_of

        path = self.destination.path(index)
        if self.writing.skip_existing and self.destination.exists(index):
            return Written(path)
        self.destination.check(index)
        is_made_up = self.writing.format or self.destination.has_no_suffix(index)
        name = format_of(f"image{self.suffix}" if is_made_up else path)
        compute, origin, page = self.compute, self.source.input(index), self.source.reading.page
        if isinstance(compute, ByFile) and not origin.is_stream:
            compute = compute.make(origin.path, page)
        local = compute if isinstance(compute, StripFilter) else None
        if local:
            with self.source.rows(index) as file:
                if file and local.takes_strips(file) and self._holds_alpha(file.shape, name):
                    carry = self._carry(file, origin.path, remarks)
                    return self._filter_in_strips(local, file, index, name, carry, remarks)
        content = self.source.content(index)
        image = self.source.decode(content, remarks)
        carry = self._carry(image, content, remarks)
        if isinstance(compute, ByFile):
            compute = compute.make(content, page)
            local = compute if isinstance(compute, StripFilter) else None
        if local and local.takes_strips(image) and self._holds_alpha(image.shape, name):
            return self._filter_in_strips(local, image, index, name, carry, remarks)
        picture = compute.compute(image, name) if isinstance(compute, ByFormat) else compute(image)
        picture = self._fit(picture, name)
        shape, dtype = picture.pixels.shape, picture.pixels.dtype
        self.destination.write(index, self.writing.encode(picture.pixels, name, carry(shape, dtype), remarks))
        self._add_remarks(remarks, picture)
        return Written(path, shape)

    def _carry(self, image: Rows, content: bytes | str, remarks: list[Remark]) -> Carry:
        """Return what gives the metadata of a result of that shape and type; content: of the file, or its path."""
        if self.writing.strip:
            return lambda shape, dtype: None
        before, bands = (image.shape, image.dtype), self.source.reading.bands
        same = self.same_meaning and (bands is None or bands == tuple(range(1, 1 + len(bands))))

        def carry(shape: tuple[int, ...], dtype: np.dtype) -> Metadata | None:
            found = self.source.metadata(content, remarks)
            if found is None:
                return None
            from imgtool.image.metadata import carried

            return carried(found, before, (shape, dtype), same_meaning=same, remarks=remarks)

        return carry

    def _filter_in_strips(
        self, local: StripFilter, image: Rows, index: int, name: str, carry: Carry, remarks: list[Remark]
    ) -> Written:
        """Make one large result."""
        from imgtool.pipelines.strips import filter_in_strips

        open_target = functools.partial(self._open, index, name, carry, remarks)
        filtered = filter_in_strips(local, image, open_target, threads=self.threads, events=self.events)
        self._add_remarks(remarks, filtered)
        return Written(self.destination.path(index), filtered.shape)

    @contextmanager
    def _open(
        self,
        index: int,
        name: str,
        carry: Carry,
        remarks: list[Remark],
        shape: tuple[int, ...],
        dtype: np.dtype,
        spare: np.ndarray | None,
    ) -> Iterator[Target]:
        """Hold open the place for a result that comes in strips: its file, or an array that is encoded at the end.

        spare: an array that may be it.
        """
        import numpy as np

        from imgtool.image.strips import ROW_FORMATS, NewRows
        from imgtool.image.write import storage_type

        stored = storage_type(name, shape, dtype, self.writing.quality, self.writing.compression)
        metadata = carry(shape, dtype)
        if name in ROW_FORMATS and not self.destination.is_stream:
            with self.destination.new_file(index) as file:
                yield NewRows(file, name, shape, stored, metadata=metadata, remarks=remarks)
        else:
            image = np.empty(shape, dtype) if spare is None else spare
            yield image
            data = self.writing.encode(image, name, metadata, remarks, spoil=True)
            self.destination.write(index, data)

    def _holds_alpha(self, shape: tuple[int, ...], name: str) -> bool:
        """Tell whether a format holds the alpha that images of this shape have."""
        from imgtool.image.alpha import has_alpha
        from imgtool.image.write import CAPACITY

        return not (self.alpha and has_alpha(shape)) or shape[2] in CAPACITY[name][1]

    def _fit(self, picture: Picture | Pixels, name: str) -> Picture | Pixels:
        """Return a result as a format holds it: an alpha that is opaque may go. Raises ImageError for another."""
        from imgtool.image.alpha import fit_alpha
        from imgtool.image.write import CAPACITY

        if self._holds_alpha(picture.pixels.shape, name):
            return picture
        others = [
            each for each, (types, channels) in CAPACITY.items() if 4 in channels and picture.pixels.dtype in types
        ]
        return picture._replace(pixels=fit_alpha(picture.pixels, CAPACITY[name][1], name, others))

    def _add_remarks(self, remarks: list[Remark], result: Picture | Pixels | StripResult) -> None:
        """Add remarks on a result's values."""
        if result.flattened:
            remarks.append(Remark("alpha"))
        if result.nodata:
            remarks.append(Remark("nodata", result.nodata))
        if result.clipped:
            remarks.append(Remark("clipped", result.clipped, by_rule=self.clips_by_rule))
        if result.not_finite:
            remarks.append(Remark("values", result.not_finite))
