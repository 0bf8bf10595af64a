"""Comparing classifiers: the table, its statistics, failures, the report."""

import csv
import hashlib
import io
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import one_hot, result

import imgtool
from imgtool.classifiers import registry
from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.storage import digest_of
from imgtool.cli.main import execute
from imgtool.datasets import cache
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, load_dataset
from imgtool.errors import DataError, MissingExtraError, ParameterError
from imgtool.evaluation.comparing import compare, evaluate
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.intervals import paired_bootstrap, wilson
from imgtool.evaluation.runner import Result
from imgtool.evaluation.significance import mcnemar_exact
from imgtool.evaluation.store import decode
from imgtool.events import Measured, Progress
from imgtool.image.write import encode
from imgtool.parameters import Parameters, parameter
from locations import SAMPLES

TEXTURES = str(SAMPLES / "textures")


TIMES = ("train_seconds", "ms_per_image", "ms_per_image_p95", "images_per_second", "batch", "peak_bytes")


def test_rows_hold_errors_intervals_and_p_against_the_best():
    labels = np.arange(40) % 8
    good, bad = labels.copy(), labels.copy()
    good[:4] = (good[:4] + 1) % 8
    bad[2:14] = (bad[2:14] + 1) % 8
    results = [result("bad", one_hot(bad, 8)), Result("gone", "needs the extra 'torch'"),
               result("good", one_hot(good, 8))]  # fmt: skip
    rows = Comparison(tuple("abcdefgh"), labels, results).rows()
    assert [row["model"] for row in rows] == ["good", "bad", "gone"]
    assert rows[0]["top1_error"] == pytest.approx(0.1)
    assert rows[0]["top1_interval"] == pytest.approx(wilson(4, 40))
    against = ("difference", "difference_interval", "p", "p_uncorrected")
    assert [rows[0][key] for key in against] == [None] * 4
    assert rows[1]["p"] == rows[1]["p_uncorrected"] == pytest.approx(mcnemar_exact(10, 2))
    assert rows[1]["difference"] == pytest.approx(12 / 40 - 4 / 40)
    assert rows[1]["difference_interval"] == pytest.approx(paired_bootstrap(10, 2, 40))
    assert rows[0]["top5_error"] is not None
    assert rows[2] == {"model": "gone", "error": "needs the extra 'torch'"}
    assert rows[0]["mean_class_accuracy"] == pytest.approx(0.9)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_the_table_does_not_depend_on_the_order_of_models_images_and_names(models, seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 7, 30), rng.dirichlet(np.ones(7), (models, 30))
    turned, images = rng.permutation(models), rng.permutation(30)
    first = Comparison(tuple("abcdefg"), labels, [result(f"model-{each}", scores[each]) for each in range(models)])
    results = [result(f"model-{each}", scores[each][images]) for each in turned]
    for row, other in zip(
        first.rows(), Comparison(tuple("abcdefg"), labels[images], results).rows(), strict=True
    ):  # fmt: skip
        for key, value in row.items():
            assert other[key] == (pytest.approx(value) if isinstance(value, float | list) else value)


def test_of_equal_errors_the_smaller_log_loss_comes_first():
    labels = np.arange(12) % 3
    sure, unsure = one_hot(labels, 3), 0.5 * one_hot(labels, 3) + 0.5 / 3
    rows = Comparison(tuple("abc"), labels, [result("unsure", unsure), result("sure", sure)]).rows()
    assert [row["model"] for row in rows] == ["sure", "unsure"]
    assert [row["p"] for row in rows] == [None, 1]


@dataclass(frozen=True)
class Gain(Parameters):
    gain: float = parameter(1.0, "What brightness is multiplied by.", low=0, high=1)


class Brightness(Trainable):
    """A classifier without learning: bright is class 1."""

    def __init__(self, name="brightness", **settings):
        super().__init__(name, {"architecture": Gain(**settings)})

    def prepare(self, image):
        return image

    def features(self, batch):
        return np.array([[image.mean() / 255] for image in batch])

    def decide(self, features):
        bright = features * self.parameters.gain
        return np.concatenate([1 - bright, bright], axis=1)

    def fit(self, *_, **__):
        self.classes, self.weights_bytes = ("dark", "bright"), 40
        return self

    def arrays(self):
        return {}

    def restore(self, arrays):
        pass


