"""How comparisons run: folds, fewer images, what is stored, kept and gone on with, what fails, what it costs."""

import json
import re
import shutil
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool.classifiers import registry
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Classifier, Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, load_dataset
from imgtool.errors import DataError, MissingExtraError, OutputError, ParameterError
from imgtool.evaluation import costs, labeling
from imgtool.evaluation.comparing import compare, evaluate
from imgtool.evaluation.splits import in_folds
from imgtool.events import Epoch, Measured, Progress, Turn
from imgtool.image import encode
from imgtool.image.resize import resize
from locations import SAMPLES

TEXTURES = SAMPLES / "textures"
TIMES = ("train_seconds", "ms_per_image", "ms_per_image_p95", "images_per_second", "batch", "peak_bytes")
QUICK = {"epochs": 1, "hidden": 4}


def without_times(comparison):
    """The whole record of a comparison but for its times."""
    record = json.loads(comparison.to_json())
    return {**record, "models": [{k: v for k, v in row.items() if k not in TIMES} for row in record["models"]]}


class NearestMean(Trainable):
    """Calls an image by the class whose training images are as bright in the mean; knows which it was trained on."""

    fits: list["NearestMean"] = []  # noqa: RUF012 - of all, in their order

    def __init__(self, name="nearest-mean", groups=None, *, chosen=()):
        super().__init__(name, {}, chosen=chosen)

    def prepare(self, image):
        return image

    def features(self, batch):
        return np.array([[image.mean()] for image in batch])

    def decide(self, features):
        near = np.exp(-abs(features - self.means[None]))
        return near / near.sum(axis=1, keepdims=True)

    def fit(self, dataset, *, seed=0, device="cpu", resume=None, events=None):
        self.fits.append(self)
        images = [dataset.image(index) for index in range(len(dataset))]
        self.seen = {image.tobytes() for image in images}
        brightness = np.array([image.mean() for image in images])
        self.means = np.array([brightness[dataset.labels == label].mean() for label in range(len(dataset.classes))])
        self.record_training(dataset, seed=seed, history=[])
        return self

    def arrays(self):
        return {"means": self.means} if self.classes else {}

    def restore(self, arrays):
        self.means = arrays["means"]


@pytest.fixture
def nearest(monkeypatch):
    """Have the registry know it, and count how often one is fitted."""
    monkeypatch.setattr(NearestMean, "fits", [])
    monkeypatch.setattr(registry, "_entry_points", lambda: {"nearest-mean": Point(lambda: NearestMean)})
    return NearestMean.fits


class Point:
    """What another package registers."""

    def __init__(self, load):
        self.load = load


