"""One rule for what arrays public functions take, applied at their entrance.

An image is whatever `numpy.asarray` makes a 2-D or 3-D array of bool, integers or floats, in any byte order, with any
strides, in either memory order, writable or not. What is native and contiguous already passes as it is; everything
else is copied once. Types without arithmetic of their own are taken as the nearest that has it:

    bool       -> float64, 0.0 and 1.0: white is 1, as for floats
    float16    -> float32, exactly
    longdouble -> float64, rounded

White of an integer type is its largest value, also where the type is signed. A list of whole numbers is int64. Complex
numbers, texts, objects, dates and other ranks are refused with an error of imgtool that names shape and type:
ImageError for images, ParameterError for other arguments. Both are ValueErrors.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgtool.errors import ImageError, ParameterError

MAX_WHOLE_NUMBER = 2**31 - 1  # where nothing else bounds one: all libraries count so far
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_REPLACED_TYPES: dict[np.dtype, np.dtype] = {
    np.dtype(np.bool_): _FLOAT64,
    np.dtype(np.float16): _FLOAT32,
    **({np.dtype(np.longdouble): _FLOAT64} if np.dtype(np.longdouble) != _FLOAT64 else {}),
}
_NATIVE_TYPES = frozenset(map(np.dtype, ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")))
_DIMENSIONS = (2, 3)


def image_array(image: ArrayLike, *, max_channels: int | None = None) -> np.ndarray:
    """Return an image as a native, contiguous array; one that is such already, as it is.

    max_channels: of functions that know what channels mean. Raises ImageError for everything that is no image.
    """
    if (
        type(image) is not np.ndarray
        or image.dtype not in _NATIVE_TYPES
        or not image.flags.c_contiguous
        or image.ndim not in _DIMENSIONS
        or not image.size
    ):
        image = _require_image(native_array(image))
    if max_channels is not None and image.ndim == 3 and image.shape[2] > max_channels:
        kind = f"shape {image.shape}, type {image.dtype}"
        raise ImageError(f"has {image.shape[2]} channels, and at most {max_channels} are taken: {kind}")
    return image


def native_array(values: ArrayLike) -> np.ndarray:
    """Return any array in native byte order, contiguous, and of a type that functions compute in."""
    try:
        array = np.asarray(values)
    except ValueError:
        return np.empty((), object)  # rows of unequal length
    if array.dtype.kind not in "biuf":
        return array
    native = array.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, _REPLACED_TYPES.get(native, native)).reshape(array.shape)


def _require_image(array: np.ndarray) -> np.ndarray:
    """Raise ImageError unless an array is an image with pixels."""
    kind = f"shape {array.shape} and type {array.dtype}"
    if array.dtype.kind not in "biuf" or array.ndim not in _DIMENSIONS:
        raise ImageError(f"is no image: these are 2-D or 3-D arrays of bool, integers or floats, not of {kind}")
    if not array.size:
        raise ImageError(f"has no pixels: an array of {kind}")
    return array


def argument_array(values: ArrayLike, name: str, *, dimensions: int) -> np.ndarray:
    """Return an argument of numbers by the same rule, such as a kernel or the rows of a matrix; it may be empty.

    Raises ParameterError, naming the argument.
    """
    array = native_array(values)
    if array.dtype.kind not in "biuf" or array.ndim != dimensions:
        kind = f"shape {array.shape} and type {array.dtype}"
        raise ParameterError(f"{name} must be a {dimensions}-D array of bool, integers or floats, got {kind}")
    return array


def float_array(values: ArrayLike, name: str, *, dimensions: int) -> np.ndarray:
    """Return an argument of numbers as floats: float32 stays, everything else becomes float64."""
    array = argument_array(values, name, dimensions=dimensions)
    return array if array.dtype == _FLOAT32 else array.astype(_FLOAT64, copy=False)


def gradient_arrays(gx: ArrayLike, gy: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both derivatives of an image as floats of one shape; ParameterError where they are not."""
    arrays = []
    for name, values in (("gx", gx), ("gy", gy)):
        plain = type(values) is np.ndarray and values.ndim in _DIMENSIONS and values.dtype in (_FLOAT32, _FLOAT64)
        if not plain:
            values = native_array(values)
            values = float_array(values, name, dimensions=3 if values.ndim == 3 else 2)
        arrays.append(np.asarray(values))
    if arrays[0].shape != arrays[1].shape:
        raise ParameterError(f"gx has the shape {arrays[0].shape} and gy {arrays[1].shape}; they must be equal")
    return arrays[0], arrays[1]


def whole_number(value: Any, name: str, *, low: int = 1, high: int = MAX_WHOLE_NUMBER) -> int:
    """Return a whole number, also one of NumPy's, as an int. Raises ParameterError out of range and for other types."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ParameterError(f"{name} must be a whole number, got {value!r}") from None
    if not low <= number <= high:
        limits = f"at least {low}" if number < low and high == MAX_WHOLE_NUMBER else f"{low} to {high}"
        raise ParameterError(f"{name} must be {limits}, got {number}")
    return number


def real_number(value: Any, name: str) -> float:
    """Return a number, also one of NumPy's, as a float. Raises ParameterError for other types and what no float holds.

    NaN and infinity are numbers: whoever takes none of them asks for the range that is meant.
    """
    if isinstance(value, Real | np.bool_):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ParameterError(f"{name} must be a number, got {value!r}")


def whole_numbers(values: Any, name: str, *, low: int = 1) -> tuple[int, ...]:
    """Return whole numbers, at least one, as ints. Raises ParameterError for other types, and for one below `low`."""
    try:
        found = () if isinstance(values, str | bytes) else tuple(values)
    except TypeError:
        found = ()
    if not found:
        raise ParameterError(f"{name} must be one or several whole numbers, got {values!r}")
    return tuple(whole_number(each, name, low=low) for each in found)


def whole_pair(value: Any, name: str, *, low: int = 1) -> tuple[int, int]:
    """Return (rows, columns) of a whole number for both or of a pair."""
    try:
        number = operator.index(value)
    except TypeError:
        values = tuple(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else ()
        if len(values) != 2:
            raise ParameterError(f"{name} must be a whole number or a pair of them, got {value!r}") from None
        rows, columns = (whole_number(each, name, low=low) for each in values)
        return rows, columns
    return whole_number(number, name, low=low), number


def cast_rounding(values: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Return numbers, none of them NaN, in a type; in an integer one rounded half to even and saturated."""
    target = np.dtype(dtype)
    if target.kind not in "iu":
        return np.asarray(values, target)
    if target.itemsize >= 4:  # float32 has no number just below 2^32
        values = values.astype(np.float64, copy=False)
    limits, rounded = np.iinfo(target), np.rint(values)
    if target.itemsize < 8:
        return np.asarray(rounded.clip(limits.min, limits.max, out=rounded), target)
    # The largest numbers of 64 bits are no floats: what is beyond the last float below them is set apart.
    last = np.nextafter(float(limits.max), 0.0)
    result = np.asarray(rounded.clip(float(limits.min), last), target)
    result[rounded > last] = limits.max
    return result
