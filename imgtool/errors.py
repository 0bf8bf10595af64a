"""Every error that a user can meet, each with its exit status.

Raised where the trouble is seen, with what was needed and what came; caught once, in `imgtool.cli.main`,
which prints one line. A message says what is wrong with which value, and no path: the caller who knows
the path adds it (`within`). How an option is spelled, and what can be done about it, is added by the command line
(`imgtool.cli.messages`), which reads `parameters` and `hint`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

# What each optional part consists of; a test holds it to the project's own list.
EXTRAS = {
    "classic": ("scikit-learn>=1.4",),
    "torch": ("torch>=2.4",),
    "report": ("matplotlib>=3.8",),
    "cluster": ("distributed>=2024.1",),
    "parquet": ("pyarrow>=16",),
    "heif": ("pillow-heif>=1.0",),
    "onnx": ("onnx>=1.16", "onnxruntime>=1.18"),
}


# What libraries say where memory is short, in errors of many types.
_OUT_OF_MEMORY = re.compile(
    "failed to map segment|cannot allocate memory|can't allocate memory|unable to allocate|failed to allocate"
    "|insufficient memory|out of memory|bad_alloc|can't start new thread|cannot create shared object descriptor",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that it came of, means that memory is short, whatever its type."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        text = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
        if isinstance(found, MemoryError) or _OUT_OF_MEMORY.search(text):
            return True
        found = found.__cause__ or found.__context__
    return False


class ImgtoolError(Exception):
    """Base class of all expected errors. The exit status is 1 unless a subclass sets another.

    hint: a key to what can be done about it; parameters: the names of parameters, as Python spells them, that the
    message speaks of.
    """

    exit_status = 1

    def __init__(self, message: str = "", *, hint: str = "", parameters: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.place, self.hint, self.parameters = "", hint, tuple(parameters)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    @property
    def message(self) -> str:
        """What is wrong, without the place."""
        return str(self.args[0]) if self.args else ""

    def within(self, place: str) -> Self:
        """Return the error, which happened in a place such as a file."""
        self.place = f"{place}: {self.place}" if self.place else place
        return self


class ImageError(ImgtoolError, ValueError):
    """An image cannot be read, or is not suitable."""


class OutputError(ImgtoolError):
    """A result cannot be written."""


class DataError(ImgtoolError):
    """A data set, feature file, codebook or model folder is missing, damaged or inconsistent."""


class ClusterError(ImgtoolError):
    """A cluster's scheduler or workers cannot be reached, or have disappeared."""


class TrainingError(ImgtoolError):
    """Training cannot continue, for example because the loss is not finite."""


class ParameterError(ImgtoolError, ValueError):
    """A parameter is outside its range, or parameters contradict each other."""

    exit_status = 2


class MissingExtraError(ImgtoolError):
    """An optional extra is not installed."""

    exit_status = 2

    def __init__(self, extra: str, purpose: str, *, hint: str = "", parameters: Sequence[str] = ()) -> None:
        self.extra, self.purpose = extra, purpose
        packages = " ".join(f'"{each}"' for each in EXTRAS[extra])
        super().__init__(
            f"{purpose} needs the extra '{extra}': pip install {packages}", hint=hint, parameters=parameters
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.extra, self.purpose), self.__dict__


def failed_import(extra: str, purpose: str, error: ImportError) -> Exception:
    """Return the error for an extra's package that was not imported: MissingExtraError only where it is not there."""
    if is_out_of_memory(error):
        return MemoryError()
    if isinstance(error, ModuleNotFoundError):
        return MissingExtraError(extra, purpose)
    return ImgtoolError(f"{purpose} needs a package that cannot be loaded: {' '.join(str(error).split())}")


class DeviceError(ImgtoolError):
    """The requested device does not exist on this machine."""

    exit_status = 2
