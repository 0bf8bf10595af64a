"""Label many images with one model or several, as rows: what `imgtool classify` does, for Python."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.arrays import real_number, whole_number
from imgtool.batch.destinations import without_results
from imgtool.batch.inputs import path_text
from imgtool.batch.pool import job_count
from imgtool.batch.sorted_links import UNSURE, SortedLinks
from imgtool.classifiers.shipped import DEFAULT_NETWORK
from imgtool.errors import ParameterError
from imgtool.pipelines.mapping import attempt
from imgtool.pipelines.outcomes import Outcome
from imgtool.pipelines.predict import Prediction, predict
from imgtool.pipelines.source import MAX_PIXELS, ArraySource, Source, source_of
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.classifiers.protocol import Classifier
    from imgtool.pipelines.label_pictures import Pictures

TOP = 5
MAX_BATCH = 4096  # images; beyond, memory grows and nothing gets faster
Row = Mapping[str, Any]
Watch = Callable[[Iterator[Outcome[Any]]], Iterator[Outcome[Any]]]


def classify_images(
    images: Any,
    model: Any = DEFAULT_NETWORK,
    *,
    top: int = TOP,
    threshold: float | None = None,
    truth: str | None = None,
    crops: int = 1,
    sort: str | os.PathLike[str] | None = None,
    cam: str | os.PathLike[str] | None = None,
    maps: tuple[str, str | os.PathLike[str]] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "float32",
    batch: int | None = None,
    jobs: int | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    isolate: bool = False,
    background: Any = None,
    watch: Watch | None = None,
) -> Iterator[Outcome[list[Row]]]:
    """Label images with a model, or with several.

    Parameters
    ----------
    images : path, or iterable of paths or arrays
        Files or folders; a folder stands for all images in it, in sorted order.
    model : str, Path or Classifier, or a list or dictionary of these
        Names or folders, as `open_model` takes them, or opened models; a dictionary's keys are what rows call them.
    top : int
        Labels in each row, best first.
    threshold : float, optional
        Labels with scores below it become "unsure". Default: none; rows say by the model's threshold which are sure.
    truth : str, optional
        The true label of the images, one of each model's classes or its identifier. Rows then have `truth`, its `rank`
        among the model's classes, and `top_errors`: for k = 1 to 5, 1 where it is not among the best k, else 0.
    crops : int
        10: the mean of a network's probabilities for four corners, the center, and their mirrors. 1: the center only.
    sort : path, optional
        A folder that gets a folder for each label, with relative links to the images (copies where links fail);
        "unsure" takes those that are not sure. What is there is kept. One model only.
    cam : path, optional
        File, folder or template for a picture of each image beside the part that speaks for the label; see `grad_cam`.
    maps : (str, path), optional
        A layer of the network, and a folder for a sheet of its feature maps of each image.
    overwrite : bool
        Replace existing pictures.
    device : str
        "cpu", "cuda", "cuda:N", or "auto": a GPU if there is one.
    backend : str
        "numpy", "torch", or "auto": NumPy on the CPU, PyTorch on a GPU.
    precision : str
        "float32", or "bf16" in PyTorch, which is faster on processors that have it.
    batch : int, optional
        Images that a model looks at together, 1 to 4096; default: up to 32, fewer where there are few images. Scores
        change by 1e-6 at most.
    jobs : int
        Batches at once; default: the number of processors. Does not change results.
    max_pixels : int
        Images with more pixels are refused.
    allow_truncated : bool
        Read truncated files as far as possible, with a remark "damaged".
    page : int
        Page, frame or image of a file that holds several; default: the first that is no reduced version.
    bands : sequence of int
        Bands to read, counted from 1.
    isolate : bool
        Decode in a separate process, so that a crash costs only its own image.
    background : str or (int, int, int)
        Color that transparent images are shown on; default: white.
    watch : callable
        Wrapper of the iterator of outcomes, such as `tqdm.tqdm`.

    Returns
    -------
    iterator of Outcome
        For each image, in order: `source.path`, and `value` or `error`. The value is a list of a dictionary for each
        model: model, classes, label, id (where the class has one), score, sure, top, weights, device; truth, rank and
        top_errors with a true label; crops unless 1, precision unless float32.

    Raises
    ------
    ParameterError
        A model or option is unknown, or options contradict each other.
    DataError
        A model is not complete.
    OutputError
        A folder cannot be written to.

    Examples
    --------
    >>> import imgtool
    >>> (outcome,) = imgtool.classify_images("sample_images/rocket_turned.jpg", "alexnet")
    >>> (row,) = outcome.result()
    >>> row["label"], row["id"], row["sure"], len(row["top"])
    ('church', 'n03028079', True, 5)
    """
    source = source_of(
        images, max_pixels=max_pixels, allow_truncated=allow_truncated, page=page, bands=bands, isolate=isolate,
        background=background,
    ).flat()  # fmt: skip
    top, jobs = whole_number(top, "top"), job_count(jobs)
    batch = None if batch is None else whole_number(batch, "batch", high=MAX_BATCH)
    threshold = None if threshold is None else real_number(threshold, "threshold")
    models = opened(model, device, backend, precision)
    true = _true_classes(models, truth)
    beside = {name: value for name, value in (("sort", sort), ("cam", cam), ("maps", maps)) if value is not None}
    work = _Beside.of(source, models, beside, overwrite) if beside else _Beside()
    more = {} if crops == 1 else {"crops": crops}
    labels = [
        _Labels(name, each, {**_origin(name, each), **more}, top, threshold, true[name])
        for name, each in _cropped(models, crops).items()
    ]
    return (watch or iter)(_outcomes(source, labels, work, jobs, batch))


def opened(
    model: Any, device: str = "auto", backend: str = "auto", precision: str = "float32"
) -> dict[str, Classifier]:
    """Return models, some of which may be open already, by what rows call them."""
    from imgtool.classifiers.protocol import Classifier
    from imgtool.classifiers.registry import open_model

    how = {"device": device, "backend": backend, "precision": precision}
    if not isinstance(model, Mapping):
        several = model if isinstance(model, list | tuple) else [model]
        model = {each.name if isinstance(each, Classifier) else str(each): each for each in several}
    return {name: each if isinstance(each, Classifier) else open_model(each, **how) for name, each in model.items()}


def _true_classes(models: Mapping[str, Classifier], truth: Any) -> dict[str, int | None]:
    """Return the true label's place among each model's classes. Raises ParameterError where one does not know it."""
    from imgtool.classifiers.protocol import index_of

    if not isinstance(truth, str | None):
        raise ParameterError(f"truth must be a label, got {truth!r}", parameters=("truth",))
    return {name: None if truth is None else index_of(each, truth) for name, each in models.items()}


def _cropped(models: dict[str, Classifier], crops: int) -> dict[str, Classifier]:
    """Return the models, to look at so many crops of each image."""
    if crops == 1:
        return models
    from imgtool.classifiers.crops import CROPS, TenCrops

    if crops != CROPS:
        raise ParameterError(f"crops must be 1 or {CROPS}, got {crops}")
    return {name: TenCrops(model) for name, model in models.items()}


def _origin(name: str, model: Classifier) -> dict[str, Any]:
    """Return what rows say of where a model's labels come from."""
    precision = {} if model.precision == "float32" else {"precision": model.precision}
    return {"weights": _weights(name, model), "device": model.device, **precision}


