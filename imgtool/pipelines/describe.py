"""Images described: to arrays, one an image, or to a feature file that can be gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import imgtool
from imgtool.batch.pool import processors
from imgtool.errors import ClusterError, OutputError, ParameterError
from imgtool.pipelines.descriptors import Describe, batch_descriptor, complete, is_local
from imgtool.pipelines.descriptors import descriptor as descriptor_function
from imgtool.pipelines.mapping import map_inputs
from imgtool.pipelines.outcomes import Outcome, Remark, reason
from imgtool.pipelines.source import MAX_PIXELS, ArraySource, Source, source_of

if TYPE_CHECKING:
    from imgtool.pipelines.device_batches import DeviceBatch
    from imgtool.pipelines.drawings import Draw

IMAGES_PER_WORKER = 100  # that are worth starting a process for

Watch = Callable[[Iterator[Outcome[Any]]], Iterator[Outcome[Any]]]


class FeatureSummary(NamedTuple):
    """What a feature file holds: images that were described, rows (one an image, or local descriptors), their width.

    failures: path and reason of each image that could not be described.
    """

    path: str
    images: int
    rows: int
    width: int
    failures: tuple[tuple[str, str], ...] = ()


def describe_images(
    images: Any,
    descriptor: str = "hog",
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    resize: str | None = None,
    device: str = "cpu",
    cluster: str | None = None,
    visualize: str | None = None,
    jobs: int | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    isolate: bool = False,
    watch: Watch | None = None,
    **parameters: Any,
) -> Any:
    """Describe images, to arrays or to a feature file: the same bytes as the command of that name writes.

    Parameters
    ----------
    images : path, or iterable of paths or arrays
        Files, and folders, all images in which are taken, in sorted order. Arrays are taken one by one, so that they
        may come from a generator; they cannot go to a feature file, which holds paths.
    descriptor : str
        "hog", "gist", "sift", or an encoding of dense SIFT: "fisher", "vlad", "bow", "sparse".
    output : path
        The feature file: .npz, .npy, .csv, .jsonl or .parquet.
    resume : bool
        Go on with a feature file that was interrupted.
    overwrite : bool
        Replace what is there.
    resize : str
        The size that images are brought to first, "640x480", or "640x" and "x480", which keep the ratio.
    device : str
        "cpu", or where many images are described at once (gist and sift): "cuda", "cuda:N", "auto".
    cluster : str
        The address of a Dask scheduler, or "local".
    visualize : path
        A folder or template for pictures of what the descriptor sees.
    jobs : int
        Images at once; all processors when not given. Results are the same bytes for every number.
    max_pixels : int
        Images with more are refused.
    allow_truncated : bool
        Read cut files as far as they go, with a remark "damaged".
    isolate : bool
        Decode in another process, whose crash stops nothing.
    watch : callable
        From the iterator of outcomes to one that gives the same, such as `tqdm.tqdm`.
    **parameters
        Of the descriptor, as the options of the command of that name: cell, orientations, codebook ...

    Returns
    -------
    iterator of Outcome, or FeatureSummary
        Without `output` what became of each image, in order: `source.path`, and `value`, an array (for sift an object
        with `frames` and `values`), or `error`; `result()` returns the value or raises the error. With `output` a
        summary of the file that was written: path, images, rows, width, failures.

    Raises
    ------
    ParameterError
        An unknown descriptor or parameter, or parameters that contradict each other.
    OutputError
        The feature file is there already or cannot be written.
    DataError
        A codebook or a journal is not what it should be, vectors differ in length, or no image could be described.

    Examples
    --------
    >>> for outcome in imgtool.describe_images(["sample_images/camera.png"], "hog", cell=16):
    ...     print(outcome.source.stem, outcome.result().shape)
    camera (15, 15, 2, 2, 9)
    >>> summary = imgtool.describe_images("sample_images/textures/brick", "gist", output=f"{folder}/brick.npz")
    >>> summary.width
    512
    """
    source = source_of(images, max_pixels=max_pixels, allow_truncated=allow_truncated, isolate=isolate, resize=resize)
    beside = None if output is None else os.fspath(output)
    filled = complete(descriptor, parameters)
    place = _resolve(device)
    work = Work(
        source=source,
        describe=descriptor_function(descriptor, filled) if place == "cpu" else None,
        batch=None if place == "cpu" else batch_descriptor(descriptor, filled, place),
        meta=meta_of(descriptor, filled, resize, place),
        cluster=cluster,
        jobs=jobs or processors(),
        draw=_drawing(descriptor, filled, visualize, source, overwrite, beside) if visualize else None,
    )
    watch = watch or iter
    if beside is None:
        return watch(work.outcomes())
    return _store(work, beside, resume, overwrite, watch)


def _drawing(
    name: str, parameters: dict[str, Any], output: str, source: Source, overwrite: bool, beside: str | None
) -> Draw:
    """Return what draws and writes a picture of each image's descriptor."""
    from imgtool.pipelines.drawings import drawing_of

    return drawing_of(name, parameters, output, source.inputs, overwrite=overwrite, beside=beside)