class Failing(Brightness):
    """A classifier that cannot be fitted, each for its own reason."""

    def fit(self, *_, **__):
        raise {
            "data": DataError("cannot be fitted"),
            "extra": MissingExtraError("torch", "training"),
            "memory": MemoryError(),
            "defect": ZeroDivisionError("division\nby zero"),
        }[self.name]

    def __init__(self, name, **settings):
        super().__init__(name, **settings)


class NoNumbers(Brightness):
    """A classifier whose weights went wrong."""

    def decide(self, features):
        return super().decide(features) * np.nan


FAKES = {"brightness": Brightness, "numberless": NoNumbers}


@pytest.fixture
def fakes(monkeypatch):
    def create(name, **settings):
        if name == "unknown":
            raise ParameterError("no model 'unknown'")
        return FAKES.get(name, Failing)(name, **settings)

    monkeypatch.setattr(registry, "create", create)


def shades(count=10):
    """Return images that are dark and bright in turn, each another."""
    images = np.stack([np.full((4, 4), 200 * (i % 2) + i % 55, np.uint8) for i in range(count)])
    return Dataset(images, np.arange(count) % 2, ("dark", "bright"))


@pytest.mark.usefixtures("fakes")
def test_models_are_measured_on_the_same_images_and_failures_are_rows():
    failing = {
        "data": "cannot be fitted",
        "extra": "training needs the extra 'torch': pip install \"torch>=2.4\"",
        "memory": "not enough memory",
        "defect": "ZeroDivisionError: division by zero",
        "numberless": "numberless gives no probabilities: its weights are too large",
    }
    data = shades()
    done = compare(["data", "extra", "brightness", *list(failing)[2:]], Parts(data, data))
    first, *rest = done.rows()
    assert (first["model"], first["top1_error"], first["n"]) == ("brightness", 0, 10)
    assert first["bytes"] == 40
    assert first["ms_per_image"] > 0
    assert {row["model"]: row["error"] for row in rest} == failing
    assert done.failed
    assert not compare(["brightness"], Parts(data, data)).failed


@pytest.mark.usefixtures("fakes")
def test_wrong_usage_is_found_before_anything_is_trained():
    parts = Parts(shades(), None)
    for models, settings, reason in (
        (["data", "unknown"], {}, "unknown"),
        (["brightness"], {"gian": 2}, "'gian'.*gain"),
        (["brightness", "hog-svm@nothing"], {}, "hog-svm"),
    ):
        with pytest.raises(ParameterError, match=reason):
            compare(models, parts, settings=settings)
    done = compare(["brightness"], parts, settings={"gain": 0.1})
    assert done.rows()[0]["settings"] == {"gain": 0.1}
    assert done.rows()[0]["top1_error"] == 0.5


@pytest.mark.usefixtures("fakes")
def test_data_are_split_once_and_the_facts_say_how():
    data, calls = shades(40), []
    done = compare(["brightness"], Parts(data, None), test_share=0.3, seed=4, events=calls.append)
    assert done.counts == {"train": {"dark": 14, "bright": 14}, "test": {"dark": 6, "bright": 6}}
    assert (done.facts["seed"], done.facts["test_share"]) == (4, 0.3)
    assert done.facts["sha256"] == compare(["brightness"], Parts(data, None), test_share=0.3, seed=4).facts["sha256"]
    assert done.facts["sha256"] != compare(["brightness"], Parts(data, None), test_share=0.3, seed=5).facts["sha256"]
    assert compare(["brightness"], Parts(data, data)).facts["test_share"] is None
    assert Progress(12, 12, "labeling images", "brightness") in calls
    assert calls[-1] == Measured(1, 1, "brightness", images=12)
    assert all(0 <= each.done <= each.total for each in calls if isinstance(each, Progress))


