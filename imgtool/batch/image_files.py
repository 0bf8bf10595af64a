"""Write an image to a file, whole or not at all."""

from __future__ import annotations

import os

from numpy.typing import ArrayLike

from imgtool.batch.outputs import write_file
from imgtool.image.write import encode, format_of


def write(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    format: str | None = None,
    quality: int | None = None,
    compression: int | None = None,
    profile: bytes | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image to a file.

    Parameters
    ----------
    path : path
        Where; folders that lack are made.
    image : array_like, (height, width) or (height, width, 1 to 4)
        uint8, uint16, float32 or float64, as far as the format holds them; bool becomes black and white of 8 bits.
    format : str, optional
        As for `encode`; told by the name's suffix if not given.
    quality, compression : int, optional
        As for `encode`.
    profile : bytes, optional
        An ICC profile, as for `encode`.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    None

    Raises
    ------
    ImageError
        The format cannot hold the image's type or channels, or the image is no image.
    OutputError
        The file exists, or cannot be written.
    ParameterError
        The suffix or the format is unknown, or does not take an option.

    Notes
    -----
    The file appears whole or not at all: it is written under another name beside its place and renamed.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import imgtool
    >>> path = os.path.join(tempfile.mkdtemp(), "black.png")
    >>> imgtool.write(path, np.zeros((4, 6), np.uint8))
    >>> imgtool.read(path).shape
    (4, 6)
    """
    name = format_of(os.fspath(path)) if format is None else format
    data = encode(image, name, quality=quality, compression=compression, profile=profile)
    write_file(path, data, overwrite=overwrite)
