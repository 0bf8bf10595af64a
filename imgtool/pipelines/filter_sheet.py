"""Sheets that compare filters of one image: each border, or several kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.errors import ParameterError
from imgtool.parameters import checks_options
from imgtool.pipelines.kernel_filter import filter_of, taps_of
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.pictures import Picture, Writing, Written, write_pictures
from imgtool.pipelines.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from imgtool.events import Events

    Draw = Callable[[np.ndarray], np.ndarray]

ALL = "all"  # as a border: each of them
MAX_COLUMNS = 5  # of a sheet


def is_sheet(kernel: Any, border: str) -> bool:
    """Tell whether a sheet is asked for: several kernels by name, or all borders."""
    return isinstance(border, str) and (border == ALL or is_names(kernel))


def is_names(kernel: Any) -> bool:
    """Tell whether several kernels are meant, by their names."""
    return isinstance(kernel, list | tuple) and len(kernel) > 0 and all(isinstance(each, str) for each in kernel)


def write_sheets(
    source: Source,
    draw: Draw,
    writing: Writing,
    *,
    what: str,
    jobs: int | None,
    events: Events | None,
    **refused: tuple[Any, Any],
) -> Iterator[Outcome[Written]]:
    """Draw and write a sheet of each image, without metadata. refused: options of results, given and usual values."""
    for name, (given, usual) in refused.items():
        if given != usual:
            raise ParameterError(f"{name} does not go with a sheet, which is an 8-bit picture", parameters=(name,))
    writing = replace(writing, strip=True)
    return write_pictures(
        source, lambda image: Picture(draw(image)), writing, what=what, same_meaning=False, jobs=jobs, events=events
    )


@checks_options
def filter_sheet(
    image: ArrayLike,
    kernel: Any = "gaussian",
    *,
    border: str = ALL,
    border_value: float = 0.0,
    correlate: bool = False,
    normalize: str = "none",
    range: str = "auto",
    background: Any = None,
    **parameters: Any,
) -> np.ndarray:
    """Return a sheet that compares filters of one image; what `imgtool filter` draws for several.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Gray, gray with alpha, RGB or RGBA; bool, integers or floats.
    kernel : str, list of str, or array_like, (rows, columns)
        Name of a kernel or neighborhood filter, or taps; with one border, a list of names.
    border : str
        "all": the image with what each border puts around it, a frame where it ends, and below the results. Another:
        the image, each kernel as it is written, and below its result with this border.
    border_value : float
        Value of the pixels outside the "clip" border, in the image's own units.
    correlate : bool
        Compute correlations: do not flip the kernels.
    normalize : str
        Divide the taps by their sum ("sum") or by the sum of their absolute values ("abs"); "none": do not.
    range : str
        Conversion of values to pixels: "auto", "clip", "abs", "center", "stretch".
    background : str or (int, int, int)
        Color that a transparent image is shown on first; see `flatten`.
    **parameters
        Parameters of the named kernels: size, sigma, truncate ... Of several, each takes those that it knows.

    Returns
    -------
    ndarray, (height, width, 3), uint8

    Raises
    ------
    ImageError
        The image is not valid.
    ParameterError
        A name is unknown, none of the kernels takes a parameter, or arguments contradict each other.

    Examples
    --------
    >>> import imgtool
    >>> camera = imgtool.read("sample_images/camera.png")
    >>> imgtool.filter_sheet(camera, "box", size=31).shape
    (348, 738, 3)
    >>> imgtool.filter_sheet(camera, ["box", "sobel-x"], border="copy").shape[2]
    3
    """
    from imgtool.arrays import image_array
    from imgtool.image.alpha import flatten
    from imgtool.image.color import MAX_CHANNELS

    draw = sheet_of(kernel, border, border_value, correlate, normalize, range, parameters)
    array = image_array(image, max_channels=MAX_CHANNELS)
    return draw(array if background is None else flatten(array, background))


def sheet_of(
    kernel: Any,
    border: str,
    border_value: float,
    correlate: bool,
    normalize: str,
    range: str,
    parameters: Mapping[str, Any],
) -> Draw:
    """Return the function from an image to its sheet. Raises ParameterError for what no image could help."""
    if range == "raw":
        raise ParameterError("a sheet shows pixels, and range raw gives numbers", parameters=("range",))
    how = {"correlate": correlate, "normalize": normalize, "range": range, "depth": "8"}
    if not is_names(kernel):
        if border != ALL:
            text = f"a sheet compares all borders, or several kernels by name; got border {border} and one kernel"
            raise ParameterError(text, parameters=("border", "kernel"))
        return _sheet_of_borders(kernel, border_value, parameters, how)
    if border == ALL:
        raise ParameterError(f"border {ALL} takes one kernel, got {len(kernel)}", parameters=("border", "kernel"))
    return _sheet_of_kernels(parameters_of(kernel, parameters), {"border": border, "border_value": border_value, **how})


def parameters_of(names: Sequence[str], parameters: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each kernel's name with the parameters that it takes. Raises ParameterError for one that none takes."""
    from imgtool.filters.kernels import KERNELS
    from imgtool.filters.windows import NEIGHBORHOODS
    from imgtool.names import unknown_name

    entries = {**KERNELS, **NEIGHBORHOODS}
    for name in names:
        if name not in entries:
            raise unknown_name("kernel", name, entries)
    found = [(name, {k: v for k, v in parameters.items() if k in entries[name].defaults}) for name in names]
    for key in parameters:
        if not any(key in own for _, own in found):
            text = f"{key} goes with none of the kernels {', '.join(names)}"
            raise ParameterError(text, parameters=(key,))
    return found


