"""Measure several classifiers on the same held-out images, fairly.

The data set is split once; every model is fitted on the same part and scored on the other, or, if it is trained
already, scored as it is. Its predictions are stored, and the table is computed from them. A model that fails is a row
with the reason; the others are still compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import imgtool
from imgtool.arrays import whole_number, whole_numbers
from imgtool.batch.conflicts import refuse_inputs, refuse_same
from imgtool.batch.inputs import path_text
from imgtool.batch.pool import at_once, job_count
from imgtool.classifiers.registry import model_files
from imgtool.classifiers.training import MAX_SEED
from imgtool.datasets.equal_images import equal_across_folds, equal_images, equal_pairs
from imgtool.datasets.files import files_of
from imgtool.datasets.formats import Parts, open_parts
from imgtool.datasets.survey import checked
from imgtool.device import resolve
from imgtool.errors import OutputError, ParameterError
from imgtool.evaluation.candidates import Candidate, Model, Models, candidates
from imgtool.evaluation.comparison import AMONG, Comparison
from imgtool.evaluation.fits import fits_of
from imgtool.evaluation.near_duplicates import near_line, near_pairs
from imgtool.evaluation.runner import Runner
from imgtool.evaluation.splits import Data, Split, evaluation_split, holdout, in_folds
from imgtool.evaluation.train_sizes import plan, run_train_sizes, sizes_in
from imgtool.evaluation.work import Kept, Work
from imgtool.events import Events
from imgtool.image.alpha import WHITE, Color

TEST_SHARE = 0.25
Folder = str | os.PathLike[str]


def compare(
    models: Sequence[Model] | Model,
    data: Data,
    *,
    test_share: float = TEST_SHARE,
    folds: int | None = None,
    train_sizes: Sequence[int] = (),
    seed: int = 0,
    device: str = "cpu",
    settings: Mapping[str, Any] | None = None,
    among: str = AMONG[0],
    near_duplicates: bool = False,
    skip_bad: bool = False,
    background: Color | None = None,
    jobs: int | None = None,
    work: Folder | None = None,
    resume: bool = False,
    keep: Folder | None = None,
    overwrite: bool = False,
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
        Share of each class to hold out if the data set has no held-out part, and there are no folds; between 0 and 1.
    folds : int, optional
        Divide the training part into so many folds instead; models are trained once for each, on the others, so that
        every image is held out once. The data set's own held-out part is not touched.
    train_sizes : sequence of int
        Also train on so many images of each class, fewer being among more; the errors on the same held-out images are
        in `facts["train_sizes"]`.
    seed : int
        Random seed of the split, of folds, of fewer images, and of training.
    device : str
        `"cpu"`, `"cuda"`, `"cuda:N"` or `"auto"`.
    settings : mapping, optional
        Settings to change, each in those models to train that have it.
    among : str
        `"model"`: an image is right when its class has the largest score of all classes of the model, as `classify`
        labels it; `"data"`: of the data set's classes only, of which a model may lack some.
    near_duplicates : bool
        Look for training images that are nearly equal to held-out ones: stored again as JPEG, or resized.
    skip_bad : bool
        Leave out images that cannot be used; they are counted in `left_out`.
    background : str or (int, int, int), optional
        The color that transparent images are shown on, as for `flatten`. Default: white.
    jobs : int, optional
        Images, or batches of them, at once; default: the number of processors. Does not change results.
    work : path, optional
        A folder that keeps predictions and fitted models as they come.
    resume : bool
        Go on with what an interrupted comparison left in `work`, if anything.
    keep : path, optional
        A folder to leave the fitted models in, each as a folder of its name.
    overwrite : bool
        Replace what lies in `work` and models that lie in `keep`.
    events : callable, optional
        Called with what `imgtool.events` defines: `Turn`, `Progress`, `Measured` and others.

    Returns
    -------
    Comparison
        `rows()`, best model first, `to_markdown()`, `to_csv()`, `to_json()`, `to_html()`; `duplicates`, pairs of equal
        images in both parts; `seen`, models that were trained on the held-out images.

    Raises
    ------
    ParameterError
        An unknown model or setting; raised before anything is trained.
    MissingExtraError
        All models lack an extra. If only some do, their rows have the `error`.
    DataError, ImageError
        The data set cannot be used, or `work` holds predictions of another comparison. If a model fails, its row has
        the `error`.
    OutputError
        `work` or `keep` cannot be written, or holds something already.

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
    if not isinstance(train_sizes, list | tuple) or train_sizes:
        train_sizes = whole_numbers(train_sizes, "train_sizes")
    if folds is not None and train_sizes:
        raise ParameterError("train_sizes needs one held-out part, not folds", parameters=("train_sizes", "folds"))
    _require_among(among)
    given = candidates(models, fits=True, settings=settings, device=device)
    _require_fits(given, {"folds": folds, "train_sizes": train_sizes, "keep": keep})
    stored, kept = _places(work, keep, resume=resume, overwrite=overwrite)
    parts = open_parts(data, skip_bad=skip_bad, background=background)
    _refuse_inputs(stored, kept, given, parts)
    _require_images(parts)
    parts, left_out = _without_test(parts) if folds is not None else (parts, [])
    with at_once(jobs), _telling_to_resume(stored):
        parts = checked(parts, skip_bad=skip_bad, events=events)
        split, divided = in_folds(parts, folds, seed) if folds is not None else (holdout(parts, test_share, seed), [])
        facts: dict[str, Any] = {"seed": seed, "test_share": split.share, "device": device, "settings": dict(settings)}
        facts |= {"folds": folds} if folds is not None else {}
        near = near_pairs(split, divided, events=events) if near_duplicates else []
        _begin(stored, kept, given, split, divided, facts, resume=resume)
        sizes = sizes_in(split, train_sizes) if train_sizes else []
        later = plan(given, split, sizes)
        runner = Runner(split, divided, stored, kept, seed, device, among, jobs=jobs, events=events)
        runner.run(given, [fit for _, fit in later])
        rows, failures = run_train_sizes(runner, later)
    facts |= {"train_sizes": rows} if train_sizes else {}
    facts |= {"near_duplicates": near} if near_duplicates else {}
    done = _comparison(parts, runner, given, facts, data)
    lines = [f"no class has {size} images to learn from" for size in train_sizes if size not in sizes]
    if folds is None and parts.test is not None and test_share != TEST_SHARE:
        lines.append("the data set's own test part is held out, and no other share of the images")
    lines += [near_line(near)] if near_duplicates else []
    return replace(done, notes=[*left_out, *done.notes, *lines, *failures])


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
    work: Folder | None = None,
    resume: bool = False,
    overwrite: bool = False,
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
    resume : bool
    overwrite : bool
    events : callable, optional
        As for `compare`.

    Returns
    -------
    Comparison
        See `compare`.

    Raises
    ------
    MissingExtraError, DataError, ImageError, OutputError
        As for `compare`.

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
    models, device, jobs = _as_list(models), resolve(device), job_count(jobs)
    _require_among(among)
    given = candidates(models, device=device, precision=precision)
    stored, kept = _places(work, None, resume=resume, overwrite=overwrite)
    parts = open_parts(data, skip_bad=skip_bad, background=background)
    _refuse_inputs(stored, kept, given, parts)
    _require_images(parts)
    facts = {"device": device} | ({} if precision == "float32" else {"precision": precision})
    with at_once(jobs), _telling_to_resume(stored):
        split, remarks = evaluation_split(parts, skip_bad=skip_bad, events=events)
        measured = replace(parts, train=split.test) if parts.test is None else replace(parts, test=split.test)
        parts = replace(measured, remarks=(*parts.remarks, *remarks))
        _begin(stored, kept, given, split, [], facts, resume=resume)
        runner = Runner(split, work=stored, device=device, among=among, jobs=jobs, events=events)
        runner.run(given)
    return _comparison(parts, runner, given, facts, data)


def _require_images(parts: Parts) -> None:
    """Raise DataError for a data set of vectors, before any model is fitted to them: none is measured on these."""
    for part in parts.all().values():
        part.require_image()


def _require_among(among: str) -> None:
    """Raise ParameterError for what scores cannot be compared among."""
    if among not in AMONG:
        raise ParameterError(f"among must be {' or '.join(AMONG)}, got {among!r}")


def _require_fits(given: Sequence[Candidate], wishes: Mapping[str, Any]) -> None:
    """Raise ParameterError for what is wished of models that are fitted, where none is."""
    wished = [name for name, value in wishes.items() if value]
    if wished and not any(each.fits for each in given):
        text = f"{wished[0]}: all models here are trained already, and none is fitted"
        raise ParameterError(text, parameters=(wished[0],))


def _places(work: Folder | None, keep: Folder | None, *, resume: bool, overwrite: bool) -> tuple[Work, Kept]:
    """Return where predictions are stored and models are kept. Raises OutputError for a folder that is taken."""
    if resume and work is None:
        text = "resume needs work, the folder in which an interrupted comparison left what it had"
        raise ParameterError(text, parameters=("resume", "work"))
    named = [(name, path_text(path, name)) for name, path in (("work", work), ("keep", keep)) if path is not None]
    refuse_same(named)
    folders = {name: Path(text) for name, text in named}
    stored, kept = Work(folders.get("work")), Kept(folders.get("keep"), overwrite=overwrite)
    stored.check(resume=resume, overwrite=overwrite)
    kept.check_folder()
    return stored, kept


def _refuse_inputs(work: Work, kept: Kept, given: Sequence[Candidate], parts: Parts) -> None:
    """Raise ParameterError where something would be written over what is read, or among it."""
    models = [each.given for each in given]
    refuse_inputs(work.names(), chain(model_files(*models), files_of(parts)))
    places = [kept.place(each.label) for each in given if each.fits]
    for folder in (work.folder, kept.folder, *places):
        if folder is not None and folder.exists():
            refuse_inputs([], chain(model_files(*models), files_of(parts)), folder=str(folder))


def _without_test(parts: Parts) -> tuple[Parts, list[str]]:
    """Return a data set with its training part only, and a line on what is not used, if anything."""
    unused = {name: part for name, part in parts.all().items() if part is not parts.train}
    lines = [
        f"folds are drawn from the others: {len(part)} images in {name} are not used" for name, part in unused.items()
    ]
    return replace(parts, test=None, validation=None, names=()), lines


def _begin(
    work: Work, kept: Kept, given: Sequence[Candidate], split: Split, folds: Sequence[Split], facts: Mapping[str, Any],
    *, resume: bool,
) -> None:  # fmt: skip
    """Begin to store, or go on, and refuse what is another comparison's, or would replace other models."""
    shared = {name: value for name, value in facts.items() if name != "settings"}
    background = split.test.background or WHITE
    what = {**shared, "background": background, "images": split.digests()}
    work.begin(what, {each.label: each.identity() for each in given if each.model is not None}, resume=resume)
    for each in given:
        for fit in fits_of(each, split, folds, kept) if each.fits else ():
            kept.check(fit.place, work.model_place(fit.key) if work.fitted(fit.key) is not None else None)


