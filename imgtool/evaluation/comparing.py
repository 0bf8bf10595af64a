"""Measure several classifiers on the same held-out images, fairly.

The data set is split once; every model is fitted on the same part and scored on the other, or, if it is trained
already, scored as it is. Its predictions are stored, and the table is computed from them. A model that fails is a row
with the reason; the others are still compared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import imgtool
from imgtool.arrays import whole_number
from imgtool.batch.conflicts import refuse_inputs
from imgtool.batch.inputs import path_text
from imgtool.batch.pool import job_count
from imgtool.classifiers.registry import model_files
from imgtool.classifiers.training import MAX_SEED
from imgtool.datasets.equal_images import equal_images, equal_pairs
from imgtool.datasets.files import files_of
from imgtool.datasets.formats import Parts, open_parts
from imgtool.datasets.survey import checked
from imgtool.device import resolve
from imgtool.errors import ParameterError
from imgtool.evaluation.comparison import AMONG, Comparison
from imgtool.evaluation.runner import Model, Result, Runner, check_usage
from imgtool.evaluation.splits import Data, Split, evaluation_split, holdout
from imgtool.evaluation.store import Store
from imgtool.events import Events
from imgtool.image.alpha import WHITE, Color

TEST_SHARE = 0.25


def compare(
    models: Sequence[Model] | Model,
    data: Data,
    *,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    device: str = "cpu",
    settings: Mapping[str, Any] | None = None,
    among: str = AMONG[0],
    skip_bad: bool = False,
    background: Color | None = None,
    jobs: int | None = None,
    work: str | os.PathLike[str] | None = None,
    events: Events | None = None,
) -> Comparison:
    """Split a labeled data set, train models on one part, measure all of them on the other.

    Parameters
    ----------
    models : str, classifier, or sequence of them
        An architecture (`"hog-svm"`) or an unfitted classifier is trained; weights (`"alexnet@imagenette"`), a model's
        folder or a fitted classifier are measured as they are.
    data : path, Parts or Dataset
        What `load_dataset` takes or returns.
    test_share : float
        Share of each class to hold out if the data set has no held-out part; between 0 and 1.
    seed : int
        Random seed of the split and of training.
    device : str
        `"cpu"`, `"cuda"`, `"cuda:N"` or `"auto"`.
    settings : mapping, optional
        Settings to change, each in those models to train that have it.
    among : str
        `"model"`: an image is right when its class has the largest score of all classes of the model, as `classify`
        labels it; `"data"`: of the data set's classes only.
    skip_bad : bool
        Leave out images that cannot be used; they are counted in `left_out`.
    background : str or (int, int, int), optional
        The color that transparent images are shown on, as for `flatten`. Default: white.
    jobs : int, optional
        Batches of images at once; default: the number of processors. Does not change results.
    work : path, optional
        A folder that keeps the predictions, one file for each model.
    events : callable, optional
        Called with `imgtool.events.Progress` during the work.

    Returns
    -------
    Comparison
        `rows()`, best model first, `to_markdown()`, `to_csv()`, `to_json()`, `to_html()`; `duplicates`, pairs of equal
        images in both parts; `seen`, models that were trained on the held-out images.

    Raises
    ------
    ParameterError
        An unknown model or setting; raised before anything is trained.
    DataError, ImageError
        The data set cannot be used. If a model fails, its row has the `error`.

    Notes
    -----
    Errors have Wilson's 95 % interval (JASA 22, 1927); `p` is McNemar's exact test (Psychometrika 12, 1947) against the
    model with the smallest error. Each file is decoded once, as long as the cache has room.

    Examples
    --------
    >>> import imgtool
    >>> comparison = imgtool.compare("two-layer", "sample_images/textures", settings={"epochs": 5})
    >>> row = comparison.rows()[0]
    >>> row["model"], row["n"]
    ('two-layer', 12)
    """
    models, settings, device = _as_list(models), _settings(settings), resolve(device)
    seed, jobs = whole_number(seed, "seed", low=0, high=MAX_SEED), job_count(jobs)
    check_usage(models, settings)
    _require_among(among)
    parts = checked(open_parts(data, skip_bad=skip_bad, background=background), skip_bad=skip_bad, events=events)
    split = holdout(parts, test_share, seed)
    runner = Runner(split, _store(work, models, parts), seed, device, settings=settings, jobs=jobs, events=events)
    facts = {"seed": seed, "test_share": split.share, "device": device, "settings": dict(settings)}
    return _comparison(parts, split, runner.run(models), facts, data, among)


def evaluate(
    models: Sequence[Model] | Model,
    data: Data,
    *,
    device: str = "cpu",
    precision: str = "float32",
    among: str = AMONG[0],
    skip_bad: bool = False,
    background: Color | None = None,
    jobs: int | None = None,
    work: str | os.PathLike[str] | None = None,
    events: Events | None = None,
) -> Comparison:
    """Measure trained models on a labeled data set.

    Parameters
    ----------
    models : str, classifier, or sequence of them
        Names (`"alexnet"`, `"alexnet@imagenette"`), model folders, or fitted classifiers.
    data : path, Parts or Dataset
        What `load_dataset` takes or returns. The held-out part is used if there is one, else all images.
    device : str
        As for `compare`.
    precision : str
        "float32", or "bf16" in PyTorch, which is faster on processors that have it; for networks.
    among : str
    skip_bad : bool
    background : str or (int, int, int), optional
    jobs : int, optional
    work : path, optional
    events : callable, optional
        As for `compare`.

    Returns
    -------
    Comparison
        See `compare`.

    Raises
    ------
    DataError
        The data set cannot be used. If a model fails, its row has the `error`.

    Notes
    -----
    Each image is read once for all models; reading runs ahead of predicting.

    Examples
    --------
    >>> import imgtool
    >>> textures = imgtool.load_dataset("sample_images/textures").train
    >>> imgtool.evaluate("alexnet", textures).rows()[0]["error"]
    "alexnet knows no class 'brick'; its 10 are tench, English springer, cassette player, chain saw, church ..."
    """
    device, jobs = resolve(device), job_count(jobs)
    _require_among(among)
    parts = open_parts(data, skip_bad=skip_bad, background=background)
    split, remarks = evaluation_split(parts, skip_bad=skip_bad, events=events)
    measured = replace(parts, train=split.test) if parts.test is None else replace(parts, test=split.test)
    parts = replace(measured, remarks=(*parts.remarks, *remarks))
    models = _as_list(models)
    store = _store(work, models, parts)
    results = Runner(split, store, device=device, precision=precision, jobs=jobs, events=events).run(models)
    facts = {"device": device} | ({} if precision == "float32" else {"precision": precision})
    return _comparison(parts, split, results, facts, data, among)


def _require_among(among: str) -> None:
    """Raise ParameterError for what scores cannot be compared among."""
    if among not in AMONG:
        raise ParameterError(f"among must be {' or '.join(AMONG)}, got {among!r}")


def _comparison(
    parts: Parts, split: Split, results: Sequence[Result], facts: Mapping[str, Any], data: Data, among: str
) -> Comparison:
    """Return the comparison: results, and facts about the data."""
    if split.test.background not in (None, WHITE):
        facts = {**facts, "background": split.test.background}
    stored = [result.predictions for result in results if result.predictions]
    seen = [each.model for each in stored if _saw_all(each.facts, split)]
    return Comparison(
        split.test.classes,
        split.test.labels,
        results,
        list(equal_pairs(split.train, split.test)) if split.train else [],
        seen,
        split.counts(),
        {**facts, "sha256": split.digests(), "imgtool": imgtool.__version__},
        os.fspath(data) if isinstance(data, str | os.PathLike) else "",
        among,
        parts.found(),
        [*parts.notes(), *equal_images(split.parts())],
        parts.left_out(),
    )


def _saw_all(facts: Mapping[str, Any], split: Split) -> bool:
    """Tell whether a model was trained on all test images, or on a part of a set that holds them."""
    learned = {facts[key]["sha256"] for key in ("data", "drawn_from") if facts.get(key)}
    return bool(learned & split.test_digests) or facts.get("seen_images") == len(split.test)


def _as_list(models: Sequence[Model] | Model) -> list[Model]:
    """Return one or several models as a list, paths as text."""
    several: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
    for model in several:
        if not isinstance(model, str | os.PathLike) and not hasattr(model, "classes"):
            raise ParameterError(f"a model is a name, a folder or a classifier, not {type(model)}")
    return [os.fspath(model) if isinstance(model, os.PathLike) else model for model in several]


def _settings(settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return settings by name. Raises ParameterError for what is no mapping."""
    if settings is not None and not isinstance(settings, Mapping):
        raise ParameterError(f"settings must be values by name, got {settings!r}")
    return settings or {}


def _store(work: str | os.PathLike[str] | None, models: Sequence[Model], parts: Parts) -> Store:
    """Return where predictions go. Raises ParameterError where one would replace what is read."""
    if work is None:
        return Store()
    store = Store(Path(path_text(work, "work")))
    refuse_inputs(store.files(), chain(model_files(*models), files_of(parts)))
    return store
