"""Tasks for worker processes, on this machine or in a Dask cluster: describe files."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import imgtool
from imgtool.batch.cluster import cluster_map
from imgtool.batch.inputs import Input
from imgtool.errors import ClusterError, ImgtoolError, ParameterError
from imgtool.pipelines.descriptors import descriptor_of
from imgtool.pipelines.embeddings import weights_to_send
from imgtool.pipelines.mapping import attempt
from imgtool.pipelines.outcomes import Outcome, reason
from imgtool.pipelines.source import Reading, Source
from imgtool.remarks import Remark


class Task(NamedTuple):
    """A worker's task: a feature file's meta as JSON, the folder that its paths start from, and how to read."""

    meta: str
    folder: str
    reading: dict[str, Any]
    version: str


class Answer(NamedTuple):
    """A worker's answer for one image: its descriptor and remarks, or the reason for failure with the error's hint."""

    value: Any
    remarks: tuple[Remark, ...] = ()
    failure: str = ""
    hint: str = ""


def describe_on_cluster(
    address: str, source: Source, meta: dict[str, Any], *, jobs: int, first: int = 0
) -> Iterator[Outcome[Any]]:
    """Yield an outcome for each image from `first` on, described by a cluster's workers.

    The workers read the images at the same paths as this machine. jobs: workers of a cluster that is started.
    """
    if source.isolated:
        text = "isolate does not go with cluster, whose workers are processes of their own"
        raise ParameterError(text, parameters=("isolate", "cluster"))
    if not source.reads_files_only:
        raise ParameterError("standard input does not go with cluster: workers read files", parameters=("cluster",))
    describe = functools.partial(describe_files, task_of(source, meta))
    shared = weights_to_send(meta["parameters"]) if "weights" in meta["parameters"] else None
    answers = cluster_map(describe, paths_of(source, first), address, workers=jobs, shared=shared)
    return outcomes_of(source, answers, first)


def task_of(source: Source, meta: dict[str, Any]) -> Task:
    """Return the task for workers."""
    return Task(json.dumps(meta), os.getcwd(), asdict(source.reading), imgtool.__version__)


def paths_of(source: Source, first: int) -> Iterator[str]:
    """Yield the absolute paths of the inputs from `first` on."""
    return (os.path.abspath(source.input(index).path) for index in source.indexes(first))


def outcomes_of(source: Source, answers: Iterator[Answer | None], first: int) -> Iterator[Outcome[Any]]:
    """Convert workers' answers to outcomes."""
    for index, answer in enumerate(answers, first):
        answer = answer or Answer(None, failure="ended each worker that tried to describe it")
        error = ImgtoolError(answer.failure, hint=answer.hint) if answer.failure else None
        yield Outcome(index, source.input(index), answer.value, error, answer.remarks)


def describe_files(task: Task, paths: list[str]) -> list[Answer]:
    """Describe files; this runs in a worker."""
    if task.version != imgtool.__version__:
        raise ClusterError(f"a worker has imgtool {imgtool.__version__}, not {task.version}")
    describe = _describer(task.meta, task.folder)
    return [_describe(task, describe, path) for path in paths]


@functools.lru_cache(maxsize=4)
def _describer(meta: str, folder: str) -> Callable[..., Any]:
    """Return the function that describes an image, cached in each worker since it may read a codebook."""
    return descriptor_of(json.loads(meta), folder)


def _describe(task: Task, describe: Callable[..., Any], path: str) -> Answer:
    """Read and describe one file."""
    from imgtool.image import read

    def work(_: int, remarks: list[Remark]) -> Any:
        reading = Reading(**task.reading)
        return describe(reading.decode(Input(path).read_bytes(reading.max_pixels), read, remarks))

    outcome = attempt(work, 0, Input(path))
    if outcome.error is not None:
        return Answer(None, failure=reason(outcome.error), hint=getattr(outcome.error, "hint", ""))
    return Answer(outcome.value, outcome.remarks)
