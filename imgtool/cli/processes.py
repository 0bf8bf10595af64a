"""Many images described by worker processes on this machine.

HoG and the like are many short calls, and two threads spend what they gain on Python's lock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain, islice
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from imgtool.batch.memory import keep_freed_memory
from imgtool.batch.pool import ordered_map
from imgtool.batch.worker import WorkerDiedError, Workers, channels, send
from imgtool.cli.images import Images, Outcome, reported
from imgtool.cli.remote import Described, Task, describe_files, outcomes_of, paths_of, task_of
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

LOT_S, MOST = 0.03, 32  # seconds that files asked for at once may take, and how many: to ask for each takes a while


def each_in_processes(images: Images, meta: dict[str, Any], *, first: int = 0, jobs: int) -> Iterator[Outcome[Any]]:
    """Yield what became of each image from the first on, as `each_input` does, with vectors made by `jobs` processes.

    This one is among them, and need not wait for the others to start.
    """
    task, rest = task_of(images, meta), paths_of(images, first)
    workers, at_work, at_once = Workers(__name__, f"serve({json.dumps(task)!a})"), Lock(), 1

    def lots() -> Iterator[list[str]]:
        while lot := list(islice(rest, at_once)):
            yield lot

    def described(paths: list[str]) -> list[Described]:
        nonlocal at_once
        begin = perf_counter()
        if at_work.acquire(blocking=False):
            try:
                found = describe_files(task, paths)
            finally:
                at_work.release()
        else:
            found = _described(workers, paths)
        at_once = min(max(round(LOT_S * len(paths) / (perf_counter() - begin)), 1), MOST)
        return found

    keep_freed_memory()
    results = ordered_map(described, lots(), jobs)
    try:
        yield from reported(images, outcomes_of(images, chain.from_iterable(results), first), first=first)
    finally:
        workers.close()


def _described(workers: Workers, paths: list[str]) -> list[Described]:
    """Have a worker describe files. Raises what ends the command."""
    try:
        answer, numbers = workers.ask({"paths": paths})
    except WorkerDiedError as error:
        if len(paths) > 1:
            return [found for path in paths for found in _described(workers, [path])]
        return [Described(None, failure=f"ended the process that was to describe it ({error})")]
    if "refused" in answer:
        raise ParameterError(answer["refused"])
    if "defect" in answer:
        raise RuntimeError(answer["defect"])
    return list(_found(answer["found"], numbers))


def _found(found: list[dict[str, Any]], numbers: np.ndarray | None) -> Iterator[Described]:
    """Yield what is said of each file, with its share of the numbers."""
    end = 0
    for each in found:
        value = None
        if numbers is not None and each["shape"] is not None:
            begin, end = end, end + math.prod(each["shape"])
            value = numbers[begin:end].reshape(each["shape"])
        yield Described(value, each["damaged"], each["failure"])


def serve(task_text: str) -> None:
    """Be a worker: describe one file after the other until standard input ends."""
    requests, answers = channels()
    task = Task(*json.loads(task_text))
    while line := requests.readline():
        send(answers, *_answer(task, json.loads(line)["paths"]))


def _answer(task: Task, paths: list[str]) -> tuple[Any, ...]:
    """Return what is said of files, and their vectors."""
    try:
        found = describe_files(task, paths)
    except ParameterError as error:
        return ({"refused": str(error)},)
    except Exception as error:  # a defect of imgtool itself, which the process that asks tells
        return ({"defect": f"{type(error).__name__}: {error}"},)
    told = [
        {"shape": None if value is None else value.shape, "damaged": damaged, "failure": failure}
        for value, damaged, failure in found
    ]
    vectors = [each.value.reshape(-1) for each in found if each.value is not None]
    if not vectors:
        return ({"found": told},)
    return {"found": told, "shape": [sum(map(len, vectors))], "dtype": vectors[0].dtype.name}, *vectors
