"""A network's features and a support vector machine: what is stored, and what is refused (row N5)."""

import json
import shutil

import numpy as np
import pytest

import imgtool
from imgtool.classifiers.classic import cnn_svm
from imgtool.classifiers.registry import create, locate, open_model
from imgtool.classifiers.storage import DESCRIPTION, digest_of
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError, ParameterError
from locations import SAMPLES

NETWORK = "lenet@mnist"


@pytest.fixture(scope="module")
def textures():
    return load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 4))


@pytest.fixture(scope="module")
def fitted(textures):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    return create("cnn-svm", network=NETWORK).fit(textures)


@pytest.fixture
def stored(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def change(folder, **parameters):
    """Change or, for None, remove parameters of a stored model, and sign that."""
    path = folder / DESCRIPTION
    description = json.loads(path.read_text())
    own = {**description["architecture"]["parameters"], **parameters}
    description["architecture"]["parameters"] = {key: value for key, value in own.items() if value is not None}
    path.write_text(json.dumps({**description, "digest": digest_of(description)}))


def test_features_are_square_roots_of_the_networks_of_length_1(fitted, textures):
    images = [textures.image(index) for index in range(3)]
    found = fitted.features([fitted.prepare(image) for image in images])
    for row, image in zip(found, images, strict=True):
        embedded = imgtool.embed(image, model=NETWORK).astype(np.float64)
        np.testing.assert_allclose(row**2, embedded / embedded.sum(), rtol=1e-4, atol=1e-7)  # ReLU's: none below 0
        np.testing.assert_allclose(np.linalg.norm(row), 1, rtol=1e-6)


def test_an_image_that_the_network_makes_nothing_of_has_features_too(fitted):
    network = open_model(NETWORK)
    network.restore({name: array * 0 for name, array in network.arrays().items()})
    again = create("cnn-svm", network=NETWORK)
    again._network, again.svm, again.classes = network, fitted.svm, fitted.classes
    features = again.features([again.prepare(np.zeros((30, 30), np.uint8))])
    assert not features.any()
    np.testing.assert_allclose(again.decide(features).sum(), 1, rtol=1e-6)


def test_a_stored_model_names_its_network_and_that_ones_weights(fitted, stored):
    description = json.loads((stored / DESCRIPTION).read_text())
    weights = open_model(NETWORK).weights_hash
    parameters = description["architecture"]["parameters"]
    assert (parameters["network"], parameters["weights"]) == (NETWORK, weights)
    origin = open_model(NETWORK).provenance
    assert description["provenance"]["init"] == {"name": NETWORK, "sha256": weights, "data": origin["data"]["sha256"]}
    assert fitted.seen_before == origin.get("seen", "")
    assert fitted.weights_bytes < 10_000  # the machine alone
    assert "weights" not in fitted.settings


def test_other_weights_under_the_networks_name_are_refused_in_one_line(stored, tmp_path, monkeypatch, run):
    shutil.copytree(locate(NETWORK), tmp_path / "there" / NETWORK)
    network = open_model(NETWORK)
    old = network.weights_hash
    network.restore({name: array * np.float32(0.9) for name, array in network.arrays().items()})
    network.save(tmp_path / "there" / NETWORK, overwrite=True)
    monkeypatch.setattr(cnn_svm, "SHIPPED_FOLDER", tmp_path / "there")
    done = run("classify", "--model", stored, SAMPLES / "cat.jpg")
    assert (done.status, done.err.count("\n"), done.out) == (1, 1, "")
    assert f"was made with {NETWORK} {old[:12]}, and this imgtool has {network.weights_hash[:12]}" in done.err


@pytest.mark.parametrize(
    "parameters",
    [
        {"network": "../../elsewhere"},
        {"network": "/etc"},
        {"network": "."},
        {"network": "lenet"},
        {"network": "sift-fv-svm@imagenette"},
        {"network": 3},
        {"network": None},
        {"network": "alexnet@imagenette"},  # of other weights
        {"weights": ""},
        {"weights": "0" * 64},
        {"weights": "../" + "0" * 61},
        {"weights": None},
        {"costs": []},
        {"depth": 3},
    ],
    ids=str,
)
def test_N5_a_changed_field_is_refused_in_one_line(parameters, stored):
    change(stored, **parameters)
    with pytest.raises(DataError, match="model") as caught:
        open_model(str(stored))
    assert "\n" not in str(caught.value)


def test_N5_a_machine_for_another_networks_features_is_refused(stored):
    change(stored, network="alexnet@imagenette", weights=open_model("alexnet").weights_hash)
    with pytest.raises(DataError, match="weights are for 84 features, not 4096"):
        open_model(str(stored))


@pytest.mark.parametrize("network", ["lenet", "./mine", "../x", "sift-fv-svm@imagenette", ""])
def test_only_an_included_network_describes_images(network, run):
    with pytest.raises(ParameterError, match="network must be one that is included, alexnet@imagenette"):
        create("cnn-svm", network=network)
    if network:
        done = run("compare", SAMPLES / "textures", "--model", "cnn-svm", "--set", f"network={network}")
        assert (done.status, done.err.count("\n")) == (2, 1)


def test_backends_agree(stored):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    image = imgtool.read(SAMPLES / "textures" / "brick" / "brick_07.png")
    ours, theirs = (open_model(str(stored), backend=backend).scores([image]) for backend in ("numpy", "torch"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_its_row_says_whose_labels_it_builds_on(textures, run):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    done = imgtool.compare(["cnn-svm", "hog-svm"], textures, settings={"network": NETWORK})
    rows = {row["model"]: row for row in done.rows()}
    assert rows["cnn-svm"]["init"]["name"] == NETWORK
    assert "init" not in rows["hog-svm"]
    said = f"cnn-svm: builds on {NETWORK}, and so on the labels of mnist, which models trained on this data alone lack"
    assert [line for line in done.remarks() if "builds on" in line] == [said]
    assert said in done.to_html()
