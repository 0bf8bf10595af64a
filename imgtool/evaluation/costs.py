"""What a model costs: time for one image and for many, how many numbers it has learned, memory.

Times are those of labeling a few decoded images in one thread, one after the other, with nothing else under way in this
process. Memory is how much the process grows, at its peak, while a model is fitted and labels images.
"""

from __future__ import annotations

import contextlib
import gc
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.batch.library_threads import one_library_thread
from imgtool.batch.memory import return_freed_memory
from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.dataset import Dataset

IMAGES = 32  # of the held-out ones, by which times are measured
BATCHES = (8, 32)  # images labeled together, beside one alone
LEAST = 3  # images that are labeled one by one, however long that takes
SECONDS = 0.4  # for each of the measurements
_RESET_PEAK = "5"  # for Linux's clear_refs


def costs(model: Classifier, test: Dataset) -> dict[str, Any]:
    """Return what labeling costs, by the names of the table's rows; None where it cannot be measured."""
    facts = {"parameters": model.parameter_count(), "device": model.device}
    chosen = np.unique(np.linspace(0, len(test) - 1, min(IMAGES, len(test))).astype(int))
    with contextlib.suppress(Exception):  # which the model's own predictions will tell
        images = [test.image(int(index)) for index in chosen]
        with one_library_thread():
            return facts | _times(model, images)
    return facts


def _times(model: Classifier, images: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the time of an image alone, and the best rate of images in batches."""
    model.scores(images[:1])  # memory is laid out, libraries choose their ways
    alone = np.array([_seconds(model, [image]) for image in _while_there_is_time(images)])
    rates = {1: float(1 / alone.mean())}
    for batch in BATCHES:
        if batch <= len(images) and batch / max(rates.values()) < 2 * SECONDS:
            rates[batch] = batch / min(_seconds(model, images[:batch]) for _ in range(2))
    best = max(rates, key=lambda batch: rates[batch])
    median, late = np.percentile(1000 * alone, (50, 95)).tolist()
    return {"ms_per_image": median, "ms_per_image_p95": late, "images_per_second": rates[best], "batch": best}


def _seconds(model: Classifier, images: Sequence[np.ndarray]) -> float:
    """Return how long some images take together."""
    begin = time.perf_counter()
    model.scores(images)
    return time.perf_counter() - begin


def _while_there_is_time(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield images, after the first few only until the time is up."""
    begin = time.perf_counter()
    for number, image in enumerate(images):
        if number >= LEAST and time.perf_counter() - begin > SECONDS:
            return
        yield image


class Growth:
    """How much memory the process takes, at its peak, beyond what it holds when this is made."""

    def __init__(self) -> None:
        gc.collect()
        return_freed_memory()
        self._before = _memory("VmRSS") if _reset_peak() else None

    def bytes(self) -> int | None:
        """Return the growth so far; None where the system does not say."""
        peak = None if self._before is None else _memory("VmHWM")
        return None if peak is None or self._before is None else max(peak - self._before, 0)


def _reset_peak() -> bool:
    """Have Linux begin anew to watch for the peak; False where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, "ascii")
    except OSError:
        return False
    return True


def _memory(name: str) -> int | None:
    """Return a number of bytes from Linux's status of this process."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None