def _sheet_of_borders(kernel: Any, value: float, parameters: Mapping[str, Any], how: dict[str, Any]) -> Draw:
    """Return what draws an image inside each border, and below the results."""
    from imgtool.filters.borders import BORDERS
    from imgtool.filters.drawing import padded_picture
    from imgtool.image.alpha import flatten
    from imgtool.image.sheet import Panel, panel_pixels, panel_sheet

    taps = taps_of(kernel, how["normalize"], dict(parameters))
    reach = (0, 0) if taps is None else (len(taps) // 2, taps.shape[1] // 2)
    side, name = panel_pixels(len(BORDERS)), caption(kernel, parameters)
    values = {border: value if border == "clip" else 0.0 for border in BORDERS}
    filters = {each: filter_of(kernel, each, values[each], **how, **parameters) for each in BORDERS}

    def draw(image: np.ndarray) -> np.ndarray:
        shown = flatten(image)
        pads = {each: padded_picture(shown, each, side, reach=reach, value=values[each]) for each in BORDERS}
        above = [Panel(pads[each], f"{each}\n{own.letters}") for each, own in BORDERS.items()]
        below = [Panel(_shown(run(image)[0], side), f"{name}, {each}") for each, run in filters.items()]
        return panel_sheet([above, below])

    return draw


def _sheet_of_kernels(kernels: Sequence[tuple[str, dict[str, Any]]], how: dict[str, Any]) -> Draw:
    """Return what draws an image, and each kernel above its result."""
    from imgtool.filters.drawing import kernel_picture
    from imgtool.image.sheet import Panel, panel_pixels, panel_sheet

    lines = -(-(len(kernels) + 1) // MAX_COLUMNS)
    columns = -(-(len(kernels) + 1) // lines)  # so that lines are about equally long
    side = panel_pixels(columns)
    taps = [taps_of(name, how["normalize"], own) for name, own in kernels]
    above = [None, *(None if each is None else Panel(kernel_picture(each, side), _size_of(each)) for each in taps)]
    filters = [(caption(name, own), filter_of(name, **how, **own)) for name, own in kernels]

    def draw(image: np.ndarray) -> np.ndarray:
        results = (Panel(_shown(run(image)[0], side), name) for name, run in filters)
        below = [Panel(_shown(image, side), "the image"), *results]
        begins = range(0, len(above), columns)
        return panel_sheet([each[begin : begin + columns] for begin in begins for each in (above, below)])

    return draw


def _size_of(taps: np.ndarray) -> str:
    """Return how large a kernel is, and between which values its taps lie."""
    rows, columns = taps.shape
    return f"{columns}x{rows} taps, {taps.min() + 0.0:.2g} to {taps.max() + 0.0:.2g}"


def _shown(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image as a panel's picture."""
    from imgtool.image.sheet import fitted, to_viewable

    return fitted(to_viewable(image), side)


def caption(kernel: Any, parameters: Mapping[str, Any]) -> str:
    """Return a kernel's name with its parameters, in a few words."""
    name = kernel if isinstance(kernel, str) else "kernel"
    values = (f"{key.replace('_', ' ')} {_plain(key, value)}" for key, value in parameters.items())
    return ", ".join([name, *values])


def _plain(key: str, value: Any) -> str:
    """Return one number, or two as the command line has them: along x first."""
    if not isinstance(value, tuple | list):
        return f"{value:g}"
    return ("x" if key == "size" else ",").join(f"{each:g}" for each in reversed(value))
