"""Describe many images with worker processes on this machine.

HoG and similar descriptors make many short calls, for which threads lose more to Python's global lock than they gain.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import astuple
from itertools import chain, islice
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from imgtool.batch.memory import keep_freed_memory
from imgtool.batch.pool import ordered_map
from imgtool.batch.worker import WorkerDiedError, Workers, channels, send
from imgtool.errors import ParameterError
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.source import Source
from imgtool.pipelines.worker_tasks import Answer, Task, describe_files, outcomes_of, paths_of, task_of
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

CHUNK_SECONDS = 0.03  # that files asked for at once may take: to ask for each takes a while
MAX_CHUNK_FILES = 32


def describe_in_processes(source: Source, meta: dict[str, Any], *, jobs: int, first: int = 0) -> Iterator[Outcome[Any]]:
    """Yield an outcome for each image from `first` on, with vectors computed by `jobs` processes.

    The calling process is one of them, and starts without waiting for the others.
    """
    task, rest = task_of(source, meta), paths_of(source, first)
    workers, at_work, chunk_files = Workers(__name__, f"serve({json.dumps(task)!a})"), Lock(), 1

    def chunks() -> Iterator[list[str]]:
        while chunk := list(islice(rest, chunk_files)):
            yield chunk

    def describe(paths: list[str]) -> list[Answer]:
        nonlocal chunk_files
        begin = perf_counter()
        if at_work.acquire(blocking=False):
            try:
                answers = describe_files(task, paths)
            finally:
                at_work.release()
        else:
            answers = _ask(workers, paths)
        chunk_files = min(max(round(CHUNK_SECONDS * len(paths) / (perf_counter() - begin)), 1), MAX_CHUNK_FILES)
        return answers

    keep_freed_memory()
    results = ordered_map(describe, chunks(), jobs)
    try:
        yield from outcomes_of(source, chain.from_iterable(results), first)
    finally:
        workers.close()


def _ask(workers: Workers, paths: list[str]) -> list[Answer]:
    """Have a worker describe files. Raises what ends all."""
    try:
        answer, numbers = workers.ask({"paths": paths})
    except WorkerDiedError as error:
        if len(paths) > 1:
            return [each for path in paths for each in _ask(workers, [path])]
        return [Answer(None, failure=f"ended the process that was to describe it ({error})")]
    if "refused" in answer:
        raise ParameterError(answer["refused"], parameters=answer["parameters"], hint=answer["hint"])
    if "defect" in answer:
        raise RuntimeError(answer["defect"])
    return list(_unpack(answer["answers"], numbers))


def _unpack(answers: list[dict[str, Any]], numbers: np.ndarray | None) -> Iterator[Answer]:
    """Yield each file's answer with its numbers."""
    end = 0
    for each in answers:
        value = None
        if numbers is not None and each["shape"] is not None:
            begin, end = end, end + math.prod(each["shape"])
            value = numbers[begin:end].reshape(each["shape"])
        yield Answer(value, tuple(Remark(*remark) for remark in each["remarks"]), each["failure"], each["hint"])


def serve(task_text: str) -> None:
    """Be a worker: describe one file after the other until standard input ends."""
    requests, answers = channels()
    task = Task(*json.loads(task_text))
    while line := requests.readline():
        send(answers, *_serve(task, json.loads(line)["paths"]))


def _serve(task: Task, paths: list[str]) -> tuple[Any, ...]:
    """Return the answers for files, and their vectors."""
    try:
        answers = describe_files(task, paths)
    except ParameterError as error:
        return ({"refused": str(error), "parameters": error.parameters, "hint": error.hint},)
    except Exception as error:  # a defect of imgtool itself, which the process that asks tells
        return ({"defect": f"{type(error).__name__}: {error}"},)
    heads = [
        {
            "shape": None if each.value is None else each.value.shape,
            "remarks": [astuple(remark) for remark in each.remarks],
            "failure": each.failure,
            "hint": each.hint,
        }
        for each in answers
    ]
    vectors = [each.value.reshape(-1) for each in answers if each.value is not None]
    if not vectors:
        return ({"answers": heads},)
    return {"answers": heads, "shape": [sum(map(len, vectors))], "dtype": vectors[0].dtype.name}, *vectors
