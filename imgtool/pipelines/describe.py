"""Describe many images: as an iterator of arrays, or to a feature file whose run can be resumed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import imgtool
from imgtool.batch.inputs import path_text
from imgtool.batch.pool import job_count
from imgtool.errors import ClusterError, ParameterError
from imgtool.pipelines.descriptors import Describe, batch_descriptor, checked_descriptor, complete, is_local
from imgtool.pipelines.mapping import map_inputs
from imgtool.pipelines.outcomes import Outcome, reason
from imgtool.pipelines.source import MAX_PIXELS, ArraySource, Source, source_of
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.pipelines.device_batches import DeviceBatch
    from imgtool.pipelines.drawings import Drawing

IMAGES_PER_WORKER = 100  # that are worth starting a process for

Watch = Callable[[Iterator[Outcome[Any]]], Iterator[Outcome[Any]]]


class FeatureSummary(NamedTuple):
    """Summary of a feature file: described images, rows (one per image, or local descriptors), numbers per row.

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
    page: int | None = None,
    bands: Sequence[int] | None = None,
    isolate: bool = False,
    background: Any = None,
    watch: Watch | None = None,
    **parameters: Any,
) -> Any:
    """Describe images, as arrays or to a feature file with the same bytes as the command of that name writes.

    Parameters
    ----------
    images : path, or iterable of paths or arrays
        Files or folders; a folder stands for all images in it, in sorted order. Arrays are taken one by one, so that
        they may come from a generator; they cannot be written to a feature file, which stores paths.
    descriptor : str
        "hog", "gist", "sift", an encoding of dense SIFT ("fisher", "vlad", "bow", "sparse"), or "embed", a layer of a
        network.
    output : path
        The feature file: .npz, .npy, .csv, .jsonl or .parquet.
    resume : bool
        Continue an interrupted run.
    overwrite : bool
        Replace an existing file.
    resize : str
        Resize images first: "640x480", or "640x" or "x480", which keep the aspect ratio.
    device : str
        "cpu", or for gist, sift and embed "cuda", "cuda:N" or "auto": many images at once on a GPU.
    cluster : str
        The address of a Dask scheduler, or "local".
    visualize : path
        File, folder or template for pictures of the descriptors.
    jobs : int
        Images at once; default: the number of processors. Does not change results.
    max_pixels : int
        Images with more pixels are refused.
    allow_truncated : bool
        Read truncated files as far as possible, with a remark "damaged".
    page : int
        Page, frame or image of a file that holds several; default: the first that is no reduced version.
    bands : sequence of int
        Bands to read, counted from 1: one as gray, three as RGB, then perhaps alpha; default: color and alpha.
    isolate : bool
        Decode in a separate process, so that a crash costs only its own image.
    background : str or (int, int, int)
        Color that transparent images are shown on; default: white, with a remark "alpha". See `flatten`.
    watch : callable
        Wrapper of the iterator of outcomes, such as `tqdm.tqdm`.
    **parameters
        Parameters of the descriptor, named as the command's options: cell, orientations, codebook, model ...

    Returns
    -------
    iterator of Outcome, or FeatureSummary
        Without `output`, an outcome for each image, in order: `source.path`, and `value` (an array; for sift an object
        with `frames` and `values`) or `error`. `result()` returns the value or raises the error. With `output`, a
        summary of the written file: path, images, rows, width, failures.

    Raises
    ------
    ParameterError
        A descriptor or parameter is unknown, or parameters contradict each other.
    OutputError
        The feature file exists already or cannot be written.
    DataError
        A codebook, model or journal is invalid, vectors differ in length, or no image could be described.

    Examples
    --------
    >>> import tempfile
    >>> import imgtool
    >>> folder = tempfile.mkdtemp()
    >>> for outcome in imgtool.describe_images(["sample_images/camera.png"], "hog", cell=16):
    ...     print(outcome.source.stem, outcome.result().shape)
    camera (15, 15, 2, 2, 9)
    >>> summary = imgtool.describe_images("sample_images/textures/brick", "gist", output=f"{folder}/brick.npz")
    >>> summary.width
    512
    """
    source = source_of(
        images, max_pixels=max_pixels, allow_truncated=allow_truncated, page=page, bands=bands, isolate=isolate,
        resize=resize, background=background,
    ).flat()  # fmt: skip
    beside = None if output is None else path_text(output, "output")
    filled = complete(descriptor, parameters)
    place = _resolve(device)
    reads = (*source.also_read, *files_of(filled))
    work = Work(
        source=source,
        describe=checked_descriptor(descriptor, filled) if place == "cpu" else None,
        batch=None if place == "cpu" else batch_descriptor(descriptor, filled, place),
        meta=meta_of(descriptor, {**filled, **source.reading.meta}, resize, place),
        cluster=cluster,
        jobs=job_count(jobs),
        draw=_drawing(descriptor, filled, path_text(visualize, "visualize"), source, overwrite, reads, beside)
        if visualize
        else None,
    )
    watch = watch or iter
    if beside is None:
        return watch(work.outcomes())
    return _store(work, beside, reads, resume, overwrite, watch)