def _weights(name: str, model: Classifier) -> str:
    """Return the name of a model's weights and the start of their hash."""
    from imgtool.classifiers.registry import locate

    with contextlib.suppress(ParameterError):  # an opened model may be called anything
        name = locate(name).resolve().name
    return f"{name} {model.weights_hash[:12]}".strip()


@dataclass(frozen=True)
class _Beside:
    """What is done with each image beside labeling it."""

    links: SortedLinks | None = None
    pictures: Pictures | None = None

    @classmethod
    def of(cls, source: Source, models: Mapping[str, Classifier], wanted: dict[str, Any], overwrite: bool) -> _Beside:
        """Return what is wanted: sort, cam, maps. What earlier runs left in folders of images is left out of these.

        Raises ParameterError and OutputError, before any work, for what cannot be done.
        """
        from imgtool.classifiers.registry import model_files
        from imgtool.pipelines.label_pictures import pictures_of

        name = next(iter(wanted))
        if len(models) > 1:
            raise ParameterError(f"{name} takes one model, got {len(models)}", parameters=(name,))
        if isinstance(source, ArraySource):
            raise ParameterError(f"{name}: arrays have no names that files could be named after; give paths")
        sort, cam = (None if wanted.get(each) is None else path_text(wanted[each], each) for each in ("sort", "cam"))
        maps = (wanted["maps"][0], path_text(wanted["maps"][1], "maps")) if "maps" in wanted else None
        for folder in (sort, cam, maps and maps[1]):
            source.inputs = without_results(source.inputs, folder)
        reads = (*source.also_read, *model_files(*models))
        (model,) = models.values()
        pictures = pictures_of(model, cam, maps, source.inputs, overwrite=overwrite, reads=reads, links=sort)
        return cls(None if sort is None else SortedLinks(sort, model.classes, source.inputs, reads), pictures)

    def finish(self, index: int, path: str, kept: list[Any], scores: np.ndarray, row: Row) -> None:
        """Do it with one image. Raises OutputError."""
        if self.pictures is not None:
            self.pictures.draw(index, kept, scores)
        if self.links is not None:
            self.links.add(path, row["label"] if row["sure"] else None)