def noise(counts=(9, 7, 5), seed=0):
    """Images of which those of one class are a little brighter than those of the one before, as Parts."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.random.default_rng(seed).integers(0, 200, (len(labels), 6, 6)) + 9 * labels[:, None, None]
    return Parts(Dataset(images.astype(np.uint8), labels, tuple("abcdef"[: len(counts)])), None)


# Folds


@pytest.mark.parametrize("folds", [2, 5])
def test_each_image_is_predicted_once_by_a_model_that_was_not_trained_on_it(folds, nearest):
    parts = noise()
    done = compare("nearest-mean", parts, folds=folds, seed=3)
    assert len(nearest) == folds
    whole, divided = in_folds(parts, folds, 3)
    expected = np.empty((21, 3))
    for model, fold in zip(nearest, divided, strict=True):
        images = [fold.test.image(index) for index in range(len(fold.test))]
        assert not model.seen & {image.tobytes() for image in images}
        assert len(model.seen) + len(images) == 21
        expected[fold.places] = model.scores(images)
    np.testing.assert_array_equal(done.results[0].predictions.scores, expected)
    np.testing.assert_array_equal(done.labels, whole.test.labels)
    assert (done.facts["folds"], done.rows()[0]["n"], done.facts["test_share"]) == (folds, 21, None)
    assert len(set(done.facts["sha256"]["folds"])) == folds


def test_folds_leave_a_held_out_part_untouched_and_say_so(nearest):
    parts = noise()
    test = Dataset(np.zeros((4, 6, 6), np.uint8), np.zeros(4, np.int64), ("a", "b", "c"))
    done = compare("nearest-mean", Parts(parts.train, test), folds=3)
    assert len(done.labels) == 21
    assert done.notes[0] == "folds are drawn from the others: 4 images in test are not used"


def test_what_folds_and_sizes_cannot_be_is_refused_before_anything_is_fitted(nearest):
    trained = NearestMean().fit(noise().train)
    nearest.clear()
    for given, reason in (
        ({"folds": 1}, "folds must be at least 2"),
        ({"folds": 99}, "folds must be at most 21"),
        ({"folds": 2, "train_sizes": [2]}, "one held-out part"),
        ({"train_sizes": [0]}, "train_sizes must be at least 1"),
        ({"train_sizes": ["x"]}, "train_sizes must be a whole number"),
        ({"train_sizes": "5"}, "train_sizes"),
        ({"train_sizes": 5}, "train_sizes"),
        ({"train_sizes": None}, "train_sizes"),
        ({"folds": "x"}, "folds must be a whole number"),
        ({"work": 3}, "work"),
        ({"keep": 3}, "keep"),
        ({"resume": True}, "resume needs work"),
        ({"models": trained, "folds": 2}, "folds: all models here are trained already"),
        ({"models": trained, "keep": "somewhere"}, "keep: all models here are trained already"),
    ):
        with pytest.raises(ParameterError, match=reason):
            compare(**{"models": "nearest-mean", "data": noise(), **given})
    assert nearest == []


def test_equal_images_in_different_folds_are_pairs(nearest):
    parts = noise()
    parts.train.items[4] = parts.train.items[0]
    found = compare("nearest-mean", parts, folds=21).duplicates
    assert found == [("#0", "#4")]


# Fewer images


def test_errors_with_few_images_are_those_of_models_trained_on_nested_parts_of_the_training_images(nearest):
    data = noise((20, 20, 6))
    done = compare("nearest-mean", data, train_sizes=[4, 2, 400, 2], seed=1)
    rows = done.facts["train_sizes"]
    assert [(row["model"], row["per_class"], row["images"], row["n"]) for row in rows] == [
        ("nearest-mean", 2, 6, 12), ("nearest-mean", 4, 12, 12),
    ]  # fmt: skip
    whole, two, four = nearest
    assert two.seen < four.seen < whole.seen
    held_out = [done.images(index) for index in range(12)]
    for row, model in zip(rows, (two, four), strict=True):
        wrong = np.mean(model.scores(held_out).argmax(axis=1) != done.labels)
        assert row["error"] == wrong
        assert row["interval"][0] <= wrong <= row["interval"][1]
    assert "no class has 400 images to learn from" in done.notes


def test_a_training_on_few_images_that_fails_is_a_line_and_the_others_stand(nearest, monkeypatch):
    fit = NearestMean.fit

    def failing(self, dataset, **how):
        if len(dataset) == 3:
            raise DataError("too few")
        return fit(self, dataset, **how)

    monkeypatch.setattr(NearestMean, "fit", failing)
    done = compare("nearest-mean", noise(), train_sizes=[1, 2])
    assert [row["per_class"] for row in done.facts["train_sizes"]] == [2]
    assert "nearest-mean, 1 images a class: too few" in done.notes
    assert not done.failed


# What is stored


class Stop(BaseException):
    """An interruption, as Ctrl-C or kill -9 are."""


class StopAt:
    """Stops a comparison when it tells of something the n-th time."""

    def __init__(self, number):
        self.left = number

    def __call__(self, event):
        self.left -= 1
        if self.left <= 0:
            raise Stop


@pytest.fixture
def counted(monkeypatch):
    """The names of the models that were fitted to their end."""
    finished, fit = [], NetworkClassifier.fit

    def counting(self, *data, **how):
        fit(self, *data, **how)
        finished.append(self.name)
        return self

    monkeypatch.setattr(NetworkClassifier, "fit", counting)
    return finished


@pytest.mark.parametrize("more", [{}, {"folds": 3}, {"train_sizes": [2, 5]}], ids=["one", "folds", "sizes"])
def test_C2_C6_stopped_at_any_moment_and_resumed_the_table_is_the_same_and_nothing_is_fitted_twice(
    more, tmp_path, counted, monkeypatch
):
    monkeypatch.setattr(labeling, "PART_SECONDS", 0)
    how = {"models": ["two-layer", "two-layer", "lenet@mnist"], "data": TEXTURES, "settings": QUICK, **more}
    how["among"] = "data"  # where lenet@mnist fails
    expected, fits = without_times(compare(**how)), len(counted)
    counted.clear()
    work, stops, number = tmp_path / "work", 0, 1
    while True:
        number += 5 + 3 * (stops % 4)
        try:
            done = compare(**how, work=work, resume=True, events=StopAt(number))
            break
        except Stop:
            stops += 1
    assert stops > 5
    assert without_times(done) == expected
    assert len(counted) == fits


def test_C2_a_labeling_goes_on_with_the_images_that_are_left(tmp_path, nearest, monkeypatch):
    monkeypatch.setattr(labeling, "PART_SECONDS", 0)
    data = noise((32, 32))
    trained = NearestMean().fit(data.train)
    expected = evaluate(trained, data).results[0].predictions.scores
    seen, features = [], NearestMean.features

    def watched(self, batch):
        seen.append(len(batch))
        return features(self, batch)

    monkeypatch.setattr(NearestMean, "features", watched)
    monkeypatch.setattr(costs, "IMAGES", 0)

    class Half:
        def __call__(self, event):
            if event == Progress(41, 64, "labeling images", "nearest-mean"):
                raise Stop

    with pytest.raises(Stop):
        evaluate(trained, data, work=tmp_path / "work", events=Half(), jobs=1)
    before = sum(seen)
    done = evaluate(trained, data, work=tmp_path / "work", resume=True, jobs=1)
    assert 41 <= before <= 42
    assert sum(seen) - before == 24
    np.testing.assert_array_equal(done.results[0].predictions.scores, expected)
    assert not list((tmp_path / "work").glob("*.part.*"))


def test_a_network_goes_on_from_its_checkpoint(tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    how = {"models": "lenet", "data": TEXTURES, "settings": {"epochs": 3}}
    expected, heard = without_times(compare(**how)), []

    def stop(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        compare(**how, work=tmp_path / "work", events=stop)
    done = compare(**how, work=tmp_path / "work", resume=True, events=heard.append)
    assert [event.resumed for event in heard if isinstance(event, Epoch)] == [True, True, False]
    assert without_times(done) == expected
    assert not list((tmp_path / "work").glob("*.checkpoint"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What a comparison of two models left."""
    work = tmp_path_factory.mktemp("stored") / "work"
    compare(["two-layer", "lenet@mnist"], TEXTURES, settings=QUICK, work=work)
    return work


