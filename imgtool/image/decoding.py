"""Calling decoders, which write warnings and raise errors of many kinds on what is broken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

from imgtool.errors import ImageError, MissingExtraError, ParameterError
from imgtool.image.shared_setting import SharedSetting

Result = TypeVar("Result")


class _Warnings:
    """Python's warning filters, which may be changed by one thread at a time only."""

    def __init__(self) -> None:
        self._before = warnings.catch_warnings()

    def ignore(self, on: bool) -> None:
        """Ignore all warnings, or bring back the filters that were there before."""
        if on:
            self._before = warnings.catch_warnings()
            self._before.__enter__()
            warnings.simplefilter("ignore")
        else:
            self._before.__exit__(None, None, None)


_silence = SharedSetting(_Warnings().ignore)


def call_decoder(work: Callable[[], Result]) -> Result:
    """Do what calls decoders, whose many kinds of errors all mean that the file is broken."""
    try:
        with _silence.at(True):
            return work()
    except (ImageError, MemoryError, MissingExtraError, ParameterError):
        raise
    except Exception as error:  # whatever a decoder raises on a hostile file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"cannot be decoded: {reason[:160]}") from None
