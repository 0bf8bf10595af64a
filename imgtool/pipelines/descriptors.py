"""Descriptors by their names: a name and parameters stand for a function of an image.

Commands, worker processes, clusters, feature files and Python all use this table. `complete` fills in the defaults; its
result is stored as a feature file's `meta`, and `descriptor` returns the function for it.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from imgtool.errors import ParameterError
from imgtool.names import unknown_name
from imgtool.pipelines import embeddings, encodings
from imgtool.pipelines.encodings import ENCODINGS
from imgtool.pipelines.sizes import parse_size, resize_to
from imgtool.pipelines.source import BACKGROUND, Reading, color_text

if TYPE_CHECKING:
    import numpy as np

    from imgtool.features.sift import Descriptors
    from imgtool.pipelines.device_batches import DeviceBatch

Describe = Callable[["np.ndarray"], Any]
Parameters = dict[str, Any]

# Whose definition of HoG, and the parameters that it takes.
HOG_VARIANTS = {
    "skimage": ("orientations", "cell", "block", "norm", "sqrt"),
    "dalal-triggs": ("orientations", "cell", "block", "sqrt", "signed"),
    "uoctti": ("orientations", "cell"),
    "vlfeat-dalal-triggs": ("orientations", "cell"),
}
MAX_MESSAGE_CHARACTERS = 300


class Entry(NamedTuple):
    """One descriptor: how to complete its parameters, and the functions for them.

    function: of (parameters, the folder that paths in them start from); batch: of (parameters, device), for many
    images at once.
    """

    complete: Callable[..., Parameters]
    function: Callable[[Parameters, str], Describe]
    batch: Callable[[Parameters, str], DeviceBatch[Any]] | None = None


def complete(name: str, given: Mapping[str, Any]) -> Parameters:
    """Return all parameters of a descriptor, as a feature file's meta has them; None stands for the default.

    Raises ParameterError for an unknown name, and for parameters that it does not take.
    """
    entry = _entry(name)
    takes = inspect.signature(entry.complete).parameters
    given = {key: _plain(key, value) for key, value in given.items() if value is not None}
    if wrong := sorted(given.keys() - takes.keys()):
        raise ParameterError(f"{wrong[0]} is no parameter of {name}, which takes {', '.join(takes)}", parameters=wrong)
    with _refusing(name, given):
        return entry.complete(**given)


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as feature files hold it: NumPy's numbers and arrays as Python's, paths as text.

    Raises ParameterError for what JSON cannot hold.
    """
    if hasattr(value, "tolist") and not isinstance(value, type):
        value = value.tolist()
    if isinstance(value, list | tuple):
        parts = [_plain(name, each) for each in value]
        return parts if isinstance(value, list) else tuple(parts)
    if not isinstance(value, bool | int | float | str | os.PathLike):
        raise ParameterError(f"{name} must be a number, a text or a list of these, got {value!r}")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


