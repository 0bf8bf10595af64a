"""Write an image to a file, completely or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from imgtool.batch.inputs import path_text
from imgtool.batch.outputs import write_file
from imgtool.image.write import encode, format_of
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.metadata import Metadata


def write(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    format: str | None = None,
    quality: int | None = None,
    compression: int | None = None,
    metadata: Metadata | None = None,
    remarks: list[Remark] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image to a file.

    Parameters
    ----------
    path : path
        The file; missing folders are created.
    image : array_like, (height, width) or (height, width, 1 to 4)
        Of a type that the format supports: tiff and npy any integers and floats; bool is written as 8-bit black and
        white.
    format : str, optional
        As for `encode`; default: by the file's suffix.
    quality, compression : int, optional
        As for `encode`.
    metadata : Metadata, optional
        What `read_metadata` returns, as for `encode`.
    remarks : list of Remark, optional
        Takes what of the metadata is left out.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None

    Raises
    ------
    ImageError
        The image is not valid, or the format does not support its type or channels.
    OutputError
        The file exists, or cannot be written.
    ParameterError
        The suffix or format is unknown, or the format does not have an option.

    Notes
    -----
    The file appears complete or not at all: it is written under a temporary name in the same folder and renamed.

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
    path = path_text(path)
    name = format_of(path) if format is None else format
    data = encode(image, name, quality=quality, compression=compression, metadata=metadata, remarks=remarks)
    write_file(path, data, overwrite=overwrite)
