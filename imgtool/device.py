"""Which devices there are, and what a device's name means. Imports no PyTorch: the driver and the package are asked."""

from __future__ import annotations

import ctypes
import re
import sys

from imgtool.errors import DeviceError, MissingExtraError, ParameterError

_NAME = re.compile(r"cuda(?::(\d+))?")


def resolve(name: str) -> str:
    """Return "cpu", "cuda" or "cuda:N" for what a user asked for.

    "auto" is "cuda" where a CUDA device and a PyTorch built for it are there, else "cpu". Raises DeviceError when
    the device asked for is missing (it never falls back in silence), MissingExtraError without PyTorch.
    """
    if name == "cpu":
        return "cpu"
    if name == "auto":
        return "cuda" if cuda_devices() and torch_build() not in (None, "cpu") else "cpu"
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if not match:
        raise ParameterError(f"no device {name!r}; there are auto, cpu, cuda and cuda:N")
    if torch_build() is None:
        raise MissingExtraError("torch", f"device {name}", parameters=("device",))
    count = cuda_devices()
    if torch_build() == "cpu":
        text = f"device {name}: the PyTorch installed here is built for the CPU only"
        raise DeviceError(text, parameters=("device",))
    if int(match[1] or 0) >= count:
        text = f"device {name}: this machine has {count or 'no'} CUDA device{'s' * (count != 1)}"
        raise DeviceError(text, parameters=("device",))
    return name


def torch_build() -> str | None:
    """Return what PyTorch is built for ("cpu", "cu126", ...; "default" when it does not say), None without it."""
    import importlib.metadata  # which takes longer than asking the driver

    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    return version.partition("+")[2] or ("cpu" if sys.platform == "darwin" else "default")


def cuda_devices() -> int:
    """Return how many devices the CUDA driver sees; 0 without a driver."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
