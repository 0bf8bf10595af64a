"""NumPy's .npy files: numbers only, nothing is unpickled."""

from __future__ import annotations

import io

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.header import BANDS, Header

_MOST_SAMPLES = 4096  # of a pixel


def header(data: bytes) -> Header:
    """Read shape and type."""
    shape, dtype, _, _ = layout_of(data)
    channels = shape[2] if len(shape) == 3 else 1
    bands = BANDS.get(channels, ("unspecified",) * channels)
    return Header("npy", shape[0], shape[1], channels, _shown_type(dtype).name, bands=bands)


def decode(data: bytes, *, allow_truncated: bool) -> np.ndarray:
    """Return the array in its type and native byte order; bool as black and white, half precision as float32."""
    shape, dtype, fortran, offset = layout_of(data)
    wanted = int(np.prod(shape))
    there = min(wanted, (len(data) - offset) // dtype.itemsize)
    if there < wanted and not allow_truncated:
        raise ImageError(f"is cut: {there} of {wanted} numbers are there", hint="truncated")
    values = np.zeros(wanted, dtype)
    values[:there] = np.frombuffer(data, dtype, there, offset)
    image = values.reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "b":
        return image.astype(np.uint8) * np.uint8(255)
    return image.astype(_shown_type(dtype))


def _shown_type(dtype: np.dtype) -> np.dtype:
    """Return the type of the array that a stored type becomes."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype.itemsize == 2 and dtype.kind == "f" else dtype.newbyteorder("=")


def layout_of(data: bytes) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """Read and check the header: shape, type, whether columns come first, where the numbers begin."""
    stream = io.BytesIO(data)
    shape, dtype, fortran = _read_header(stream)
    if dtype.hasobject:
        raise ImageError("holds Python objects; imgtool unpickles nothing")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(f"holds {dtype}, not real numbers")
    if not 2 <= len(shape) <= 3 or (len(shape) == 3 and not 1 <= shape[2] <= _MOST_SAMPLES):
        raise ImageError(f"has the shape {shape}; an image is (height, width) or (height, width, 1 to 4 channels)")
    return shape, dtype, fortran, stream.tell()


def _read_header(stream: io.BytesIO) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Parse the header with NumPy, which evaluates literals only."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except (ValueError, OSError, UnicodeDecodeError, SyntaxError, TypeError) as error:
        raise ImageError(f"has a broken header: {str(error).splitlines()[0][:100]}") from None
    if any(side < 0 for side in shape):
        raise ImageError(f"has the shape {shape}")
    return shape, dtype, fortran