@pytest.fixture
def work(stored, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(stored, tmp_path / "work"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"test_share": 0.5}, "test_share 0.25 there, 0.5 here"),
        ({"folds": 3}, "folds none there, 3 here, test_share 0.25 there, none here"),
        ({"settings": {"epochs": 2, "hidden": 4}}, "two-layer: epochs 1 there, 2 here"),
        ({"data": noise().train}, "other images"),
        ({"background": "black"}, "background white there, #000000 here"),
    ],
    ids=["seed", "share", "folds", "settings", "data", "background"],
)
def test_stored_predictions_of_another_comparison_are_refused_in_a_line_that_says_what_differs(change, says, work):
    how = {"models": ["two-layer", "lenet@mnist"], "data": TEXTURES, "settings": QUICK, "work": work, **change}
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    with pytest.raises(DataError) as caught:
        compare(**how, resume=True)
    assert str(caught.value) == f"{work}: holds predictions of another comparison: {says}"
    assert caught.value.hint == "other-run"
    with pytest.raises(OutputError, match="holds stored predictions"):
        compare(**how)
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before
    (work / "mine.txt").write_text("stays")
    assert compare(**how, overwrite=True).facts["seed"] == change.get("seed", 0)
    assert (work / "mine.txt").read_text() == "stays"


