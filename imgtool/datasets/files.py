"""The files that a data set is read from, which no result replaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, open_parts


def files_of(data: str | os.PathLike[str] | Parts | Dataset, *, skip_bad: bool = False) -> Iterator[str]:
    """Yield the path of a data set, and each item that is a file. skip_bad: as for `load_dataset`."""
    parts = open_parts(data, skip_bad=skip_bad)
    if parts.path is not None:
        yield str(parts.path)
    for part in (parts.train, parts.test, parts.validation):
        yield from (str(item) for item in (part.items if part else ()) if isinstance(item, Path))
