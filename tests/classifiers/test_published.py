"""Published weights as models: what is read of a file, what is refused, and that a file stays where it is."""

import os
import pickle
import pickletools
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from imgtool.classifiers import published, registry
from imgtool.classifiers.published import PUBLISHED, Published
from imgtool.errors import DataError, ParameterError
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.initialization import draw_arrays
from locations import SAMPLES

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
SMALL = ["squeezenet1_1", "googlenet", "densenet121", "resnet18"]


def drawn(architecture, seed=0):
    """Return the arrays of an architecture of a thousand classes, in training."""
    own = CATALOGUE[architecture]
    return draw_arrays(own.declare(1000, own.parameters, own.preprocessing), seed)


@pytest.fixture
def put(tmp_path, monkeypatch):
    """A function that stores something as the file of published weights: (name, content, how) -> path."""
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "cache").mkdir()

    def put(name, content, **how):
        path = tmp_path / "cache" / PUBLISHED[name].file
        torch.save(content, path, **how)
        return path

    return put


def tensors(arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old format"])
def test_a_file_is_the_model_of_a_thousand_classes(architecture, how, put, rows_of):
    arrays, name = drawn(architecture), f"{architecture}@imagenet"
    stored = tensors(arrays)
    if architecture == "densenet121":  # whose files are older than torchvision's names
        stored = {key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.")
                  .replace("conv2.", "conv.2.") if "denselayer" in key else key: value
                  for key, value in stored.items()}  # fmt: skip
    put(name, {**stored, "bn1.num_batches_tracked": torch.tensor(5)}, **how)
    model = registry.open_model(name)
    assert {key: array.shape for key, array in model.arrays().items()} == {
        key: array.shape for key, array in arrays.items() if not key.startswith("aux")
    }
    for key, array in model.arrays().items():
        np.testing.assert_array_equal(array, arrays[key])
    assert (len(model.classes), model.classes[0], model.identifiers[0]) == (1000, "tench", "n01440764")
    image = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    seen = model.preprocessing
    assert (seen.side, seen.resize, seen.resample) == (224, 256, "bilinear")
    assert seen.mean == ((0.5,) * 3 if architecture == "googlenet" else (0.485, 0.456, 0.406))
    in_torch = registry.open_model(name, backend="torch")
    np.testing.assert_allclose(in_torch.scores([image]), model.scores([image]), atol=1e-5)
    (row,) = rows_of("classify", "-q", "--model", name, SAMPLES / "coffee.png")
    assert (row["model"], row["classes"], len(row["top"])) == (name, 1000, 5)


def test_googlenets_input_is_torchvisions_transform_input():
    """There, pixels are normalized by ImageNet's mean and deviation, and then as Inception had them: to -1 ... 1."""
    pixels = np.random.default_rng(0).random((5, 3))
    usual = (pixels - published.MEAN) / published.DEVIATION
    transformed = usual * (np.array(published.DEVIATION) / 0.5) + (np.array(published.MEAN) - 0.5) / 0.5
    np.testing.assert_allclose((pixels - 0.5) / 0.5, transformed, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {key: array for key, array in arrays.items() if key != "classifier.1.bias"},
         "classifier.1.bias is missing"),
        (lambda arrays: {**arrays, "more": np.zeros(3, np.float32)}, "more is unknown"),
        (lambda arrays: {**arrays, "classifier.1.bias": np.zeros(999, np.float32)},
         r"classifier.1.bias is \(999,\), not \(1000,\)"),
        (lambda arrays: {**arrays, "classifier.1.bias": np.zeros(1000)}, "classifier.1.bias is float64, not float32"),
        (lambda arrays: {**arrays, "classifier.1.bias": np.zeros(1000, np.int64)},
         "classifier.1.bias is int64, not float32"),
    ],
)  # fmt: skip
def test_N1_wrong_names_shapes_and_types_are_refused_in_one_line(change, message, put, run):
    path = put("squeezenet1_1@imagenet", tensors(change(drawn("squeezenet1_1"))))
    with pytest.raises(DataError, match=message):
        registry.open_model("squeezenet1_1@imagenet")
    done = run("classify", "-q", "--model", "squeezenet1_1@imagenet", SAMPLES / "coffee.png")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert str(path) in done.err


@pytest.mark.parametrize("content", [[1, 2], "text", torch.zeros(3), {1: torch.zeros(3)}, {"a": 5}, {"a": [1]},
                                     {"a": torch.zeros(3).to_sparse()}])  # fmt: skip
def test_N2_what_is_no_mapping_of_tensors_is_refused(content, put):
    put("squeezenet1_1@imagenet", content)
    with pytest.raises(DataError, match=r"holds no tensors by name|holds a tensor called|is no tensor"):
        registry.open_model("squeezenet1_1@imagenet")


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