def test_an_image_that_cannot_be_read_is_named_before_anything_is_trained(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(4):
            (tmp_path / name / f"{index}.png").write_bytes(encode(np.full((9, 9), index, np.uint8), "png"))
    (tmp_path / "b" / "2.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"1 of 8 images cannot be used: .*b.2\.png"):
        compare(["hog-svm"], load_dataset(tmp_path))


def test_vectors_are_refused_by_models_that_look_at_images():
    data = Dataset(np.random.default_rng(0).random((20, 6)), np.arange(20) % 2, ("a", "b"))
    with pytest.raises(DataError, match="needs images"):
        compare(["two-layer"], Parts(data, None))


def fitted(**settings):
    return Brightness(**settings).fit()


def test_columns_follow_the_data_sets_order_of_classes():
    data = Dataset(np.full((1, 4, 4), 250, np.uint8), np.array([0]), ("bright", "dark"))
    assert evaluate(fitted(), data).rows()[0]["top1_error"] == 0
    gray = Dataset(np.zeros((1, 4, 4)), np.array([0]), ("gray",))
    assert evaluate(fitted(), gray).rows()[0]["error"] == "brightness knows no class 'gray'; its 2 are dark, bright"


def test_models_are_names_folders_or_classifiers_and_data_paths_parts_or_data_sets():
    one, two = shades(6), shades(8)
    assert [len(evaluate(fitted(), data).labels) for data in (one, Parts(two, one), Parts(two, None))] == [6, 6, 8]
    path = SAMPLES / "textures"
    tables = [evaluate(["lenet", "alexnet@imagenette"], each).rows() for each in (path, str(path), load_dataset(path))]
    assert tables[0] == tables[1] == tables[2]
    assert [row["model"] for row in tables[0]] == ["lenet", "alexnet@imagenette"]
    assert "is not trained" in evaluate(Brightness(), one).rows()[0]["error"]
    both = compare([Brightness(), fitted(gain=0.1)], Parts(two, one)).rows()
    assert [row["top1_error"] for row in both] == [0, 0.5]
    assert [row["train_seconds"] is None for row in both] == [False, True]


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("jobs", [1, 4])
def test_the_number_of_jobs_changes_no_number(jobs):
    rows = compare(["brightness", "numberless"], Parts(shades(90), None), jobs=jobs).rows()
    expected = compare(["brightness", "numberless"], Parts(shades(90), None)).rows()
    assert [{k: v for k, v in row.items() if k not in TIMES} for row in rows] == [
        {k: v for k, v in row.items() if k not in TIMES} for row in expected
    ]


def test_predictions_are_stored_one_file_for_each_model_and_the_table_follows_from_them(tmp_path):
    data = shades(20)
    done = evaluate([fitted(), fitted(gain=0.5)], data, work=tmp_path / "one")
    files = sorted((tmp_path / "one").glob("*.predictions"))
    assert len(files) == 2
    stored = [decode(path.read_bytes()) for path in files]
    again = Comparison(done.classes, done.labels, [Result(each.model, None, each) for each in stored])
    assert sorted(map(str, again.rows())) == sorted(map(str, done.rows()))
    assert {each.images for each in stored} == {data.digest()}


class Opened:
    """The files that this process opens while it looks; a hook cannot be taken away again."""

    def __init__(self):
        self.paths, self.looks = [], False
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if self.looks and event == "open" and arguments[1] is not None:  # not the opener that `open` itself calls
            self.paths.append(str(arguments[0]))


OPENED = Opened()


@pytest.mark.parametrize("command", ["compare", "evaluate"])
def test_each_file_is_opened_decoded_and_hashed_once_for_one_table(command, tmp_path, monkeypatch):
    for index in range(12):
        path = tmp_path / "data" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((9, 9), 20 * index, np.uint8), "png"))
    decoded, hashed = [], []
    read, sha256 = cache.read, hashlib.sha256
    monkeypatch.setattr(cache, "read", lambda data, **told: decoded.append(data) or read(data, **told))
    monkeypatch.setattr(cache, "hashlib", SimpleNamespace(sha256=lambda data: hashed.append(data) or sha256(data)))
    OPENED.paths, OPENED.looks = [], True
    if command == "compare":
        done = compare(["two-layer", "two-layer"], tmp_path / "data", settings={"epochs": 1})
    else:
        done = evaluate([Ab(), Ab()], tmp_path / "data")
    OPENED.looks = False
    assert not done.failed
    files = sorted((tmp_path / "data").rglob("*.png"))
    assert sorted(path for path in OPENED.paths if path.endswith(".png")) == sorted(map(str, files))
    assert sorted(decoded) == sorted(hashed) == sorted(path.read_bytes() for path in files)