def _outcomes(
    source: Source, labels: Sequence[_Labels], beside: _Beside, jobs: int, batch: int | None
) -> Iterator[Outcome[list[Row]]]:
    """Yield what the models say of each image, or why it has no labels. Raises what no other image could help."""
    from imgtool.image.levels import as_levels

    remarks: defaultdict[int, list[Remark]] = defaultdict(list)
    kept: dict[int, list[Any]] = {}

    def read(index: int) -> np.ndarray:
        image = as_levels(source.read(index, remarks[index]), remarks[index])
        if beside.pictures is not None:
            kept[index] = beside.pictures.keep(image)
        return image

    def finish(found: Prediction, index: int, noted: list[Remark]) -> list[Row]:
        noted += remarks.pop(index, [])
        own = kept.pop(index, [])
        if found.error is not None:
            raise found.error
        rows = [one.row(scores) for one, scores in zip(labels, found.scores, strict=True) if scores is not None]
        if found.scores[0] is not None:
            beside.finish(index, source.input(index).path, own, found.scores[0], rows[0])
        return rows

    count = sum(1 for _ in source.indexes())  # of arrays, this makes each ready to be read
    for each in predict([one.model for one in labels], count, read, jobs=jobs, batch=batch):
        yield attempt(functools.partial(finish, each), each.index, source.input(each.index))


@dataclass(frozen=True)
class _Labels:
    """How one model's labels become rows. origin: what rows say of the model at their end; truth: the true class."""

    name: str
    model: Classifier
    origin: Row
    top: int
    threshold: float | None
    truth: int | None = None

    def row(self, scores: np.ndarray) -> Row:
        """Return what the model says of one image."""
        model, asked = self.model, self.threshold
        order = (-scores).argsort(kind="stable")  # of equal ones the first, as `evaluate` counts
        best = order[: self.top]
        score = float(scores[best[0]])
        is_sure = score >= (model.threshold if asked is None else asked)
        return {
            "model": self.name,
            "classes": len(model.classes),
            **(self._label(best[0]) if is_sure or asked is None else {"label": UNSURE}),
            "score": score,
            "sure": is_sure,
            "top": [{**self._label(index), "score": float(scores[index])} for index in best],
            **self._errors(order),
            **self.origin,
        }

    def _errors(self, order: np.ndarray) -> dict[str, Any]:
        """Return the true label, its rank, and the top-k errors for k = 1 to 5; nothing where it is not known."""
        if self.truth is None:
            return {}
        rank = int((order == self.truth).argmax()) + 1
        errors = [int(rank > k) for k in range(1, 1 + min(TOP, len(order)))]
        return {"truth": self.model.classes[self.truth], "rank": rank, "top_errors": errors}

    def _label(self, index: int) -> dict[str, str]:
        """Return a class's name, and its identifier where it has one."""
        key = self.model.identifiers[index] if self.model.identifiers else None
        return {"label": self.model.classes[index], **({"id": key} if key else {})}
