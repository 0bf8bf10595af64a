"""Models fitted to the vectors of a feature file: the same as those fitted to the images, or refused in one line."""

import functools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool.classifiers.classic import vector_svm
from imgtool.classifiers.registry import create, open_model
from imgtool.datasets import feature_file
from imgtool.datasets.feature_file import FeatureTable
from imgtool.errors import DataError, ParameterError
from imgtool.features.codebook import Codebook, Dictionary, save_codebook
from imgtool.features.encoding import LocalSettings
from imgtool.image.write import encode

CLASSES = ("across", "down")
EACH = 6
# Model -> the descriptor of its vectors, with parameters, and the settings that stand for them.
PLAIN = {
    "gist-svm": ("gist", {"size": 32, "orientations": (4, 2), "blocks": 2}),
    "hog-svm": ("hog", {"resize": "32x32", "cell": 8, "orientations": 5}),
    "cnn-svm": ("embed", {"model": "lenet@mnist"}),
}
CHOSEN = {
    "gist-svm": {"size": 32, "orientations": (4, 2), "blocks": 2},
    "hog-svm": {"size": 32, "cell": 8, "orientations": 5},
    "cnn-svm": {"network": "lenet@mnist"},
}
BY_CODEBOOK = {
    "sift-fv-svm": "fisher", "sift-fv-softmax": "fisher", "sift-vlad-svm": "vlad", "sift-bow-svm": "bow",
    "scspm": "sparse",
}  # fmt: skip


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Stripes in class folders: gray, color, 16 bits, transparent, of several sizes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(2 * EACH):
        shape = rng.integers(40, 70, 2)
        place = np.indices(shape)[number % 2] + rng.uniform(0, 6)
        image = np.clip(128 + 60 * np.sin(place) + rng.normal(scale=15, size=shape), 0, 255).astype(np.uint8)
        kinds = (
            lambda gray: gray,
            lambda gray: np.dstack([gray, gray // 2, 255 - gray]),
            lambda gray: gray.astype(np.uint16) * 257,
            lambda gray: np.dstack([gray, gray, gray, np.where(gray > 90, 255, 40).astype(np.uint8)]),
        )
        path = Path("photos", CLASSES[number % 2], f"{number:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(kinds[number // 2 % 4](image), "png"))
    return Path("photos")


@pytest.fixture
def books():
    """A codebook and a dictionary, in files."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(128, 6)))[0].T.astype(np.float32)
    shapes = rng.uniform(0.01, 0.1, (2, 4, 8)).astype(np.float32)
    meta = {"sift": LocalSettings(step=5, bins=(4, 6)).to_meta()}
    book = Codebook(np.zeros(128, np.float32), basis, *shapes, np.full(4, 0.25, np.float32), meta)
    atoms = np.abs(rng.normal(size=(9, 128))).astype(np.float32)
    of_atoms = {"sift": LocalSettings(step=6, bins=(4,), root=False, window="gaussian").to_meta()}
    dictionary = Dictionary(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), of_atoms)
    save_codebook("book.safetensors", book)
    save_codebook("atoms.safetensors", dictionary)
    return {"book.safetensors": book, "atoms.safetensors": dictionary}


def assert_same(model, expected, folder="photos"):
    """Two models have the same settings and numbers, and the first, stored and opened, the same scores of images."""
    assert model.settings == expected.settings
    assert model.classes == expected.classes
    assert model.arrays().keys() == expected.arrays().keys()
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(model.arrays()[name], array)
    assert model.threshold == expected.threshold
    model.save(Path("stored"), overwrite=True)
    images = [imgtool.read(str(path)) for path in sorted(Path(folder).rglob("*.png"))]
    np.testing.assert_array_equal(open_model("./stored").scores(images), expected.scores(images))


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_model_fitted_to_vectors_is_the_one_fitted_to_the_images(name, suffix, photos):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    descriptor, parameters = PLAIN[name]
    imgtool.describe_images(photos, descriptor, output=f"f{suffix}", **parameters)
    expected = imgtool.train(photos, name, seed=3, **CHOSEN[name])
    assert_same(imgtool.train(f"f{suffix}", name, seed=3), expected)
    assert_same(imgtool.train(f"f{suffix}", name, seed=3, **CHOSEN[name]), expected)  # equal ones may be chosen


@pytest.mark.parametrize(("name", "encoding"), BY_CODEBOOK.items())
def test_a_codebook_of_a_file_comes_with_its_vectors(name, encoding, photos, books, monkeypatch):
    file = "atoms.safetensors" if encoding == "sparse" else "book.safetensors"
    more = {"solver": "llc"} if encoding == "sparse" else {}
    imgtool.describe_images(photos, encoding, output="f.npz", codebook=file, pyramid="1x1,2x1", **more)
    model = imgtool.train("f.npz", name)
    kind = type(model)
    monkeypatch.setattr(kind, "fit_descriptor", lambda self, *_: setattr(self, "codebook", books[file]))
    expected = imgtool.train(photos, name, **{key: model.settings[key] for key in model.settings if key != "samples"})
    assert model.settings["pyramid"] == ["1x1", "2x1"]
    assert (model.settings["size"], model.settings["mirror"]) == (0, False)
    assert_same(model, expected)


@pytest.mark.parametrize(("name", "encoding"), [("sift-fv-svm", "fisher"), ("sift-vlad-svm", "vlad")])
def test_the_codebook_that_ships_brings_its_models_preparation(name, encoding, photos, monkeypatch):
    imgtool.describe_images(photos, encoding, output="f.npz")
    model, ships = imgtool.train("f.npz", name), open_model("sift-fv-svm")
    shared = ("size", "resolution", "step", "bins", "window", "root", "color", "k", "dimensions", "places")
    assert {key: model.settings[key] for key in shared} == {key: ships.settings[key] for key in shared}
    assert (model.settings["mirror"], model.settings["pyramid"]) == (False, ["1x1"])
    assert model.settings["costs"] == create(name).settings["costs"]  # how the machine is fitted is the user's affair
    monkeypatch.setattr(type(model), "fit_descriptor", lambda self, *_: setattr(self, "codebook", ships.codebook))
    assert_same(model, imgtool.train(photos, name, **model.settings))


def test_fisher_vectors_of_the_codebook_that_ships_need_no_scikit_learn(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    imgtool.describe_images(photos, "fisher", output="f.npz")
    assert imgtool.train("f.npz", "sift-fv-svm").classes == CLASSES


def test_settings_of_the_machine_are_chosen_as_ever(photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    model = imgtool.train("f.npz", "gist-svm", costs=(3.0,), kernel="linear", class_weight="balanced")
    assert_same(
        model, imgtool.train(photos, "gist-svm", costs=(3.0,), kernel="linear", class_weight="balanced", size=32)
    )


@pytest.mark.parametrize("name", ["gist-svm", "hog-svm"])
def test_many_and_long_vectors_lie_in_a_file(name, photos, monkeypatch):
    descriptor, parameters = PLAIN[name]
    imgtool.describe_images(photos, descriptor, output="f.npz", **parameters)
    expected = imgtool.train("f.npz", name)
    seen = []
    fit = vector_svm.fit_svm
    monkeypatch.setattr(
        vector_svm, "fit_svm", lambda table, *more, **how: seen.append(table) or fit(table, *more, **how)
    )
    monkeypatch.setattr(vector_svm, "MAX_TABLE_BYTES", 1000)
    assert_same(imgtool.train("f.npz", name), expected)
    assert isinstance(seen[0], np.memmap)


def test_a_model_knows_its_images_by_their_files_while_these_are_there(photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32, background="red")
    expected = imgtool.train(photos, "gist-svm", size=32)
    model = imgtool.train("f.npz", "gist-svm")
    origin = {"descriptor": "gist", "device": "cpu", "version": imgtool.__version__}
    assert (model.provenance["vectors"], "vectors" in expected.provenance) == (origin, False)
    for key in ("data", "seen"):
        assert model.provenance[key] == expected.provenance[key]
    names = [str(path) for path in sorted(photos.rglob("*.png"))]
    (photos / "down" / "01.png").write_text("no image any more")
    for first in (names[0], "a" * 5000, "a\0b", "absent.png"):
        changed(paths=[first, *names[1:]])
        other = imgtool.train("f.npz", "gist-svm").provenance
        assert other["data"]["images"] == 2 * EACH
        assert other["data"] != expected.provenance["data"]


def changed(**changes):
    """Write the feature file again, its meta, labels or paths changed."""
    table = feature_file.load("f.npz")
    meta = {**table.meta, "parameters": {**table.meta.get("parameters", {}), **changes.pop("parameters", {})}}
    meta["parameters"] = {key: value for key, value in meta["parameters"].items() if value is not None}
    feature_file.save("f.npz", replace(table, meta={**meta, **changes.pop("meta", {})}, **changes), overwrite=True)


REFUSED = [
    ("hog", {"resize": None}, "f.npz: has vectors of images that were not resized to a square, as for hog-svm"),
    ("hog", {"resize": "32x30"}, "not resized to a square"),
    ("hog", {"resize": "32x"}, "not resized to a square"),
    ("hog", {"resize": "40x40"}, "f.npz: has vectors of 180 numbers; by its settings they have 320"),
    ("hog", {"resize": "9999x9999"}, "size must be from 1 to 1024, got 9999"),
    ("hog", {"cell": [8, 9]}, "has a cell that is no square"),
    ("hog", {"cell": 8}, "does not say how its vectors were made"),
    ("hog", {"cell": None}, "does not say how its vectors were made"),
    ("hog", {"orientations": "many"}, "orientations must be a whole number"),
    ("hog", {"variant": "uoctti"}, "f.npz: was made with variant=uoctti, and hog-svm has skimage"),
    ("hog", {"norm": "L1"}, "was made with norm=L1, and hog-svm has L2-Hys"),
    ("hog", {"sqrt": True}, "was made with sqrt=true, and hog-svm has false"),
    ("hog", {"signed": True}, "was made with signed=true, and hog-svm describes images without"),
    ("gist", {"color": True}, "was made with color=true, and gist-svm has false"),
    ("gist", {"resize": "64x64"}, "was made with resize=64x64, and gist-svm describes images without"),
    ("gist", {"size": 2000}, "size must be from 1 to 1024"),
    ("gist", {"blocks": 64, "size": 32}, "blocks must be 1 to size"),
    ("gist", {"prefilter": None}, "does not say how its vectors were made"),
    ("embed", {"layer": "pool1"}, "was made with layer=pool1, and cnn-svm describes images without"),
    ("embed", {"model": "./mine/"}, "network must be one that is included"),
    ("embed", {"model": "lenet@cifar10"}, "was made with lenet@cifar10"),
    ("embed", {"weights": "0" * 64}, "f.npz: was made with lenet@mnist 000000000000, and this imgtool has"),
    ("embed", {"weights": ""}, "does not say which weights"),
]
MODELS = {descriptor: (name, parameters) for name, (descriptor, parameters) in PLAIN.items()}


@pytest.mark.parametrize(("descriptor", "parameters", "message"), REFUSED)
def test_vectors_that_are_not_the_models_are_refused(descriptor, parameters, message, photos):
    name, given = MODELS[descriptor]
    imgtool.describe_images(photos, descriptor, output="f.npz", **given)
    changed(parameters=parameters)
    with pytest.raises((DataError, ParameterError)) as caught:
        imgtool.train("f.npz", name, output="model")
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.npz: ")
    assert not Path("model").exists()


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"descriptor": "hog"}, "f.npz: has vectors of hog; gist-svm is fitted to those of gist"),
        ({"descriptor": None}, "has vectors of None"),
        ({"parameters": [1]}, "does not say how its vectors were made, as npz, parquet and jsonl do"),
    ],
)
def test_a_meta_that_says_something_else_is_refused(meta, message, photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    changed(meta=meta)
    with pytest.raises(DataError, match=message):
        imgtool.train("f.npz", "gist-svm")


def test_a_table_without_meta_is_refused(photos):
    imgtool.describe_images(photos, "gist", output="f.csv", size=32)
    with pytest.raises(DataError, match=r"f\.csv: does not say how"):
        imgtool.train("f.csv", "gist-svm")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"size": 64}, "f.npz: was made with size=32, and 64 is chosen"),
     ({"orientations": (4, 4)}, "f.npz: was made with orientations=8,8,8,8, and 4,4 is chosen")],
)  # fmt: skip
def test_a_chosen_setting_that_differs_is_wrong_usage(settings, message, photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    with pytest.raises(ParameterError) as caught:
        imgtool.train("f.npz", "gist-svm", **settings)
    assert str(caught.value) == message


def test_codebooks_that_do_not_fit_are_refused(photos, books):
    imgtool.describe_images(photos, "fisher", output="f.npz", codebook="book.safetensors")
    train = functools.partial(imgtool.train, "f.npz")
    with pytest.raises(ParameterError, match=r"f\.npz: samples is chosen, and its codebook is fitted already"):
        train("sift-fv-svm", samples=5)
    with pytest.raises(ParameterError, match=r"f\.npz: was made with color=gray, and rgb is chosen"):
        train("sift-fv-svm", color="rgb")
    with pytest.raises(DataError, match="has vectors of fisher; sift-bow-svm is fitted to those of bow"):
        train("sift-bow-svm")
    changed(meta={"descriptor": "sparse"}, parameters={"solver": "llc"})
    with pytest.raises(DataError, match="codebook of another kind than scspm has"):
        train("scspm")
    changed(meta={"descriptor": "fisher"}, parameters={"solver": None, "pyramid": ["9by9"]})
    with pytest.raises((DataError, ParameterError), match="9by9"):
        train("sift-fv-svm")
    book = books["book.safetensors"]
    save_codebook("book.safetensors", replace(book, means=book.means + 1), overwrite=True)
    with pytest.raises(DataError, match=r"f\.npz: was made by another codebook than book\.safetensors is now"):
        train("sift-fv-svm")
    Path("book.safetensors").unlink()
    with pytest.raises(DataError, match=r"f\.npz: book\.safetensors: no such codebook"):
        train("sift-fv-svm")


@pytest.mark.parametrize("name", ["pixels-svm", "two-layer"])
def test_models_of_images_refuse_vectors(name, photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    with pytest.raises(DataError, match=r"f\.npz: the data set holds vectors, and this needs images"):
        imgtool.train("f.npz", name)


def test_nothing_is_measured_on_vectors(photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    for measure in (functools.partial(imgtool.compare, ["gist-svm"]), functools.partial(imgtool.evaluate, ["lenet"])):
        with pytest.raises(DataError, match=r"f\.npz: the data set holds vectors, and this needs images"):
            measure("f.npz")


def test_labels_are_needed_of_two_classes_and_one_part(photos):
    imgtool.describe_images(sorted(photos.rglob("*.png")), "gist", output="f.npz", size=32)
    with pytest.raises(DataError, match=r"f\.npz: holds images without a label"):
        imgtool.train("f.npz", "gist-svm")
    imgtool.describe_images(photos, "gist", output="f.npz", overwrite=True, size=32)
    changed(labels=["across"] * 2 * EACH)
    with pytest.raises(DataError, match=r"f\.npz: holds 1 class"):
        imgtool.train("f.npz", "gist-svm")
    for part in ("train", "test"):
        shutil.copytree(photos, Path("parts", part))
    imgtool.describe_images("parts", "gist", output="f.npz", overwrite=True, size=32)
    with pytest.raises(DataError, match=r"f\.npz: holds images of test and train; describe one part"):
        imgtool.train("f.npz", "gist-svm")
    imgtool.describe_images("parts/train", "gist", output="f.npz", overwrite=True, size=32)
    assert_same(imgtool.train("f.npz", "gist-svm"), imgtool.train("parts", "gist-svm", size=32))


def test_one_vector_of_a_class_is_fitted_without_cross_validation(photos):
    for path in sorted(photos.rglob("*.png"))[2:EACH] + sorted(photos.rglob("*.png"))[EACH + 1 :]:
        path.unlink()
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    model = imgtool.train("f.npz", "gist-svm")
    assert model.provenance["history"][0]["folds"] == 0
    assert_same(model, imgtool.train(photos, "gist-svm", size=32))


def test_vectors_were_seen_on_their_background(photos):
    imgtool.describe_images(photos, "gist", output="f.npz", size=32)
    with pytest.raises(ParameterError, match=r"background: f\.npz holds vectors"):
        imgtool.train("f.npz", "gist-svm", background="red")


def test_a_feature_file_written_by_hand_says_enough(tmp_path, monkeypatch):
    """Of hog, as another program might write it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = rng.random((8, 4 * 9 * 9), np.float32)
    meta = {"descriptor": "hog", "parameters": {"resize": "32X32", "cell": [8, 8], "orientations": 9}}
    table = FeatureTable(rows, [f"{n}.png" for n in range(8)], list("abababab"), json.loads(json.dumps(meta)))
    feature_file.save("h.npz", table)
    assert imgtool.train("h.npz", "hog-svm").settings["size"] == 32