PLACES = {
    "alone": lambda evil: evil,
    "a value": lambda evil: {"features.0.weight": evil},
    "a key": lambda evil: {evil: torch.zeros(3)},
    "in a list": lambda evil: {"features.0.weight": [torch.zeros(3), evil]},
    "beside": lambda evil: {"features.0.weight": torch.zeros(3), "state": {"deep": (evil,)}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["zip", "old format", "bare pickle", "pickle in a zip"])
def test_N2_a_hostile_file_executes_nothing_and_is_refused(place, form, put, tmp_path, run):
    trap = tmp_path / "executed"
    content = PLACES[place](Hostile(trap))
    path = put("squeezenet1_1@imagenet", {})
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    elif form == "pickle in a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content))
            archive.writestr("archive/version", "3")
    else:
        put("squeezenet1_1@imagenet", content, _use_new_zipfile_serialization=form == "zip")
    done = run("classify", "-q", "--model", "squeezenet1_1@imagenet", SAMPLES / "coffee.png")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"imgtool: {path}: is no file of tensors alone, and is refused")
    assert not trap.exists()


def test_N2_the_trap_would_have_snapped(tmp_path):
    pickle.loads(pickle.dumps(Hostile(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()
    assert "REDUCE" in {opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps(Hostile(tmp_path)))}


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.999])
@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old format"])
def test_N1_a_cut_file_is_refused_in_one_line(share, how, put, run):
    path = put("squeezenet1_1@imagenet", tensors(drawn("squeezenet1_1")), **how)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    done = run("classify", "-q", "--model", "squeezenet1_1@imagenet", SAMPLES / "coffee.png")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert str(path) in done.err


def test_without_the_file_the_line_says_how_to_get_it(put, run, monkeypatch):
    done = run("classify", "-q", "--model", "alexnet@imagenet", SAMPLES / "coffee.png")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "imgtool: alexnet@imagenet is not on this machine: its weights are published, and not included; "
        "imgtool models fetch gets them\n"
    )
    monkeypatch.setenv("IMGTOOL_OFFLINE", "1")
    done = run("models", "fetch", "alexnet@imagenet")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "alexnet-owt-7be5be79.pth into" in done.err
    assert run("models", "fetch", "alexnet@nowhere").status == 2


def test_the_other_commands_know_them(put, run, rows_of, tmp_path, monkeypatch):
    path = put("squeezenet1_1@imagenet", tensors(drawn("squeezenet1_1")))
    listed = {row["model"]: row for row in rows_of("models", "list")}
    assert listed["squeezenet1_1@imagenet"] == {
        "model": "squeezenet1_1@imagenet", "classes": 1000, "accuracy": 0.58178, "n": 50000, "kB": 4959, "fetched": True
    }  # fmt: skip
    assert listed["alexnet@imagenet"]["fetched"] is False
    assert "pytorch.org/models/squeezenet1_1-b8a52dc0.pth" in run("models", "show", "squeezenet1_1@imagenet").out
    assert rows_of("models", "layers", "squeezenet1_1@imagenet")[-1]["parameters"] == 1_235_496
    done = run("models", "verify", "squeezenet1_1@imagenet")
    assert (done.status, done.out) == (1, "")
    assert "is not the published file" in done.err  # these weights were drawn
    assert "imgtool models fetch --force gets it anew" in done.err
    digest = published.digest_of(path)
    monkeypatch.setitem(
        PUBLISHED, "squeezenet1_1@imagenet", replace(PUBLISHED["squeezenet1_1@imagenet"], file=f"s-{digest[:8]}.pth")
    )
    path.rename(path.with_name(f"s-{digest[:8]}.pth"))
    done = run("models", "verify", "squeezenet1_1@imagenet")
    assert (done.status, done.out) == (0, f"squeezenet1_1@imagenet: whole, 1000 classes, sha256 {digest[:12]}\n")
    assert run("models", "export", "squeezenet1_1@imagenet", "-o", tmp_path / "own").status == 0
    exported = registry.open_model(tmp_path / "own")
    image = np.zeros((50, 60, 3), np.uint8)
    np.testing.assert_array_equal(
        exported.scores([image]), registry.open_model("squeezenet1_1@imagenet").scores([image])
    )


def test_a_folder_of_that_name_is_ambiguous(put, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("alexnet@imagenet")
    (tmp_path / "alexnet@imagenet" / "model.json").write_text("{}")
    with pytest.raises(ParameterError, match="is a folder here and a model of imgtool"):
        registry.open_model("alexnet@imagenet")


@pytest.mark.timed
def test_244_megabytes_are_usable_in_50_milliseconds(put):
    arrays = {key: np.zeros(array, np.float32) for key, array in CATALOGUE["alexnet"].declare(
        1000, CATALOGUE["alexnet"].parameters, CATALOGUE["alexnet"].preprocessing).arrays().items()}  # fmt: skip
    path = put("alexnet@imagenet", tensors(arrays))
    assert path.stat().st_size > 244e6
    path.with_name(f"{path.name}.json").write_bytes(published.record(path, published.digest_of(path)))
    registry.open_model("alexnet@imagenet", backend="torch")  # imports PyTorch
    begin = time.perf_counter()
    model = registry.open_model("alexnet@imagenet", backend="torch")
    assert time.perf_counter() - begin < 0.05
    assert len(model.classes) == 1000


def test_files_that_the_table_does_not_have_are_no_models():
    assert isinstance(PUBLISHED["resnet50@imagenet-v2"], Published)
    with pytest.raises(ParameterError, match="alexnet@imagenet can be fetched"):
        registry.open_model("alexnet@places")
