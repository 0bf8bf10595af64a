"""What a model costs: time for one image and for many, how many numbers it has learned, memory.

Times are those of labeling a few decoded images, with libraries held to one thread and nothing else under way in this
process. Memory is how much the process grows, at its peak, while a model is fitted and labels images.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self, TypeVar

import numpy as np

from imgtool.batch.library_threads import one_library_thread
from imgtool.batch.memory import return_freed_memory
from imgtool.classifiers.protocol import Classifier
from imgtool.datasets.dataset import Dataset

IMAGES = 32  # of the held-out ones, by which times are measured
MAX_BYTES = 1 << 26  # of these images together
BATCHES = (8, 32)  # images labeled together, beside one alone
BATCHES_ON_GPU = (8, 32, 128, 512)
LEAST = 3  # images that are read, and labeled one by one, however long that takes
SECONDS = 0.4  # for each of the measurements
WATCH_SECONDS = 0.02  # between two looks at the memory
Item = TypeVar("Item")


def costs(model: Classifier, test: Dataset) -> dict[str, Any]:
    """Return what labeling costs, by the names of the table's rows; of times nothing where they cannot be measured."""
    facts = {"parameters": model.parameter_count(), "device": model.device}
    with contextlib.suppress(Exception), one_library_thread():  # the model's own predictions tell why it fails
        return facts | _times(model, _some_images(test))
    return facts


def _some_images(test: Dataset) -> list[np.ndarray]:
    """Return images from all over a data set, decoded; fewer where they are large."""
    chosen = np.unique(np.linspace(0, len(test) - 1, min(IMAGES, len(test))).astype(int))
    images = list[np.ndarray]()
    for index in _while_there_is_time(np.random.default_rng(0).permutation(chosen).tolist()):
        images.append(test.image(index))
        if len(images) >= LEAST and sum(image.nbytes for image in images) > MAX_BYTES:
            break
    return images


def _times(model: Classifier, images: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the time of an image alone, and the best rate of images in batches."""
    model.scores(images[:1])  # memory is laid out, libraries choose their ways
    alone = np.array([_seconds(model, [image]) for image in _while_there_is_time(images)])
    rates = {1: float(1 / alone.mean())}
    for batch in BATCHES if model.device == "cpu" else BATCHES_ON_GPU:
        if batch / max(rates.values()) < 2 * SECONDS:
            together = [images[place % len(images)] for place in range(batch)]
            rates[batch] = batch / min(_seconds(model, together) for _ in range(2))
    best = max(rates, key=lambda batch: rates[batch])
    median, late = np.percentile(1000 * alone, (50, 95)).tolist()
    return {"ms_per_image": median, "ms_per_image_p95": late, "images_per_second": rates[best], "batch": best}


def _seconds(model: Classifier, images: Sequence[np.ndarray]) -> float:
    """Return how long some images take together."""
    begin = time.perf_counter()
    model.scores(images)
    return time.perf_counter() - begin


def _while_there_is_time(items: Sequence[Item]) -> Iterator[Item]:
    """Yield items, after the first few only until the time is up."""
    begin = time.perf_counter()
    for number, item in enumerate(items):
        if number >= LEAST and time.perf_counter() - begin > SECONDS:
            return
        yield item


class Growth:
    """How much memory the process takes at its peak, beyond what it holds when the block begins.

    Where the peak is the highest of the whole process, the system knows it; else it is that of looks by a thread, which
    may miss what is taken for some milliseconds. On Linux only.
    """

    def __enter__(self) -> Self:
        gc.collect()
        return_freed_memory()
        self._before, self._highest_before = _resident(), _highest()
        self._seen, self._ended = self._before, Event()
        if self._before:
            Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def bytes(self) -> int | None:
        """Return the growth so far; None where the system does not say."""
        highest = _highest()
        peak = highest if highest > self._highest_before else max(self._seen, _resident())
        return peak - self._before if self._before else None

    def _watch(self) -> None:
        """Look again and again, until the block ends."""
        while not self._ended.wait(WATCH_SECONDS):
            self._seen = max(self._seen, _resident())


def _resident() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0


def _highest() -> int:
    """Return the most that it ever held; 0 where the system does not say."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0
