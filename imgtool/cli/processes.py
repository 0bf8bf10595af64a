"""Many images described by worker processes on this machine.

HoG and the like are many short calls, and two threads spend what they gain on Python's lock.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from imgtool.batch.pool import ordered_map
from imgtool.batch.worker import WorkerDiedError, Workers, channels, send
from imgtool.cli.images import Images, Outcome, reported
from imgtool.cli.remote import Described, Task, describe_files, outcomes_of, paths_of, task_of
from imgtool.errors import ParameterError


def each_in_processes(images: Images, meta: dict[str, Any], *, first: int = 0, jobs: int) -> Iterator[Outcome[Any]]:
    """Yield what became of each image from the first on, as `each_input` does, with vectors made by workers."""
    workers = Workers(__name__, f"serve({json.dumps(task_of(images, meta))!a})")
    results = ordered_map(functools.partial(_described, workers), paths_of(images, first), jobs)
    try:
        yield from reported(images, outcomes_of(images, results, first), first=first)
    finally:
        workers.close()


def _described(workers: Workers, path: str) -> Described:
    """Have a worker describe a file. Raises what ends the command."""
    try:
        answer, vector = workers.ask({"path": path})
    except WorkerDiedError as error:
        return Described(None, failure=f"ended the process that was to describe it ({error})")
    if "refused" in answer:
        raise ParameterError(answer["refused"])
    if "defect" in answer:
        raise RuntimeError(answer["defect"])
    return Described(vector, **answer["found"])


def serve(task_text: str) -> None:
    """Be a worker: describe one file after the other until standard input ends."""
    requests, answers = channels()
    task = Task(*json.loads(task_text))
    while line := requests.readline():
        send(answers, *_answer(task, json.loads(line)["path"]))


def _answer(task: Task, path: str) -> tuple[dict[str, Any], Any]:
    """Return what is said of a file, and its vector."""
    try:
        (found,) = describe_files(task, [path])
    except ParameterError as error:
        return {"refused": str(error)}, b""
    except Exception as error:  # a defect of imgtool itself, which the process that asks tells
        return {"defect": f"{type(error).__name__}: {error}"}, b""
    answer = {"found": {"damaged": found.damaged, "failure": found.failure}}
    if found.value is None:
        return answer, b""
    return {**answer, "shape": found.value.shape, "dtype": found.value.dtype.name}, found.value.reshape(-1)
