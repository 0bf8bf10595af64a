"""Gradients of image files, as pixels: what `imgtool gradient` does."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.errors import ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.pictures import Writing, Written, write_pictures
from imgtool.pipelines.source import Source

if TYPE_CHECKING:
    import numpy as np

    from imgtool.events import Events
    from imgtool.filters.strip_filter import StripFilter
    from imgtool.image.pixels import Extremes, Pixels


def gradient_images(
    source: Source,
    *,
    operator: str = "sobel",
    show: str = "magnitude",
    sigma: float | None = None,
    border: str = "reflect",
    channel: str = "max",
    normalize: str = "none",
    degrees: bool = False,
    range: str = "auto",
    depth: str = "keep",
    jobs: int | None = None,
    events: Events | None = None,
    **writing: Any,
) -> Iterator[Outcome[Written]]:
    """Compute and write each image's gradient in the form `show`; transparent images are seen on a background.

    show: x, y, magnitude, phase, picture (of both), or all, a sheet of them; the rest as `imgtool.filters.gradient`
    takes it.
    writing: the fields of `Writing`. Raises ParameterError for a combination that does not exist.
    """
    raw = range == "raw"
    if degrees and not (raw and show == "phase"):
        text = "degrees goes with show phase and range raw: pixels show phase from black to white"
        raise ParameterError(text, parameters=("degrees", "show", "range"))
    if show == "picture" and (raw or channel == "each"):
        text = "show picture is 8-bit color of one gradient; it has no raw numbers or channels"
        raise ParameterError(text, parameters=("show",))
    if show == "all":
        return _write_sheets(
            source, Writing(**writing), jobs, events, {"depth": (depth, "keep"), "range": (range, "auto")},
            operator=operator, sigma=sigma, border=border, channel=channel, normalize=normalize,
        )  # fmt: skip
    compute = gradient_filter(operator, show, sigma, border, channel, degrees, range, depth, normalize)
    raw, by_rule = raw or depth == "float", range == "auto" and depth == "keep"
    return write_pictures(
        source, compute, Writing(**writing), what=show, same_meaning=False, raw=raw, clips_by_rule=by_rule, jobs=jobs,
        events=events,
    )  # fmt: skip


def _write_sheets(
    source: Source,
    writing: Writing,
    jobs: int | None,
    events: Events | None,
    refused: dict[str, tuple[Any, Any]],
    **settings: Any,
) -> Iterator[Outcome[Written]]:
    """Draw and write a sheet of each image's gradient. Raises ParameterError for what no image could help."""
    from imgtool.filters.borders import BORDERS
    from imgtool.filters.gradient import operator_kernels
    from imgtool.names import unknown_name
    from imgtool.pipelines.filter_sheet import write_sheets
    from imgtool.pipelines.gradient_sheet import gradient_sheet, require_one_gradient

    operator_kernels(settings["operator"], settings["sigma"], settings["normalize"])
    require_one_gradient(settings["channel"])
    if settings["border"] not in BORDERS:
        raise unknown_name("border", settings["border"], BORDERS)
    draw = functools.partial(gradient_sheet, **settings)
    return write_sheets(source, draw, writing, what="gradient", jobs=jobs, events=events, **refused)


def gradient_filter(
    operator: str,
    show: str,
    sigma: float | None,
    border: str,
    channel: str,
    degrees: bool,
    range: str,
    depth: str,
    normalize: str = "none",
) -> StripFilter:
    """Return the function from an image to the pixels that show its gradient."""
    import numpy as np

    from imgtool.filters.engine.magnitude import magnitude_by
    from imgtool.filters.gradient import color_gradient, magnitude, noise_floor, operator_kernels, phase, reach
    from imgtool.filters.strip_filter import Rows, StripFilter
    from imgtool.image.alpha import flatten, has_alpha
    from imgtool.image.pixels import extremes_of
    from imgtool.pipelines.image_filter import survey

    kernels = operator_kernels(operator, sigma, normalize)
    smooths = bool(sigma) and operator != "gaussian"
    one_pass = show == "magnitude" and not smooths and depth in ("keep", "8") and range not in ("stretch", "raw")
    shows_small = show in ("phase", "picture") or range == "stretch"  # where noise would be seen

    def values(image: np.ndarray, peak: float = 0.0) -> np.ndarray:
        color = flatten(image)
        if one_pass and color.ndim == 2 and color.dtype == np.uint8:
            return magnitude_by(color, *kernels, border=border, dtype=np.float32)
        gx, gy = color_gradient(color, channel, operator=operator, border=border, sigma=sigma, normalize=normalize)
        floor = noise_floor(operator, sigma, peak, gx.dtype, normalize)
        if show in ("x", "y"):
            return without_noise(gx if show == "x" else gy, floor)
        if show == "phase":
            return phase(gx, gy, floor=floor)
        length = without_noise(magnitude(gx, gy), floor)
        return np.stack([length, phase(gx, gy, floor=floor)], axis=2) if show == "picture" else length

    def pixels(numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        return _pixels(numbers, image.dtype, extremes, show, degrees, range, depth)

    measure = None
    if show == "picture":
        measure = lambda numbers: extremes_of(numbers[:, :, 0])  # noqa: E731
    elif range == "stretch" and show != "phase":
        measure = extremes_of
    size = 4 if one_pass else 8
    plain = StripFilter(values, pixels, reach(operator, sigma), wraps=border == "wrap", measure=measure, size=size)

    def adapt(image: Rows) -> StripFilter:
        if not (shows_small or has_alpha(image.shape)):
            return plain
        found = survey(image, flatten if shows_small else None)
        flat = lambda *given: pixels(*given)._replace(flattened=True)  # noqa: E731
        own = functools.partial(values, peak=found.peak)
        return replace(plain, values=own, pixels=flat if found.transparent else pixels)

    return replace(plain, adapt=adapt)


def without_noise(numbers: np.ndarray, floor: float) -> np.ndarray:
    """Return numbers, those of smaller magnitude than `floor` as 0."""
    import numpy as np

    return np.where(np.abs(numbers) < floor, numbers.dtype.type(0), numbers) if floor else numbers


def _pixels(
    numbers: np.ndarray, like: np.dtype, extremes: Extremes | None, show: str, degrees: bool, range: str, depth: str
) -> Pixels:
    """Return the pixels that show some numbers."""
    import numpy as np

    from imgtool.image.color import direction_picture
    from imgtool.image.pixels import DEPTH_TYPES, Pixels, phase_pixels, to_pixels

    if show == "picture":
        return Pixels(direction_picture(numbers[:, :, 0], numbers[:, :, 1], extremes))
    if show == "phase" and range == "raw":
        return Pixels(np.degrees(numbers) if degrees else numbers)
    if show == "phase":
        return Pixels(phase_pixels(numbers, DEPTH_TYPES.get(depth, like)))
    return to_pixels(numbers, range, depth=depth, like=like, signed=show != "magnitude", extremes=extremes)