def _drawing(
    name: str,
    parameters: dict[str, Any],
    output: str,
    source: Source,
    overwrite: bool,
    reads: tuple[str, ...],
    beside: str | None,
) -> Drawing:
    """Return the function that draws an image's descriptor and writes the picture."""
    from imgtool.datasets.feature_file.resumable import companions
    from imgtool.pipelines.drawings import drawing_of

    return drawing_of(
        name, parameters, path_text(output, "visualize"), source.inputs, overwrite=overwrite, reads=reads,
        beside=(beside, *companions(beside)) if beside else (),
    )  # fmt: skip


def meta_of(name: str, parameters: dict[str, Any], resize: str | None, device: str) -> dict[str, Any]:
    """Return the `meta` of a feature file: descriptor, parameters, version, device."""
    size = {"resize": resize} if resize else {}
    return {
        "descriptor": name, "parameters": {**parameters, **size}, "version": imgtool.__version__, "device": device
    }  # fmt: skip


def files_of(parameters: dict[str, Any]) -> list[str]:
    """Return the codebook or the model's folder that a descriptor reads."""
    from imgtool.classifiers.registry import model_files

    return [parameters[key] for key in ("codebook",) if key in parameters] + model_files(parameters.get("model"))


def _resolve(device: str) -> str:
    """Return "cpu", "cuda" or "cuda:N"."""
    if device == "cpu":
        return device
    from imgtool.device import resolve

    return resolve(device)


@dataclass(frozen=True)
class Work:
    """Images and how to describe them: one at a time (`describe`) or many at once (`batch`)."""

    source: Source
    describe: Describe | None
    batch: DeviceBatch[Any] | None
    meta: dict[str, Any]
    cluster: str | None
    jobs: int
    draw: Drawing | None

    def outcomes(self, first: int = 0) -> Iterator[Outcome[Any]]:
        """Yield an outcome for each image from `first` on: its descriptor, or an error."""
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
        """Read and describe one image; draw the descriptor if requested."""
        assert self.describe is not None
        image = self.source.read(index, remarks)
        value = self.describe(image)
        if self.draw:
            self.draw(index, image, value)
        return value

    def _workers(self, first: int) -> int:
        """Return how many worker processes are faster than threads: none for few images.

        None for local descriptors either: threads are as fast, and the descriptors would have to be sent back.
        """
        source = self.source
        workers = min(self.jobs, (len(source) - first) // IMAGES_PER_WORKER)
        if workers < 2 or self.draw or is_local(self.meta["descriptor"]) or source.isolated:
            return 0
        return workers if source.reads_files_only else 0


def _store(
    work: Work, output: str, reads: tuple[str, ...], resume: bool, overwrite: bool, watch: Watch
) -> FeatureSummary:
    """Describe images and write the feature file."""
    from imgtool.datasets.feature_file.resumable import ResumableFile

    local = is_local(work.meta["descriptor"])
    _check(output, work.source, reads, local=local)
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


def _check(output: str, source: Source, reads: tuple[str, ...], *, local: bool) -> None:
    """Raise ParameterError, before any work, if the feature file cannot or must not be written."""
    from imgtool.batch.conflicts import refuse_inputs
    from imgtool.datasets import feature_file
    from imgtool.datasets.feature_file.resumable import companions

    feature_file.check_suffix(output, local=local)
    if isinstance(source, ArraySource):
        raise ParameterError("arrays have no paths, which a feature file holds; give paths")
    refuse_inputs((*companions(output), output), chain((each.path for each in source.inputs), reads))