@contextmanager
def _telling_to_resume(work: Work) -> Iterator[None]:
    """Have an error of writing say that the comparison can be gone on with, where it can."""
    try:
        yield
    except OutputError as error:
        error.hint = error.hint or ("resume" if work.files() else "")
        raise


def _comparison(
    parts: Parts, runner: Runner, given: Sequence[Candidate], facts: Mapping[str, Any], data: Data
) -> Comparison:
    """Return the comparison: results, and facts about the data."""
    split, results = runner.split, [each.result for each in given]
    test = split.test
    if test.background not in (None, WHITE):
        facts = {**facts, "background": test.background}
    stored = [result.predictions for result in results if result.predictions]
    if runner.folds:
        pairs = equal_across_folds(test, [fold.places for fold in runner.folds])
        facts = {**facts, "sha256": split.digests() | {"folds": [fold.test.digest() for fold in runner.folds]}}
    else:
        pairs = equal_pairs(split.train, test) if split.train else iter(())
        facts = {**facts, "sha256": split.digests()}
    return Comparison(
        test.classes,
        test.labels,
        results,
        list(pairs),
        [each.model for each in stored if _saw_all(each.facts, split)],
        split.counts(),
        {**facts, "imgtool": imgtool.__version__},
        os.fspath(data) if isinstance(data, str | os.PathLike) else "",
        runner.among,
        parts.found(),
        [*parts.notes(), *equal_images(split.parts())],
        parts.left_out(),
        test.image,
        [test.name(index) for index in range(len(test))],
        Models(runner.models),
    )


def _saw_all(facts: Mapping[str, Any], split: Split) -> bool:
    """Tell whether a model was trained on all test images, or on a part of a set that holds them."""
    learned = {facts[key]["sha256"] for key in ("data", "drawn_from") if facts.get(key)}
    learned |= {facts.get("init", {}).get("data") or None} - {None}
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
