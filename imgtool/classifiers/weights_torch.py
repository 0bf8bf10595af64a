"""Files of weights as PyTorch writes them. Imported late: importing this module imports PyTorch.

They are pickles; only tensors, numbers, texts and containers of these are ever made of one (`weights_only`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from imgtool.errors import DataError
from imgtool.files import open_regular


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file by name: views of the file, which are read where they are used.

    A file in PyTorch's old format is read plainly. Raises DataError, in one line, for a file that holds anything else.
    """
    try:
        with open_regular(path) as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except MemoryError:
        raise
    except Exception as error:  # of many types, and over many lines
        raise DataError(f"{path}: is no file of tensors alone, and is refused: {type(error).__name__}") from None
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds no tensors by name")
    return {_text(path, name): _array(path, name, tensor) for name, tensor in content.items()}


def _text(path: Path, name: object) -> str:
    """Return a tensor's name."""
    if not isinstance(name, str):
        raise DataError(f"{path}: holds a tensor called {name!r}")
    return name


def _array(path: Path, name: object, tensor: object) -> np.ndarray:
    """Return a tensor as an array over the same memory. Raises DataError for what is none, or of a strange type."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        raise DataError(f"{path}: {name} is no tensor")
    if tensor.dtype not in (torch.float32, torch.int64):
        raise DataError(f"{path}: {name} is {str(tensor.dtype).removeprefix('torch.')}, not float32")
    return np.asarray(tensor.detach().numpy())
