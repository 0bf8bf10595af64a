"""Filter image files, as `imgtool filter` does: alpha, range and depth included."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imgtool.batch.inputs import path_text
from imgtool.errors import ImageError, ParameterError
from imgtool.parameters import checks_options
from imgtool.pipelines.filter_sheet import ALL, is_names, is_sheet, sheet_of, write_sheets
from imgtool.pipelines.kernel_filter import filter_of, taps_of
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.pictures import ByFile, Writing, Written, write_pictures
from imgtool.pipelines.source import MAX_PIXELS, source_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from imgtool.events import Events
    from imgtool.filters.weighted import Weighted

    Compute = Callable[[np.ndarray], Any]
    Mask = np.ndarray | None
    Apply = Callable[[np.ndarray, Mask], np.ndarray]
    Weigh = Callable[[np.ndarray, np.ndarray, Mask], Weighted]


def filter_images(
    images: Any,
    kernel: Any = "gaussian",
    *,
    output: str | os.PathLike[str] | None,
    border: str = "reflect",
    border_value: float = 0.0,
    method: str = "auto",
    correlate: bool = False,
    normalize: str = "none",
    range: str = "auto",
    depth: str = "keep",
    format: str | None = None,
    quality: int | None = None,
    compression: int | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    strip: bool = False,
    jobs: int | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    isolate: bool = False,
    background: Any = None,
    nodata: float | str | None = None,
    events: Events | None = None,
    **parameters: Any,
) -> Iterator[Outcome[Written]]:
    """Filter image files; the results are bit for bit those of `imgtool filter`.

    Files are written while you iterate over the result. Wrong arguments raise an error at once.

    Parameters
    ----------
    images : path or iterable of paths
        Files or folders; a folder stands for all images in it, in sorted order.
    kernel : str, list of str, or array_like, (rows, columns)
        Name of a kernel or neighborhood filter, as `imgtool filter` takes it, or taps. Of several names, each image
        becomes a sheet that compares them; see `filter_sheet`.
    output : str or path
        A file, a folder (if it exists, ends in a slash, or there are several images), or a template with {stem},
        {name}, {ext}, {parent}, {dir}, {index}.
    border : str
        What lies outside the image: "clip" (black, or `border_value`), "wrap", "copy", "reflect", "mirror"; "all": a
        sheet that compares them.
    border_value : float
        Value of the pixels outside a "clip" border, in the image's own units.
    method : str
        Algorithm of a convolution: "auto", "direct", "separable", "fft", "gemm".
    correlate : bool
        Compute a correlation: do not flip the kernel.
    normalize : str
        Divide the taps by their sum ("sum") or by the sum of their absolute values ("abs"); "none": do not.
    range : str
        Conversion of values to pixels: "auto", "clip", "abs", "center", "stretch", or "raw" (no conversion).
    depth : str
        Bit depth of the result: "keep", "8", "16", "float".
    format : str
        Format of results in a folder, such as "png" (default).
    quality : int, 1 to 100
        Quality of JPEG, WebP and JPEG 2000.
    compression : int, 0 to 9
        Compression level of PNG.
    overwrite, skip_existing : bool
        Replace existing results, or skip their images; otherwise an image whose result exists fails.
    strip : bool
        Write no metadata; otherwise profile, EXIF, resolution and the like are kept as far as they still hold, and
        remarks "metadata" say what is not.
    jobs : int
        Images at once; default: the number of processors.
    max_pixels : int
        Images with more pixels are refused.
    allow_truncated : bool
        Read truncated files as far as possible, with a remark "damaged".
    page : int
        Page, frame or image of a file that holds several; default: the first that is no reduced version.
    bands : sequence of int
        Bands to read, counted from 1: one as gray, three as RGB, then perhaps alpha; default: color and alpha.
    isolate : bool
        Decode in a separate process, so that a crash costs only its own image.
    background : str or (int, int, int)
        Color that transparent images are shown on before they are filtered; see `flatten`. Default: alpha is filtered
        too; kernels whose taps add up to 0 or less see images on white, with a remark "alpha".
    nodata : float or "auto"
        Value of pixels that hold no data (NaN: in any channel; others: in every channel), or "auto": as TIFF's
        GDAL_NODATA says. They stay as they are, with a remark "nodata", and the rest is weighed by what is left.
    events : callable
        Called with `Progress` for the strips of a large image.
    **parameters
        Parameters of the named kernel: size, sigma, truncate ...

    Yields
    ------
    Outcome
        An outcome for each image, in order: `source.path`, and `value` (with `output` and `shape`) or `error`. Remarks
        count clipped pixels ("clipped", `by_rule` unless range or depth is given) and values that are NaN or infinite
        ("values"). `result()` returns the value or raises the error.

    Raises
    ------
    ParameterError
        A name is unknown, arguments contradict each other, several images have one output file, or a result would
        overwrite an input.

    Examples
    --------
    >>> import tempfile
    >>> import imgtool
    >>> folder = tempfile.mkdtemp()
    >>> for outcome in imgtool.filter_images("sample_images/camera.png", "gaussian", sigma=2, output=f"{folder}/"):
    ...     print(outcome.result().shape)
    (256, 256)
    """
    source = source_of(
        images, max_pixels=max_pixels, allow_truncated=allow_truncated, page=page, bands=bands, isolate=isolate,
        background=background,
    )  # fmt: skip
    output = None if output is None else path_text(output, "output")
    writing = Writing(output, format, overwrite, skip_existing, quality, compression, strip)
    if is_sheet(kernel, border):
        draw = sheet_of(kernel, border, border_value, correlate, normalize, range, parameters)
        return write_sheets(
            source, draw, writing, what="borders" if border == ALL else "kernels", jobs=jobs, events=events,
            depth=(depth, "keep"), nodata=(nodata, None), method=(method, "auto"),
        )  # fmt: skip
    make = functools.partial(
        filter_of, kernel, border, border_value, method, correlate, normalize, range, depth, **parameters
    )
    compute: Compute | ByFile = make(nodata=nodata_value(nodata))
    if nodata == "auto":
        compute = ByFile(lambda file, page: make(nodata=nodata_of(file, page)))
    raw = range == "raw" or depth == "float"
    same = keeps_meaning(taps_of(kernel, normalize, parameters), range)
    return write_pictures(
        source, compute, writing, what=label_of(kernel), same_meaning=same, raw=raw,
        clips_by_rule=range == "auto" and depth == "keep", jobs=jobs, events=events,
    )  # fmt: skip


def keeps_meaning(taps: np.ndarray | None, range: str) -> bool:
    """Tell whether results are colors as the images are: by taps that add up to 1, or a neighborhood filter (None)."""
    return range in ("auto", "clip", "raw") and (taps is None or abs(float(taps.sum()) - 1) < 1e-6)


def nodata_value(nodata: Any) -> float | None:
    """Return the value that stands for no data; 0 for `auto`, which every kernel that takes one takes."""
    if nodata is None or (isinstance(nodata, str) and nodata == "auto"):
        return None if nodata is None else 0.0
    try:
        return float(nodata)
    except (TypeError, ValueError):
        text = f"nodata must be a number, nan or auto, got {nodata!r}"
        raise ParameterError(text, parameters=("nodata",)) from None


def nodata_of(file: bytes | str, page: int | None) -> float | None:
    """Return the value that a TIFF's GDAL_NODATA names, None where there is none; file: its bytes or its path.

    Raises ImageError for one that is no number.
    """
    from imgtool.image import read_metadata
    from imgtool.image.metadata import GDAL_NODATA

    content = next((data for tag, _, data in read_metadata(file, page=page).nodata if tag == GDAL_NODATA), b"")
    text = content.split(b"\0")[0].decode("ascii", "replace").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise ImageError(f"its GDAL_NODATA is no number: {text!r}") from None


def label_of(kernel: Any) -> Any:
    """Return what a kernel is called in records and in names that are made up; several names as they are."""
    return kernel if isinstance(kernel, str) or is_names(kernel) else "kernel"


@checks_options
def filter_image(
    image: ArrayLike,
    kernel: Any = "gaussian",
    *,
    border: str = "reflect",
    border_value: float = 0.0,
    method: str = "auto",
    correlate: bool = False,
    normalize: str = "none",
    range: str = "auto",
    depth: str = "keep",
    background: Any = None,
    nodata: float | None = None,
    **parameters: Any,
) -> np.ndarray:
    """Filter one image; the pixels are those of `imgtool filter`, alpha, range and depth included.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Gray, gray with alpha, RGB or RGBA; bool, integers or floats.
    kernel : str or array_like, (rows, columns)
        Name of a kernel or neighborhood filter, or taps.
    border : str
        What lies outside the image: "clip" (opaque black, or `border_value`), "wrap", "copy", "reflect", "mirror".
    border_value : float
        Value of the pixels outside a "clip" border, in the image's own units.
    method : str
        Algorithm of a convolution: "auto", "direct", "separable", "fft", "gemm".
    correlate : bool
        Compute a correlation: do not flip the kernel.
    normalize : str
        Divide the taps by their sum ("sum") or by the sum of their absolute values ("abs"); "none": do not.
    range : str
        Conversion of values to pixels: "auto", "clip", "abs", "center", "stretch", or "raw" (no conversion).
    depth : str
        Bit depth of the result: "keep", "8", "16", "float".
    background : str or (int, int, int)
        Color that a transparent image is shown on first; see `flatten`. Default: alpha is filtered too.
    nodata : float
        Value of pixels that hold no data and stay as they are (NaN: in any channel; others: in every channel).
    **parameters
        Parameters of the named kernel: size, sigma, truncate ...

    Returns
    -------
    ndarray, (height, width) or (height, width, channels)
        With alpha where the image has it and the kernel filters it.

    Raises
    ------
    ImageError
        The image is not valid.
    ParameterError
        A name is unknown, or arguments contradict each other.

    Notes
    -----
    Color under alpha 0 counts nowhere. By taps that add up to more than 0, premultiplied color and alpha are convolved
    alike, and the one is divided by the other. Neighborhood filters, such as median, take premultiplied color and alpha
    each by itself; a color is then at most its alpha, and divided by it. Where alpha becomes 0, so does color. Beyond a
    `clip` border lies opaque black, or `border_value`. By other taps, and with `background`, the image is seen on a
    background (white unless given), and the result has no alpha. `convolve` and `neighborhood` know no alpha: to them
    it is a channel like others.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> cut_out = np.array([[[255, 0, 0, 0], [255, 255, 255, 255]]], np.uint8)
    >>> imgtool.filter_image(cut_out, [[1, 1, 1]], normalize="sum").tolist()
    [[[255, 255, 255, 85], [255, 255, 255, 170]]]
    """
    from imgtool.arrays import image_array, real_number
    from imgtool.image.alpha import flatten
    from imgtool.image.color import MAX_CHANNELS

    array = image_array(image, max_channels=MAX_CHANNELS)
    array = array if background is None else flatten(array, background)
    given = {**parameters, "nodata": None if nodata is None else real_number(nodata, "nodata")}
    compute = filter_of(kernel, border, border_value, method, correlate, normalize, range, depth, **given)
    pixels: np.ndarray = compute(array)[0]
    return pixels