def meta_of(name: str, parameters: dict[str, Any], resize: str | None, device: str) -> dict[str, Any]:
    """Return what a feature file says of how it was made."""
    size = {"resize": resize} if resize else {}
    meta = {"descriptor": name, "parameters": {**parameters, **size}, "version": imgtool.__version__}
    return meta if device == "cpu" else {**meta, "device": device}


def _resolve(device: str) -> str:
    """Return "cpu", "cuda" or "cuda:N"."""
    if device == "cpu":
        return device
    from imgtool.device import resolve

    return resolve(device)


@dataclass(frozen=True)
class Work:
    """Images that are to be described, and how: by `describe` one at a time, or by `batch` many at once."""

    source: Source
    describe: Describe | None
    batch: DeviceBatch[Any] | None
    meta: dict[str, Any]
    cluster: str | None
    jobs: int
    draw: Draw | None

    def outcomes(self, first: int = 0) -> Iterator[Outcome[Any]]:
        """Yield what became of each image from the first on: what describes it, or an error."""
        source, draw, jobs = self.source, self.draw, self.jobs
        if self.cluster:
            if draw or self.batch:
                wrong = "visualize" if draw else "device"
                raise ParameterError(f"{wrong} does not go with cluster", parameters=(wrong, "cluster"))
            from imgtool.pipelines.worker_tasks import describe_on_cluster

            return describe_on_cluster(self.cluster, source, self.meta, jobs=jobs, first=first)
        if self.batch:
            from imgtool.pipelines.device_batches import describe_on_device

            return describe_on_device(source, self.batch, jobs=jobs, draw=draw, first=first)
        if (workers := self._workers(first)) > 1:
            from imgtool.pipelines.processes import describe_in_processes

            return describe_in_processes(source, self.meta, jobs=workers, first=first)
        return map_inputs(source, self._describe_one, jobs=jobs, first=first)

    def _describe_one(self, index: int, remarks: list[Remark]) -> Any:
        """Read, describe and perhaps draw one image."""
        assert self.describe is not None
        image = self.source.read(index, remarks)
        value = self.describe(image)
        if self.draw:
            self.draw(index, image, value)
        return value

    def _workers(self, first: int) -> int:
        """Return how many worker processes describe images faster than threads do: none where there are few.

        Not for local descriptors: threads describe them as fast, and they would have to be carried over.
        """
        source = self.source
        workers = min(self.jobs, (len(source) - first) // IMAGES_PER_WORKER)
        if workers < 2 or self.draw or is_local(self.meta["descriptor"]) or source.isolated:
            return 0
        return workers if source.reads_files_only else 0


def _store(work: Work, output: str, resume: bool, overwrite: bool, watch: Watch) -> FeatureSummary:
    """Describe images and write the feature file."""
    from imgtool.datasets.feature_file.resumable import ResumableFile

    local = is_local(work.meta["descriptor"])
    _check(output, work.source, local=local)
    failures = []
    with ResumableFile(output, work.source.inputs, work.meta, resume=resume, overwrite=overwrite) as file:
        done = file.done
        earlier = (Outcome[Any](index, work.source.input(index), error=error) for index, error in file.failures)
        try:
            for outcome in watch(chain(earlier, work.outcomes(done))):
                if outcome.error is not None:
                    failures.append((outcome.source.path, reason(outcome.error)))
                if outcome.index < done:
                    continue
                if outcome.error is not None:
                    file.add_failure(reason(outcome.error), getattr(outcome.error, "hint", ""))
                elif local:
                    file.add(outcome.value.values, outcome.value.frames)  # type: ignore[union-attr]
                else:
                    file.add(outcome.value)  # type: ignore[arg-type]
        except ClusterError as error:
            error.hint = "resume" if file.done else ""
            raise
        count, rows, width = file.finish()
    return FeatureSummary(output, count, rows, width, tuple(failures))


def _check(output: str, source: Source, *, local: bool) -> None:
    """Refuse a feature file that cannot or must not be written, before any work is done."""
    from imgtool.batch.outputs import identity
    from imgtool.datasets import feature_file
    from imgtool.datasets.feature_file.resumable import companions

    feature_file.check_suffix(output, local=local)
    if isinstance(source, ArraySource):
        raise ParameterError("arrays have no paths, which a feature file holds; give paths")
    places = {identity(path): path for path in (*companions(output), output)}
    for each in source.inputs:
        if path := places.get(identity(each.path)):
            raise OutputError("is an input; imgtool does not overwrite what it reads").within(path)