def test_predictions_of_other_weights_are_refused(tmp_path):
    model, how = tmp_path / "model", {"data": TEXTURES, "work": tmp_path / "work"}
    imgtool.train(TEXTURES, "two-layer", output=model, **QUICK)
    evaluate(model, **how)
    imgtool.train(TEXTURES, "two-layer", output=model, overwrite=True, seed=1, **QUICK)
    with pytest.raises(DataError, match="model: other weights"):
        evaluate(model, **how, resume=True)


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_fitted(tmp_path, counted):
    (tmp_path / "file").write_text("no folder")
    for name in ("work", "keep"):
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(OutputError, match="file") as caught:
                compare("two-layer", TEXTURES, settings=QUICK, **{name: place})
            assert caught.value.hint == ""  # there is nothing to go on with
    assert counted == []


def test_models_may_join_a_comparison_that_is_stored(work, counted):
    done = compare(["two-layer", "two-layer"], TEXTURES, settings=QUICK, work=work, resume=True)
    assert counted == ["two-layer"]
    assert [row["top1_error"] for row in done.rows()] == [done.rows()[0]["top1_error"]] * 2


def test_a_changed_byte_of_what_is_stored_is_refused_or_changes_nothing(work):
    how = {"models": "two-layer", "data": TEXTURES, "settings": QUICK, "work": work, "resume": True}
    expected = without_times(compare(**how))
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in range(0, len(whole), max(len(whole) // 3, 1)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                done = compare(**how)
            except DataError as error:
                assert str(work) in str(error)  # noqa: PT017
            else:
                assert done.failed or without_times(done) == expected, (path, place)
            path.write_bytes(whole)


def test_a_fitted_model_that_is_damaged_is_fitted_again(work, counted):
    how = {"models": "two-layer", "data": TEXTURES, "settings": QUICK, "work": work, "resume": True}
    expected = without_times(compare(**how))
    next(work.glob("two-layer*.predictions")).unlink()
    next(work.glob("two-layer*.model/weights*")).write_bytes(b"nothing")
    assert without_times(compare(**how)) == expected
    assert counted == ["two-layer"]


def test_a_classifier_of_which_nobody_knows_what_it_learned_is_measured_again(tmp_path):
    class Constant(Classifier):
        classes = ("brick", "grass", "gravel")
        name = "constant"

        def prepare(self, image):
            return image

        def features(self, batch):
            return np.zeros((len(batch), 1))

        def decide(self, features):
            return np.tile(self.said, (len(features), 1))

    one, other = Constant(), Constant()
    one.said, other.said = np.eye(3)[[0, 1]]
    first = evaluate(one, TEXTURES, work=tmp_path / "work")
    second = evaluate(other, TEXTURES, work=tmp_path / "work", resume=True)
    assert first.results[0].predictions.scores[0].tolist() == [1, 0, 0]
    assert second.results[0].predictions.scores[0].tolist() == [0, 1, 0]


# What is kept


def test_fitted_models_are_kept_and_replaced_only_if_asked(tmp_path):
    how = {"models": ["two-layer", "two-layer"], "data": TEXTURES, "settings": QUICK, "keep": tmp_path / "kept"}
    done = compare(**how)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"two-layer", "two-layer-2"}
    assert [each.model for each in done.results] == ["two-layer", "two-layer-2"]
    held_out = [done.images(index) for index in range(12)]
    scores = imgtool.open_model(tmp_path / "kept" / "two-layer-2").scores(held_out)
    np.testing.assert_allclose(scores, done.results[1].predictions.scores, atol=1e-6)
    with pytest.raises(OutputError, match="two-layer: exists"):
        compare(**how)
    weights = {path: path.read_bytes() for path in (tmp_path / "kept").rglob("weights*")}
    compare(**how, seed=1, overwrite=True)
    assert weights.keys() != set((tmp_path / "kept").rglob("weights*"))


def test_models_of_one_name_are_told_apart(tmp_path):
    models = [
        registry.create("two-layer", **QUICK),
        registry.create("two-layer", **{**QUICK, "hidden": 3}),
        "two-layer",
    ]
    done = compare(models, TEXTURES, settings=QUICK, work=tmp_path / "work", train_sizes=[3])
    names = ["two-layer", "two-layer-2", "two-layer-3"]
    assert [each.model for each in done.results] == names
    hidden = [each.predictions.facts["settings"]["hidden"] for each in done.results]
    assert hidden == [4, 3, 4]
    again = compare(models, TEXTURES, settings=QUICK, work=tmp_path / "work", train_sizes=[3], resume=True)
    for one, other in zip(done.results, again.results, strict=True):
        np.testing.assert_array_equal(one.predictions.scores, other.predictions.scores)


def test_one_model_a_fold_is_kept(tmp_path):
    compare("two-layer", TEXTURES, settings=QUICK, keep=tmp_path, folds=2)
    assert {path.name for path in tmp_path.iterdir()} == {"two-layer-fold-1", "two-layer-fold-2"}


def test_models_are_kept_of_a_comparison_that_is_gone_on_with(work, tmp_path, counted):
    how = {"models": "two-layer", "data": TEXTURES, "settings": QUICK, "keep": tmp_path / "kept"}
    for _ in range(2):  # the second time it lies there, the same
        done = compare(**how, work=work, resume=True)
        assert imgtool.open_model(tmp_path / "kept" / "two-layer").name == "two-layer"
    assert counted == []
    assert done.models["two-layer"].classes == done.classes
    (work / "comparison.json").unlink()
    shutil.rmtree(tmp_path / "kept" / "two-layer")
    imgtool.train(TEXTURES, "two-layer", output=tmp_path / "kept" / "two-layer", **QUICK)
    for path in [*work.glob("*.predictions"), *work.glob("*.model")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(OutputError, match="two-layer: exists"):
        compare(**how, work=work, resume=True)


# What fails


def raising(error):
    """A class of models whose training fails."""

    class Raising(NearestMean):
        def fit(self, *_, **__):
            raise error

    return Raising


def no_class():
    raise ImportError("no module called elsewhere")


FAILURES = {
    "fails": (lambda: raising(DataError("has its reason")), "has its reason"),
    "defect": (lambda: raising(ZeroDivisionError("division by\nzero")), "ZeroDivisionError: division by zero"),
    "memory": (lambda: raising(MemoryError()), "not enough memory"),
    "elsewhere": (no_class, "ImportError: no module called elsewhere"),
    "extra": (lambda: raising(MissingExtraError("heif", "looking")), "looking needs the extra 'heif'"),
}


def test_C1_each_kind_of_failure_is_a_row_and_the_others_stand(monkeypatch, run):
    points = {name: Point(load) for name, (load, _) in FAILURES.items()}
    monkeypatch.setattr(registry, "_entry_points", lambda: {**points, "nearest-mean": Point(lambda: NearestMean)})
    names = ["fails", "nearest-mean", *list(FAILURES)[1:]]
    done = run("compare", TEXTURES, *(word for name in names for word in ("--model", name)), "--format", "json", "-q")
    assert done.status == 1
    good, *rows = done.rows[0]["models"]
    assert (good["model"], good["n"]) == ("nearest-mean", 12)
    assert {row["model"] for row in rows} == FAILURES.keys()
    for row in rows:
        assert row["error"].startswith(FAILURES[row["model"]][1])
    assert sorted(done.err.splitlines()) == sorted(f"imgtool: {row['model']}: {row['error']}" for row in rows)


class Lacking(NearestMean):
    """A model whose extra is not installed."""

    def require_extras(self, device="cpu"):
        raise MissingExtraError("torch", f"training {self.name}")


class LackingAnother(NearestMean):
    """A model whose extra is not installed, and which names a way out that a comparison does not have."""

    def require_extras(self, device="cpu"):
        raise MissingExtraError("heif", "looking", hint="by-hand")


def test_C1_a_missing_extra_is_told_once_before_anything_is_fitted(monkeypatch, run, nearest):
    points = {"lacking": Point(lambda: Lacking), "nearest-mean": Point(lambda: NearestMean)}
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    reason = "training lacking needs the extra 'torch': pip install \"torch>=2.4\""
    alone = run("compare", "no-such-folder", "--model", "lacking", "--model", "lacking")
    assert (alone.status, alone.out, alone.err) == (2, "", f"imgtool: {reason}\n")
    points["other"] = Point(lambda: LackingAnother)
    both = run("compare", "no-such-folder", "--model", "lacking", "--model", "other", "--model", "lacking")
    assert (both.status, both.out, both.err.count("\n")) == (2, "", 1)
    assert re.fullmatch(
        r"imgtool: training lacking needs the extra 'torch': .*; looking needs the extra 'heif': .*\n", both.err
    )
    heard = []
    told = lambda event: heard.append((event.model, event.error, len(nearest)))  # noqa: E731
    compare(["nearest-mean", "lacking"], TEXTURES, events=lambda event: isinstance(event, Measured) and told(event))
    assert heard == [("lacking", reason, 0), ("nearest-mean", "", 1)]
    done = run("compare", TEXTURES, "--model", "nearest-mean", "--model", "lacking", "-q", "--format", "json")
    assert (done.status, done.err) == (1, f"imgtool: lacking: {reason}\n")
    assert done.rows[0]["models"][1] == {"model": "lacking", "error": reason}


def test_C1_other_classes_are_a_row_that_says_what_would_help(tmp_path, run):
    for name in ("brick", "grass", "sand"):
        shutil.copytree(TEXTURES / name.replace("sand", "gravel"), tmp_path / "data" / name)
    model = tmp_path / "model"
    imgtool.train(TEXTURES, "two-layer", output=model, epochs=3)
    shown = run("evaluate", tmp_path / "data", "--model", f"{model}/", "-q", "--format", "csv")
    assert shown.status == 1
    reason = (
        f"imgtool: {model}/: two-layer knows no class 'sand'; its 3 are brick, grass, gravel; --among data compares"
    )
    assert shown.err.startswith(reason)
    assert "--among" not in shown.out  # in the library's words no option is named
    done = run("evaluate", tmp_path / "data", "--model", f"{model}/", "-q", "--format", "json", "--among", "data")
    row = done.rows[0]["models"][0]
    assert (done.status, row["n"]) == (0, 48)
    assert row["top1_error"] >= 1 / 3  # of sand every image is wrong
    none = run("evaluate", TEXTURES, "--model", "lenet@mnist", "-q", "--among", "data")
    assert (none.status, "--among" in none.err) == (1, False)  # which would not help


# What it costs


def test_rows_hold_what_a_model_costs(tmp_path):
    done = compare(["two-layer", "lenet@mnist"], load_dataset(TEXTURES), settings=QUICK, among="data")
    row = done.rows()[0]
    assert 0 < row["ms_per_image"] <= row["ms_per_image_p95"]
    assert row["images_per_second"] > 0
    assert row["batch"] in (1, 8, 32)
    assert row["parameters"] == sum(array.size for array in done.models["two-layer"].arrays().values())
    assert (row["device"], row["peak_bytes"] is None or row["peak_bytes"] >= 0) == ("cpu", True)


def test_measuring_a_slow_model_takes_few_images(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock[0])

    class Slow(NearestMean):
        def features(self, batch):
            clock[0] += len(batch)  # a second an image
            return super().features(batch)

    model = Slow().fit(noise().train)
    found = costs.costs(model, noise().train)
    assert clock[0] <= costs.LEAST + 1
    assert (found["ms_per_image"], found["images_per_second"], found["batch"]) == (1000, 1, 1)


def test_the_peak_of_memory_is_that_of_the_block():
    with costs.Growth() as growth:
        pass
    if growth.bytes() is None:
        pytest.skip("this system does not say how much memory a process takes")
    assert growth.bytes() < 10_000_000
    for _ in range(2):  # the highest peak of the process, and one that is as high
        with costs.Growth() as growth:
            large = np.ones(40_000_000)
            time.sleep(5 * costs.WATCH_SECONDS)
            del large
        assert 300_000_000 < growth.bytes() < 340_000_000
    with costs.Growth() as growth:
        pass
    assert growth.bytes() < 10_000_000


def test_few_large_images_are_read_to_measure_times(monkeypatch):
    monkeypatch.setattr(costs, "MAX_BYTES", 1000)
    sizes, scores = [], NearestMean.scores
    monkeypatch.setattr(NearestMean, "scores", lambda self, images: sizes.append(len(images)) or scores(self, images))
    data = Dataset(np.zeros((50, 20, 20), np.uint8), np.arange(50) % 2, ("a", "b"))
    costs.costs(NearestMean().fit(data), data)
    assert sizes.count(1) == 1 + costs.LEAST  # the first is not timed


# What is told


def test_events_say_whose_turn_it_is_and_how_each_came_off(nearest):
    heard = []
    data = noise((12, 12, 12))
    trained = NearestMean().fit(data.train)
    compare([trained, "nearest-mean", "nearest-mean"], data, folds=2, events=heard.append)
    turns = [event for event in heard if isinstance(event, Turn)]
    assert [(each.number, each.total, each.part) for each in turns] == [
        (1, 3, ""), (2, 3, "fold 1 of 2"), (2, 3, "fold 2 of 2"), (3, 3, "fold 1 of 2"), (3, 3, "fold 2 of 2"),
    ]  # fmt: skip
    assert [each.seconds_left is None for each in turns] == [True, True, True, True, False]
    done = [event for event in heard if isinstance(event, Measured)]
    assert [(each.done, each.total, each.images) for each in done] == [(1, 3, 36), (2, 3, 36), (3, 3, 36)]


# Nearly equal images


COPIES = {
    "whole": lambda image: encode(image, "png"),
    "same": lambda image: encode(image, "png"),
    "jpeg": lambda image: encode(image, "jpg", quality=50),
    "half": lambda image: encode(resize(image, image.shape[0] // 2, image.shape[1] // 2), "png"),
}


def put_copies(places):
    """Write each kind of copy of three photographs to its folder, beside some textures."""
    for path in [SAMPLES / "astronaut.jpg", SAMPLES / "camera.png", SAMPLES / "cat.jpg"]:
        image = imgtool.read(path)
        for kind, place in places.items():
            (place / "photograph").mkdir(parents=True, exist_ok=True)
            suffix = "jpg" if kind == "jpeg" else "png"
            (place / f"photograph/{path.stem}-{kind}.{suffix}").write_bytes(COPIES[kind](image))
    for place in set(places.values()):
        shutil.copytree(TEXTURES / "brick", place / "texture")


def found_in(comparison):
    """The pairs of nearly equal images by their names."""
    return {frozenset((Path(one).stem, Path(other).stem)) for one, other, _ in comparison.facts["near_duplicates"]}


def test_C4_copies_that_were_stored_again_or_resized_are_found(tmp_path):
    put_copies({"whole": tmp_path / "train", **dict.fromkeys(("same", "jpeg", "half"), tmp_path / "test")})
    done = compare("two-layer", tmp_path, settings=QUICK, near_duplicates=True)
    names = ("astronaut", "camera", "cat")
    expected = {frozenset((f"{name}-whole", f"{name}-{kind}")) for name in names for kind in ("jpeg", "half")}
    assert found_in(done) == expected
    assert len(done.duplicates) == 3 + 16  # of equal pixels; they are not among them
    assert any(note.startswith("6 pairs of nearly equal images stand in both parts, such as") for note in done.notes)


def test_C4_copies_in_different_folds_are_found(tmp_path):
    put_copies(dict.fromkeys(COPIES, tmp_path / "all"))
    done = compare("two-layer", tmp_path / "all", settings=QUICK, folds=3, near_duplicates=True)
    whole, folds = in_folds(load_dataset(tmp_path / "all"), 3, 0)
    fold_of = {Path(whole.test.name(place)).stem: number for number, fold in enumerate(folds) for place in fold.places}
    pairs = {frozenset(pair) for pair in combinations([name for name in fold_of if "-" in name], 2)}
    alike = {pair for pair in pairs if len({name.partition("-")[0] for name in pair}) == 1}
    across = {pair for pair in alike if len({fold_of[name] for name in pair}) == 2}
    equal = {pair for pair in across if {name.partition("-")[2] for name in pair} == {"whole", "same"}}
    assert found_in(done) == across - equal
    assert 0 < len(across) < len(alike)
