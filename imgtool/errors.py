"""Every error that a user can meet, each with its exit status.

Raised where the trouble is seen, with what was needed and what came; caught once, in `imgtool.cli.main`,
which prints one line. A message names the bad value and what to do, and no path: the caller who knows
the path adds it.
"""

from __future__ import annotations


class ImgtoolError(Exception):
    """The root of all expected errors; exit status 1 unless a subclass says otherwise."""

    exit_status = 1


class ImageError(ImgtoolError, ValueError):
    """An image cannot be read, or cannot be used as it is."""


class OutputError(ImgtoolError):
    """A result cannot be written where it should go."""


class DataError(ImgtoolError):
    """A data set, feature file, codebook or model folder is not what it should be."""


class ClusterError(ImgtoolError):
    """A cluster's scheduler or workers cannot be reached, or are gone."""


class TrainingError(ImgtoolError):
    """Training cannot go on, such as after a loss that is not finite."""


class ParameterError(ImgtoolError, ValueError):
    """A parameter is outside its range, or parameters contradict each other."""

    exit_status = 2


class MissingExtraError(ImgtoolError):
    """An optional part is not installed."""

    exit_status = 2

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'imgtool[{extra}]'")


class DeviceError(ImgtoolError):
    """The device asked for is not there."""

    exit_status = 2