class Ab(Brightness):
    """Knows the classes a and b."""

    classes = ("a", "b")


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_compare_prints_every_format_and_failures_as_rows(format, capsys, tmp_path):
    report, broken = tmp_path / "r.html", tmp_path / "broken"
    broken.mkdir()
    command = ["compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "--format", format]
    assert execute([*command, "--report", str(report)]) == 0
    whole = capsys.readouterr().out
    assert "two-layer" in report.read_text()
    assert execute([*command, "--report", str(report)]) == 1
    assert "--force" in capsys.readouterr().err
    assert execute([*command, "--model", f"{broken}/", "-q", "--report", str(report), "--force"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "failed: " in report.read_text()
    if format == "json":
        record = json.loads(whole)
        assert next(iter(record)) == "path"
        assert (record["images"], record["seed"], record["seen"]) == (12, 0, [])
        assert record["models"][0]["settings"]["epochs"] == 2
        assert "model.json" in json.loads(captured.out)["models"][1]["error"]
    elif format == "csv":
        rows = list(csv.DictReader(io.StringIO(captured.out)))
        assert [row["model"] for row in rows] == ["two-layer", f"{broken}/"]
        assert [bool(row["reason"]) for row in rows] == [False, True]
        assert float(rows[0]["top1_low"]) <= float(rows[0]["top1_error"]) <= float(rows[0]["top1_high"])
    else:
        assert len(whole.splitlines()) == (7 if format == "table" else 5)
        assert "two-layer is wrong on " in whole or "Take two-layer: wrong on " in whole
        (line,) = (line for line in captured.out.splitlines() if line.lstrip("| ").startswith(f"{broken}/"))
        assert "model.json" in line
    if format == "markdown":
        assert re.match(r"\| model \|.*\n\| --- \|", whole)
        assert len({row.count("|") for row in captured.out.splitlines() if row.startswith("|")}) == 1


def test_compare_is_the_same_every_time_but_for_the_times(capsys):
    def run(seed):
        assert execute(["compare", TEXTURES, "--model", "two-layer", "--epochs", "2", "--seed", seed, "-q"]) == 0
        record = json.loads(capsys.readouterr().out)
        return {**record, "models": [{k: v for k, v in row.items() if k not in TIMES} for row in record["models"]]}

    first = run("3")
    assert first == run("3")
    assert first["sha256"] != run("4")["sha256"]


@pytest.mark.parametrize(
    "command", [["compare", "--model", "two-layer", "--epochs", "1"], ["evaluate", "--model", "lenet"]]
)
def test_jobs_change_nothing_but_times(command, run):
    found = []
    for jobs in (1, 4):
        record = json.loads(run(*command, TEXTURES, "-q", "--format", "json", "--jobs", jobs).out)
        found.append([{k: v for k, v in row.items() if k not in TIMES} for row in record["models"]])
    assert found[0] == found[1]
    assert run(*command, TEXTURES, "--jobs", 0).status == 2


def test_wrong_usage_of_compare_is_status_2(capsys):
    for wrong in (
        ["--model", "two-leyer"],
        ["--model", "two-layer", "--set", "epoks=3"],
        ["--model", "two-layer", "--set", "epochs=x"],
    ):
        assert execute(["compare", TEXTURES, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_extra_is_a_row_and_the_others_stand(capsys, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    command = ["compare", TEXTURES, "--model", "sift-fv-svm", "--model", "two-layer", "--epochs", "1", "-q"]
    assert execute(command) == 1
    captured = capsys.readouterr()
    good, failed = json.loads(captured.out)["models"]
    assert good["model"] == "two-layer"
    assert failed["model"] == "sift-fv-svm"
    assert 'pip install "scikit-learn>=' in failed["error"]
    assert captured.err == f"imgtool: sift-fv-svm: {failed['error']}\n"


def test_a_classic_model_and_a_network_side_by_side(capsys):
    command = ["compare", TEXTURES, "--model", "gist-svm", "--model", "two-layer", "--epochs", "5", "--format", "json"]
    assert execute(command) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert rows[0]["model"] == "gist-svm"
    assert rows[0]["top1_error"] < 0.2  # a guess errs in two of three
    assert rows[1]["p"] is not None


def test_a_model_that_was_trained_on_the_held_out_images_is_told(capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "2", "-o", model, "-q"]) == 0
    for command in (["compare", TEXTURES, "--model", "two-layer", "--epochs", "1"], ["evaluate", TEXTURES]):
        assert execute([*command, "--model", model, "--format", "json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["seen"] == [model]
        assert "was trained on these test images" in captured.err
    row = json.loads(captured.out)["models"][0]
    assert row["bytes"] == next(Path(model).glob("weights-*")).stat().st_size
    assert row["train_seconds"] is None


def test_a_model_that_goes_on_from_weights_of_the_same_images_builds_on_no_other_labels(tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    half, other = data.subset(np.arange(0, 48, 2)), data.subset(np.arange(1, 48, 2))
    imgtool.train(half, "two-layer", epochs=1, output=tmp_path / "first")
    for images, seed, told in ((half, 0, False), (half, 1, False), (other, 0, True)):
        again = tmp_path / f"again-{told}-{seed}"
        imgtool.train(images, "two-layer", init=tmp_path / "first", epochs=1, seed=seed, output=again)
        remarks = evaluate(again, data.subset(np.arange(0, 48, 3))).remarks()
        assert any("builds on first, and so on its labels" in line for line in remarks) == told
    # What goes on from that model builds on others, too.
    imgtool.train(other, "two-layer", init=again, epochs=1, output=tmp_path / "third")
    (line,) = [each for each in evaluate(tmp_path / "third", other).remarks() if "builds on" in each]
    assert "builds on again-True-0, and so on its labels" in line


def test_what_first_weights_had_seen_a_model_has_seen(capsys, tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    first, second = data.subset(np.arange(0, 48, 2)), data.subset(np.arange(1, 48, 2))
    imgtool.train(first, "two-layer", epochs=1, output=tmp_path / "first")
    model = imgtool.train(second, "two-layer", init=tmp_path / "first", epochs=1, output=tmp_path / "second")
    done = evaluate(tmp_path / "second", first)
    assert done.seen == [str(tmp_path / "second")]
    assert "was trained on these test images" in done.to_record()["decision"]
    assert evaluate(tmp_path / "second", data).rows()[0]["seen_images"] == 48
    # Also of one that is fitted on such weights in the comparison, in folds, and after an interruption.
    ready = registry.create("two-layer", epochs=1)
    ready.start_from(model, first.classes)
    parts, work = Parts(second, first), tmp_path / "work"
    assert compare(ready, parts, work=work).rows()[0]["seen_images"] == 24
    (predictions,) = work.glob("*.predictions")
    predictions.unlink()
    assert compare(ready, parts, work=work, resume=True).rows()[0]["seen_images"] == 24
    assert compare(ready, data, folds=3).rows()[0]["seen_images"] == 48


def test_a_machine_that_was_not_cross_validated_is_told(tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    few, test = data.subset(np.array([0, 16, 32])), data.subset(np.arange(1, 48, 5))
    done = compare(["hog-svm", "two-layer"], Parts(few, test), settings={"epochs": 1})
    said = "was not cross-validated: its cost was not chosen, its scores are not calibrated"
    assert [line for line in done.remarks() if "cross-validated" in line] == [f"hog-svm: {said}"]
    assert not any("cross-validated" in line for line in compare("hog-svm", data).remarks())


def test_validation_images_of_their_own_were_seen(tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    train, validation = data.subset(np.arange(0, 48, 2)), data.subset(np.arange(1, 48, 2))
    imgtool.train(Parts(train, None, validation), "two-layer", epochs=1, output=tmp_path / "model")
    assert evaluate(tmp_path / "model", validation).seen == [str(tmp_path / "model")]


def test_first_weights_without_hashes_are_known_by_their_data_set(tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    older = imgtool.train(data, "two-layer", epochs=1, validation_share=0)
    older.provenance = {key: value for key, value in older.provenance.items() if key != "seen"}
    older.save(tmp_path / "older")
    noise = Dataset(np.random.default_rng(0).integers(0, 256, (6, 32, 32), np.uint8), np.arange(6) % 3, data.classes)
    imgtool.train(noise, "two-layer", init=tmp_path / "older", epochs=1, output=tmp_path / "tuned")
    assert evaluate(tmp_path / "tuned", data).seen == [str(tmp_path / "tuned")]


def test_weights_of_others_may_have_seen_the_images():
    classes = ("espresso", "tabby")
    data = Dataset(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8), np.arange(4) % 2, classes)
    done = evaluate(["efficientnet-lite0@imagenet"], data, among="data")
    assert "efficientnet-lite0@imagenet: was trained by others, perhaps on some of these images" in done.remarks()


def test_a_model_that_was_trained_on_some_of_the_test_images_is_told(capsys, tmp_path):
    data = load_dataset(SAMPLES / "textures").train
    learned = data.subset(np.flatnonzero(np.arange(48) % 4))
    model = str(tmp_path / "model")
    imgtool.train(learned, "two-layer", epochs=1, output=model)
    done = evaluate(model, data)
    assert (done.seen, done.rows()[0]["seen_images"]) == ([], 36)
    assert done.remarks()[0] == f"{model}: was trained on 36 of these 48 test images"
    assert done.to_record()["decision"] == f"{model} was trained on some of these test images."
    others = evaluate(model, data.subset(np.arange(0, 48, 4)))
    assert (others.seen, others.rows()[0]["seen_images"], others.remarks()) == ([], 0, [])
    assert evaluate(model, data.subset(np.array([1, 17, 33]))).seen == [model]  # all of them, in any order
    assert execute(["models", "show", model]) == 0
    assert registry.open_model(model).provenance["seen"] not in capsys.readouterr().out


def test_train_then_evaluate_then_classify(capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "5", "-o", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 42
    assert execute(["train", TEXTURES, "--model", "two-layer", "-o", model]) == 1
    capsys.readouterr()
    assert execute(["evaluate", TEXTURES, "--model", model, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["n"] == 48
    assert execute(["classify", "--model", model, "-q", f"{TEXTURES}/brick"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 16
    assert {"path", "model", "classes", "label", "score", "sure", "top", "weights", "device"} == rows[0].keys()
    assert rows[0]["classes"] == 3
    assert sum(each["score"] for each in rows[0]["top"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["alexnet", "lenet@cifar10", "sift-fv-svm"])
def test_classify_and_evaluate_agree_on_every_image(name, rows_of, tmp_path):
    """Other batches, the same labels, and scores to 1e-6."""
    model = registry.open_model(name)
    files = [*sorted(SAMPLES.glob("*.*g"))[:4], *sorted(SAMPLES.glob("textures/*/*.png"))[:30]]
    (tmp_path / "all.csv").write_text("".join(f"{path},{model.classes[i % 2]}\n" for i, path in enumerate(files)))
    (predictions,) = (each.predictions for each in evaluate(name, tmp_path / "all.csv", jobs=1).results)
    rows = rows_of("classify", "-q", "--top", len(model.classes), "--model", name, *files)
    assert [row["label"] for row in rows] == [model.classes[best] for best in predictions.scores.argmax(axis=1)]
    for row, scores in zip(rows, predictions.scores, strict=True):
        found = {each["label"]: each["score"] for each in row["top"]}
        np.testing.assert_allclose([found[label] for label in model.classes], scores, atol=1e-6)


@pytest.mark.parametrize(("threshold", "label"), [("0", None), ("1", "unsure")])
def test_a_low_score_is_unsure(threshold, label, capsys, tmp_path):
    model = str(tmp_path / "model")
    assert execute(["train", TEXTURES, "--model", "two-layer", "--epochs", "1", "-o", model, "-q"]) == 0
    execute(["classify", "--model", model, "-q", "--threshold", threshold, str(SAMPLES / "cat.jpg")])
    row = json.loads(capsys.readouterr().out)
    assert row["label"] == (label or row["top"][0]["label"])


def test_an_interrupted_training_is_not_thrown_away_by_accident(capsys, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    checkpoint = tmp_path / "model.checkpoint"
    damaged = (100).to_bytes(8, "little") + b'{"__metadata__":{"hours of work'
    checkpoint.write_bytes(damaged)
    command = ["train", TEXTURES, "--model", "lenet", "--epochs", "1", "-q", "-o", str(tmp_path / "model")]
    assert execute(command) == 1
    assert "--resume" in capsys.readouterr().err
    assert checkpoint.read_bytes() == damaged
    assert execute([*command, "--resume"]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert execute([*command, "--force"]) == 0
    assert not checkpoint.exists()


def test_classes_that_are_called_by_identifiers_meet_the_model_by_them(tmp_path):
    keys, names = tmp_path / "keys", tmp_path / "names"
    for key, name, source in (("n01440764", "tench", "brick"), ("n03028079", "church", "grass")):
        for folder in (keys / key, names / name):
            folder.mkdir(parents=True)
            for path in sorted((SAMPLES / "textures" / source).iterdir())[:5]:
                shutil.copy(path, folder)
    by_key, by_name = evaluate("alexnet", keys), evaluate("alexnet", names)
    assert (by_key.classes, by_key.failed) == (("n01440764", "n03028079"), False)
    assert by_key.rows()[0]["top1_error"] == by_name.rows()[0]["top1_error"]
    assert by_key.results[0].predictions.classes[:2] == ("n01440764", "English springer")


@pytest.mark.parametrize(
    "given",
    [{"test_share": "x"}, {"test_share": None}, {"seed": -1}, {"seed": 1.5}, {"settings": 3}, {"settings": "x"},
     {"work": 3}, {"jobs": float("nan")}, {"models": None}, {"models": [3]}],
)  # fmt: skip
def test_arguments_of_wrong_types_are_refused(given):
    arguments = {"models": "two-layer", "data": SAMPLES / "textures", "settings": {"epochs": 1}, **given}
    with pytest.raises(ParameterError):
        compare(**arguments)


@pytest.mark.parametrize(
    "given", [{"model": None}, {"model": 3}, {"output": 3}, {"validation_share": "x"}, {"seed": "x"}, {"threads": 0}]
)
def test_training_refuses_arguments_of_wrong_types(given):
    with pytest.raises(ParameterError):
        imgtool.train(SAMPLES / "textures", **{"model": "lenet", "epochs": 1, **given})


def test_a_models_folder_may_be_a_path(tmp_path):
    imgtool.train(SAMPLES / "textures", "two-layer", epochs=1, output=tmp_path / "model")
    row = evaluate(tmp_path / "model", SAMPLES / "textures").rows()[0]
    assert (row["model"], row["n"]) == (str(tmp_path / "model"), 48)


def test_settings_that_no_image_fits_are_the_folders_fault(tmp_path):
    imgtool.train(SAMPLES / "textures", "hog-svm", output=tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    description = json.loads(path.read_text())
    description["architecture"]["parameters"]["size"] = 3
    path.write_text(json.dumps(description | {"digest": digest_of(description)}))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'model'}: ") + ".*size must be at least"):
        imgtool.open_model(tmp_path / "model")


def test_a_network_whose_validation_images_are_among_the_test_images_is_named(run, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    folder = tmp_path / "model"
    assert run("train", TEXTURES, "--model", "lenet", "--epochs", "1", "-q", "-o", folder).status == 0
    assert registry.open_model(folder).provenance["drawn_from"]["images"] == 48
    done = run("evaluate", TEXTURES, "--model", folder, "--format", "json")
    assert done.rows[0]["seen"] == [str(folder)]
    assert "was trained on these test images" in done.err