@contextmanager
def _refusing(name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
    """Raise ParameterError for parameters of types that a descriptor cannot take."""
    try:
        yield
    except (TypeError, IndexError, AttributeError):
        text = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        raise ParameterError(f"{name} does not take {text}"[:MAX_MESSAGE_CHARACTERS]) from None


def checked_descriptor(name: str, parameters: Mapping[str, Any]) -> Describe:
    """Return the function that describes an image. Raises ParameterError for parameters that it cannot take."""
    with _refusing(name, parameters):
        return descriptor(name, parameters)


def descriptor(name: str, parameters: Mapping[str, Any], folder: str = "") -> Describe:
    """Return the function that describes an image, by a vector or by local descriptors (sift).

    parameters: all of them, from `complete` or a feature file; folder: that paths in them start from. Raises KeyError,
    TypeError or ValueError for parameters that are not complete.
    """
    return _entry(name).function(dict(parameters), folder)


def descriptor_of(meta: Mapping[str, Any], folder: str = "") -> Describe:
    """Return the function that describes an image with the settings and size of a feature file's meta.

    Raises KeyError, TypeError or ValueError for a meta that does not say.
    """
    parameters = {key: value for key, value in dict(meta["parameters"]).items() if key not in ("page", "bands")}
    size, background = parameters.pop("resize", None), parameters.pop("background", BACKGROUND)
    describe = descriptor(meta["descriptor"], parameters, folder)
    width_height = None if size is None else parse_size("resize", str(size))
    reading = Reading(background=color_text(background))

    def prepared(image: np.ndarray) -> Any:
        shown = reading.show(image, [])
        return describe(resize_to(shown, width_height) if width_height else shown)

    return prepared


def batch_descriptor(name: str, parameters: Mapping[str, Any], device: str) -> DeviceBatch[Any]:
    """Return the function that describes many images at once on a device. Raises ParameterError if there is none."""
    batch = _entry(name).batch
    if batch is None:
        raise ParameterError(f"{name} runs on the CPU, not on device {device}", parameters=("device",))
    return batch(dict(parameters), device)


def is_local(name: str) -> bool:
    """Tell whether a descriptor is local: many vectors per image, each with a frame."""
    return name == "sift"


def _entry(name: str) -> Entry:
    if name not in DESCRIPTORS:
        raise unknown_name("descriptor", name, DESCRIPTORS)
    return DESCRIPTORS[name]


def _complete_hog(
    variant: str = "skimage",
    orientations: int = 9,
    cell: int | Sequence[int] = 8,
    block: int | Sequence[int] | None = None,
    norm: str | None = None,
    sqrt: bool = False,
    signed: bool = False,
) -> Parameters:
    if variant not in HOG_VARIANTS:
        raise unknown_name("variant", variant, HOG_VARIANTS)
    options: Parameters = {"block": block, "norm": norm, "sqrt": sqrt or None, "signed": signed or None}
    parameters: Parameters = {"orientations": orientations, "cell": cell}
    parameters |= {name: value for name, value in options.items() if value is not None}
    takes = HOG_VARIANTS[variant]
    if wrong := set(parameters) - set(takes):
        text = f"{min(wrong)} does not go with variant {variant}, which takes {', '.join(takes)}"
        raise ParameterError(text, parameters=(min(wrong), "variant", *takes))
    for name in parameters.keys() & {"cell", "block"}:
        parameters[name] = _sides(name, parameters[name], variant)
    return {"variant": variant, **parameters}


def _sides(name: str, value: Any, variant: str) -> Any:
    """Return (rows, columns) of one number or two for scikit-image's form, and one number for the others."""
    numbers = tuple(value) if isinstance(value, Sequence) else (value,)
    most = 2 if variant == "skimage" else 1
    if not 1 <= len(numbers) <= most:
        takes = "one number, or rows and columns" if most == 2 else f"one number with variant {variant}"
        text = f"{name} takes {takes}, got {','.join(map(str, numbers))}"
        raise ParameterError(text, parameters=(name, "variant"))
    return (numbers[0], numbers[-1]) if most == 2 else numbers[0]


def _hog(parameters: Parameters, _: str) -> Describe:
    """Return the function that computes a variant; what the others need is not imported."""
    variant = parameters.pop("variant", "skimage")
    function: Callable[..., np.ndarray]
    if variant == "skimage":
        from imgtool.features.hog import hog as function
    elif variant == "dalal-triggs":
        from imgtool.features.dalal_triggs import dalal_triggs as function
    elif variant == "uoctti":
        from imgtool.features.uoctti import uoctti as function
    else:
        from imgtool.features.uoctti import vlfeat_dalal_triggs as function
    return functools.partial(function, **parameters)


def _complete_gist(
    preset: str = "lmgist",
    size: int | None = None,
    orientations: Sequence[int] | None = None,
    blocks: int | None = None,
    prefilter: float | None = None,
    color: bool | None = None,
) -> Parameters:
    from imgtool.features.gist import PRESETS

    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    turns = None if orientations is None else tuple(orientations)
    given = {"size": size, "orientations": turns, "blocks": blocks, "prefilter": prefilter, "color": color}
    return {**PRESETS[preset], **{name: value for name, value in given.items() if value is not None}}


def _gist(parameters: Parameters, _: str) -> Describe:
    from imgtool.features.gist import gist

    return functools.partial(gist, **parameters)


def _gist_batch(parameters: Parameters, device: str) -> DeviceBatch[np.ndarray]:
    from imgtool.features.gist_torch import gist_batch
    from imgtool.pipelines.device_batches import DeviceBatch

    return DeviceBatch(device, lambda images: list(gist_batch(images, device=device, **parameters)))


def _complete_sift(
    step: int | None = None,
    bins: int | Sequence[int] | None = None,
    window: str | None = None,
    bounds: Sequence[int] | None = None,
    color: str | None = None,
    root: bool = False,
    sparse: bool = False,
) -> Parameters:
    grid = {"bins": bins, "bounds": bounds, "color": color, "step": step, "window": window}
    if sparse:
        if given := [name for name, value in grid.items() if value is not None]:
            text = f"{given[0]} is for SIFT on a grid; keypoints choose their own places"
            raise ParameterError(text, parameters=given[:1])
        return {"keypoints": True, "root": root}
    sizes = [4] if bins is None else [bins] if isinstance(bins, int) else list(bins)
    one_scale = len(sizes) == 1 and color in (None, "gray")
    window = window or ("gaussian" if one_scale else "flat")
    grid = {"step": step or 4, "bins": sizes, "window": window, "bounds": bounds and list(bounds)}
    return {**grid, "root": root} | ({} if color in (None, "gray") else {"color": color})


def _sift(parameters: Parameters, _: str) -> Callable[[np.ndarray], Descriptors]:
    return _at_keypoints(parameters["root"]) if "keypoints" in parameters else _on_grid(**parameters)


def _at_keypoints(root: bool) -> Callable[[np.ndarray], Descriptors]:
    """Return the function that describes an image at its keypoints."""
    from imgtool.features import sift
    from imgtool.features.keypoints import sparse_sift

    def describe(image: np.ndarray) -> Descriptors:
        found = sparse_sift(image)
        return replace(found, values=sift.root(found.values)) if root else found

    return describe


def _on_grid(
    step: int,
    bins: Sequence[int],
    window: str,
    root: bool,
    bounds: Sequence[int] | None,
    color: str = "gray",
) -> Callable[[np.ndarray], Descriptors]:
    """Return the function that describes an image on a grid; of color also one bin size by PHOW, which smooths."""
    from imgtool.features import sift
    from imgtool.features.phow import phow

    region = _region(bounds)

    def describe(image: np.ndarray) -> Descriptors:
        if len(bins) == 1 and color == "gray":
            found = sift.dense_sift(image, step=step, bin_size=bins[0], window=window, bounds=region)
        else:
            found = phow(image, step=step, sizes=bins, window=window, color=color, bounds=region)
        return replace(found, values=sift.root(found.values)) if root else found

    return describe


def _region(bounds: Sequence[int] | None) -> tuple[int, int, int, int] | None:
    """Return (x0, y0, x1, y1)."""
    return (bounds[0], bounds[1], bounds[2], bounds[3]) if bounds else None


def _sift_batch(parameters: Parameters, device: str) -> DeviceBatch[Descriptors]:
    """Return the function that describes several images on a grid, on a device."""
    from imgtool.features import sift
    from imgtool.features.sift_torch import dense_sift_batch, phow_batch
    from imgtool.image.color import to_gray
    from imgtool.pipelines.device_batches import DeviceBatch

    if "keypoints" in parameters:
        raise ParameterError("device is for SIFT on a grid; keypoints are found on the CPU", parameters=("device",))
    bins, root, color = parameters["bins"], parameters["root"], parameters.get("color", "gray")
    common: Parameters = {"step": parameters["step"], "window": parameters["window"], "device": device}
    common["bounds"] = _region(parameters["bounds"])

    def describe(images: list[np.ndarray]) -> list[Descriptors]:
        if len(bins) == 1 and color == "gray":
            every = dense_sift_batch(images, bin_size=bins[0], **common)
        else:
            every = phow_batch(images, sizes=bins, color=color, **common)
        return [replace(found, values=sift.root(found.values)) for found in every] if root else every

    return DeviceBatch(device, describe, **({"prepare": to_gray} if color == "gray" else {}))


DESCRIPTORS = {
    "hog": Entry(_complete_hog, _hog),
    "gist": Entry(_complete_gist, _gist, _gist_batch),
    "sift": Entry(_complete_sift, _sift, _sift_batch),
    **{
        encoding: Entry(
            functools.partial(encodings.complete, encoding), functools.partial(encodings.describing, encoding)
        )
        for encoding in ENCODINGS
    },
    "embed": Entry(embeddings.complete, embeddings.describing, embeddings.batch),
}
