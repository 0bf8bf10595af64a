"""Formats that are a header and all samples, row by row: PNM, PAM, PFM, NPY."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def _pnm_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of a binary PGM or PPM."""
    kind = "P6" if shape[2:] == (3,) else "P5"
    return f"{kind}\n{shape[1]} {shape[0]}\n{np.iinfo(dtype).max}\n".encode()


def _pam_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of a PAM."""
    depth = shape[2] if len(shape) == 3 else 1
    kind = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}[depth]
    lines = f"WIDTH {shape[1]}", f"HEIGHT {shape[0]}", f"DEPTH {depth}", f"MAXVAL {np.iinfo(dtype).max}"
    return "\n".join(["P7", *lines, f"TUPLTYPE {kind}", "ENDHDR\n"]).encode()


def _pfm_head(shape: tuple[int, ...], _dtype: np.dtype) -> bytes:
    """Return the header of a little-endian PFM."""
    kind = "PF" if shape[2:] == (3,) else "Pf"
    return f"{kind}\n{shape[1]} {shape[0]}\n-1.0\n".encode()


def _npy_head(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the header of an NPY file."""
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@dataclass(frozen=True)
class PlainFormat:
    """A format that is a header and all samples, row by row."""

    head: Callable[[tuple[int, ...], np.dtype], bytes]
    big_endian: bool = False
    upside_down: bool = False

    def encode(self, image: np.ndarray) -> bytes:
        """Return the bytes of the file."""
        rows = image[::-1] if self.upside_down else image
        return self.head(image.shape, image.dtype) + rows.astype(self.sample_type(image.dtype), copy=False).tobytes()

    def sample_type(self, dtype: np.dtype) -> np.dtype:
        """Return the type of the samples with its byte order."""
        return dtype.newbyteorder(">" if self.big_endian else "<")


PLAIN_FORMATS = {
    "pnm": PlainFormat(_pnm_head, big_endian=True),
    "pam": PlainFormat(_pam_head, big_endian=True),
    "pfm": PlainFormat(_pfm_head, upside_down=True),
    "npy": PlainFormat(_npy_head),
}
