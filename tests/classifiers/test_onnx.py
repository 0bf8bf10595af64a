"""Models as ONNX files: onnxruntime gives the same probabilities, `classify` takes them, others are refused."""

import json

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError, ParameterError
from imgtool.image import read
from locations import SAMPLES

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

PHOTOGRAPHS = [SAMPLES / name for name in ("coffee.png", "cat.jpg", "camera.png", "rocket_alpha.png")]
SHIPPED = [name for name in registry.shipped() if not name.startswith("sift")]
# One of each way to build a network, in the order of their sizes.
DRAWN = ["two-layer", "squeezenet1_1", "efficientnet-lite0", "googlenet", "densenet121", "resnet18", "resnet50"]


@pytest.fixture(scope="module")
def textures():
    return load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 3))


def export(run, name, output, *more):
    done = run("models", "export", name, "-o", output, *more)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{output}: ")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_gives_the_models_scores(name, tmp_path, run, rows_of):
    export(run, name, tmp_path / "m.onnx")
    own, exported = registry.open_model(name), registry.open_model(tmp_path / "m.onnx")
    assert (exported.classes, exported.identifiers, exported.threshold) == (own.classes, own.identifiers, own.threshold)
    images = [read(path) for path in PHOTOGRAPHS[:3]]
    np.testing.assert_allclose(exported.scores(images), own.scores(images), atol=1e-4)
    rows, expected = (
        rows_of("classify", "-q", "--model", model, *PHOTOGRAPHS) for model in (tmp_path / "m.onnx", name)
    )
    for row, other in zip(rows, expected, strict=True):
        assert row["label"] == other["label"]
        assert row.get("id") == other.get("id")
        assert row["score"] == pytest.approx(other["score"], abs=1e-4)
        assert (row["classes"], row["device"]) == (len(own.classes), "cpu")


@pytest.mark.parametrize("name", DRAWN)
def test_every_kind_of_network_is_run(name, tmp_path, textures, run):
    """Weights as they are first drawn, and those that training by one step gives batch normalization."""
    if name != "two-layer":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    low, _ = registry.create(name).architecture.sides
    model = registry.create(name, epochs=1, batch=8, side=max(low, 33)).fit(textures)
    model.save(tmp_path / "m")
    export(run, tmp_path / "m", tmp_path / "m.onnx")
    images = [textures.image(index) for index in range(3)]
    exported = registry.open_model(tmp_path / "m.onnx")
    np.testing.assert_allclose(exported.scores(images), model.scores(images), atol=1e-4)


def test_the_file_says_what_a_program_without_imgtool_needs(tmp_path, run):
    export(run, "lenet@mnist", tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    said = json.loads(session.get_modelmeta().custom_metadata_map["imgtool"])
    own = registry.open_model("lenet@mnist")
    assert [each["name"] for each in said["classes"]] == list(own.classes)
    assert said["preprocessing"]["side"] == 32
    assert said["weights"] == own.weights_hash
    squares = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), dtype=np.uint8)
    (found,) = session.run(None, {"images": squares})
    np.testing.assert_allclose(found, own.decide(own.features(list(squares))), atol=1e-5)


def test_the_line_of_a_classic_model(tmp_path, textures, run):
    pytest.importorskip("sklearn", reason="the extra 'classic' is not installed")
    model = registry.create("sift-bow-svm", k=8, dimensions=8).fit(textures)
    model.save(tmp_path / "m")
    export(run, tmp_path / "m", tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    features = model.features([model.prepare(textures.image(index)) for index in range(4)])
    (found,) = session.run(["probabilities"], {"features": features})
    np.testing.assert_allclose(found, model.decide(features), atol=1e-5)
    done = run("classify", "-q", "--model", tmp_path / "m.onnx", PHOTOGRAPHS[0])
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        f"imgtool: {tmp_path / 'm.onnx'}: takes feature vectors, as sift-bow-svm computes them, and not images\n"
    )


def broken(change):
    """Return what changes the description in a file."""

    def apply(data):
        made = onnx.load_from_string(data)
        said = json.loads(made.metadata_props[0].value)
        said = change(said)
        made.metadata_props[0].value = said if isinstance(said, str) else json.dumps(said)
        return made.SerializeToString()

    return apply


def without_description(data):
    made = onnx.load_from_string(data)
    del made.metadata_props[:]
    return made.SerializeToString()


BROKEN = {
    "empty": (lambda data: b"", "is no ONNX file that can be run"),
    "cut": (lambda data: data[: len(data) // 2], "is no ONNX file that can be run"),
    "text": (lambda data: b"my notes", "is no ONNX file that can be run"),
    "of others": (without_description, "was not written by imgtool"),
    "no JSON": (broken(lambda said: "{"), "its description is not JSON"),
    "deep": (broken(lambda said: "[" * 100_000), "its description is not JSON"),
    "a list": (broken(lambda said: [said]), "of another format"),
    "another format": (broken(lambda said: {**said, "format": 2}), "of another format"),
    "more": (broken(lambda said: {**said, "more": 1}), "fields of its description"),
    "less": (broken(lambda said: {"format": said["format"]}), "fields of its description"),
    "no classes": (broken(lambda said: {**said, "classes": []}), "fields of its description"),
    "fewer classes": (broken(lambda said: {**said, "classes": said["classes"][1:]}), "its graph is not the one"),
    "threshold": (broken(lambda said: {**said, "threshold": 2}), "fields of its description"),
    "huge side": (broken(lambda said: {**said, "preprocessing": {**said["preprocessing"], "side": 10**9}}), "side"),
    "other side": (broken(lambda said: {**said, "preprocessing": {**said["preprocessing"], "side": 64}}),
                   "its graph is not the one"),
    "no preprocessing": (broken(lambda said: {**said, "preprocessing": None}), "m.onnx"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_N5_what_is_no_file_of_ours_is_refused_in_one_line(name, tmp_path, run):
    change, says = BROKEN[name]
    export(run, "lenet@mnist", tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(change((tmp_path / "m.onnx").read_bytes()))
    with pytest.raises(DataError, match=says):
        registry.open_model(tmp_path / "m.onnx")
    done = run("classify", "-q", "--model", tmp_path / "m.onnx", PHOTOGRAPHS[0])
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"imgtool: {tmp_path / 'm.onnx'}: ")


def test_an_existing_file_is_not_overwritten_and_other_outputs_are_refused(tmp_path, run):
    (tmp_path / "m.onnx").write_text("mine")
    assert run("models", "export", "lenet", "-o", tmp_path / "m.onnx").status == 1
    assert (tmp_path / "m.onnx").read_text() == "mine"
    export(run, "lenet", tmp_path / "m.onnx", "--force")
    again = tmp_path / "again.onnx"
    done = run("models", "export", tmp_path / "m.onnx", "-o", again)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert not again.exists()
    with pytest.raises(ParameterError, match="onnxruntime"):
        registry.open_model(tmp_path / "m.onnx", backend="torch")
    done = run("evaluate", SAMPLES / "textures", "--model", tmp_path / "m.onnx", "--format", "json")
    assert "knows no class 'brick'" in done.out
