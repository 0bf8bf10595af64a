"""Many images described by worker processes on this machine.

HoG and the like are many short calls, and two threads spend what they gain on Python's lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from imgtool.batch.pool import ordered_map
from imgtool.batch.worker import Worker, channels, reason, send
from imgtool.cli.images import Images, Outcome, reported
from imgtool.cli.remote import Described, Task, describe_files, outcomes_of, paths_of, task_of


def each_in_processes(images: Images, meta: dict[str, Any], *, first: int = 0) -> Iterator[Outcome[Any]]:
    """Yield what became of each image from the first on, as `each_input` does, with vectors made by workers."""
    workers = _Workers(task_of(images, meta))
    results = ordered_map(workers.describe, paths_of(images, first), images.jobs)
    try:
        yield from reported(images, outcomes_of(images, results, first), first=first)
    finally:
        workers.close()


class _Workers:
    """Worker processes; several threads may ask at once, and each gets one to itself."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._idle: list[Worker] = []

    def describe(self, path: str) -> Described:
        """Have a worker describe a file; it is used again unless it died."""
        worker = self._idle.pop() if self._idle else Worker(__name__, f"serve({json.dumps(self._task)!a})")
        try:
            answer, vector = worker.ask({"path": path})
        except (OSError, ValueError):
            return Described(None, failure=f"ended the process that was to describe it ({reason(worker.end())})")
        self._idle.append(worker)
        return Described(vector, answer["damaged"], answer["failure"])

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().end()


def serve(task_text: str) -> None:
    """Be a worker: describe one file after the other until standard input ends."""
    requests, answers = channels()
    task = Task(*json.loads(task_text))
    while line := requests.readline():
        (found,) = describe_files(task, [json.loads(line)["path"]])
        head: dict[str, Any] = {"damaged": found.damaged, "failure": found.failure}
        if found.value is None:
            send(answers, head, b"")
        else:
            vector = found.value.reshape(-1)
            send(answers, {**head, "shape": found.value.shape, "dtype": vector.dtype.name}, vector)
