"""Images described by the workers of a Dask cluster, which read them at the paths that they have here."""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import imgtool
from imgtool.batch.cluster import cluster_map
from imgtool.batch.inputs import STANDARD_INPUT, Input
from imgtool.cli.images import Images, Outcome, attempt, decoded, reason, reported
from imgtool.errors import ClusterError, ImgtoolError, ParameterError

DESCRIBERS = "imgtool.cli.describers"  # by name: it imports the commands, which import this


class Task(NamedTuple):
    """What workers are told: a feature file's meta as JSON, the folder that its paths start from, how to read."""

    meta: str
    folder: str
    max_pixels: int
    allow_truncated: bool
    version: str


class Described(NamedTuple):
    """What a worker says of one image: what describes it, or why nothing does."""

    value: Any
    damaged: bool = False
    failure: str = ""


def each_on_cluster(address: str, images: Images, meta: dict[str, Any], *, first: int = 0) -> Iterator[Outcome[Any]]:
    """Yield what became of each image from the first on, as `each_input` does, with the work done elsewhere."""
    if images.isolated:
        raise ParameterError("--isolate does not go with --cluster, whose workers are processes of their own")
    if any(each.path == STANDARD_INPUT for each in images.inputs):
        raise ParameterError("standard input does not go with --cluster: workers read files")
    describe = functools.partial(describe_files, task_of(images, meta))
    results = cluster_map(describe, paths_of(images, first), address, workers=images.jobs)
    return reported(images, outcomes_of(images, results, first), first=first)


def task_of(images: Images, meta: dict[str, Any]) -> Task:
    """Return what workers are told."""
    return Task(json.dumps(meta), os.getcwd(), images.max_pixels, images.allow_truncated, imgtool.__version__)


def paths_of(images: Images, first: int) -> Iterator[str]:
    """Yield where the inputs from the first on lie."""
    return (os.path.abspath(images.inputs[index].path) for index in range(first, len(images.inputs)))


def outcomes_of(images: Images, results: Iterator[Described | None], first: int) -> Iterator[Outcome[Any]]:
    """Turn what workers say into outcomes."""
    for index, found in enumerate(results, first):
        source = images.inputs[index]
        if found is None:
            yield Outcome(index, source, error=ImgtoolError("ended each worker that tried to describe it"))
            continue
        if found.damaged:
            images.remark_damage(source)
        yield Outcome(index, source, found.value, ImgtoolError(found.failure) if found.failure else None)


def describe_files(task: Task, paths: list[str]) -> list[Described]:
    """Describe files; this runs in a worker."""
    if task.version != imgtool.__version__:
        raise ClusterError(f"a worker has imgtool {imgtool.__version__}, not {task.version}")
    describe = _describer(task.meta, task.folder)
    return [_described(task, describe, path) for path in paths]


@functools.lru_cache(maxsize=4)
def _describer(meta: str, folder: str) -> Callable[..., Any]:
    """Return the function that describes an image, made once a worker: it may read a codebook."""
    describe: Callable[..., Any] = importlib.import_module(DESCRIBERS).describer(json.loads(meta), folder)
    return describe


def _described(task: Task, describe: Callable[..., Any], path: str) -> Described:
    """Read and describe one file."""
    from imgtool.image import read

    def made(_: int, source: Input) -> Described:
        data = source.read_bytes()
        image, damaged = decoded(data, read, task.max_pixels, allow_truncated=task.allow_truncated)
        return Described(describe(image), damaged)

    outcome = attempt(made, 0, Input(path))
    return outcome.value or Described(None, failure=reason(outcome.error or ImgtoolError()))
