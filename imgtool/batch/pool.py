"""Several images at once, results in the order of the inputs.

Threads, not processes: NumPy and OpenCV release the interpreter's lock where the time goes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


THREADS_ADDRESS_BYTES = 1 << 30  # of address space, below which everything is done one by one
_chosen: list[int] = []  # how many at once, the last one counting


@contextmanager
def at_once(jobs: int) -> Iterator[None]:
    """Have so many be under way at once in all that the block does, in the place of as many as there are processors."""
    _chosen.append(jobs)
    try:
        yield
    finally:
        _chosen.pop()


def processors() -> int:
    """Return how many processors this process may use, or how many jobs were chosen by `at_once`.

    One where the process may have little address space: a thread takes some 70 MB of it, and one that dies of memory
    while it starts is waited for for ever, or takes the process along.
    """
    if _chosen:
        return _chosen[-1]
    if _address_bytes() < THREADS_ADDRESS_BYTES:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _address_bytes() -> int:
    """Return how much address space this process may have; a very large number where nothing limits it."""
    try:
        import resource
    except ImportError:  # no such limits on this system
        return 1 << 62
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 1 << 62 if limit == resource.RLIM_INFINITY else limit


def job_count(jobs: int | None) -> int:
    """Return how many jobs are meant, as many as there are processors for None. Raises ParameterError for others."""
    if jobs is None:
        return processors()
    from imgtool.arrays import whole_number

    return whole_number(jobs, "jobs")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """Yield function(item) for each item, in order, with `jobs` of them under way at once.

    At most 2 * jobs results wait to be taken, so memory stays bounded. An exception of the function is raised
    where its result would have come. NumPy and OpenCV are held to one thread a call meanwhile.
    """
    from imgtool.batch.library_threads import one_library_thread

    with one_library_thread():
        yield from map(function, items) if jobs <= 1 else map_in_threads(function, items, jobs)


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """Yield function(item) for each item, in order, as `ordered_map` does, without regard to libraries' own threads."""
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(jobs)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def batched(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Yield lists of so many items, the last as long as it comes."""
    rest = iter(items)
    while part := list(islice(rest, count)):
        yield part
