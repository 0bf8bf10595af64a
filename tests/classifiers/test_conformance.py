"""Every classifier keeps the one protocol."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.classifiers.classic.vector_svm import VectorSvm
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.storage import digest_of
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.evaluation.intervals import wilson
from locations import SAMPLES

NEEDS = {"two-layer": None, "lenet": "torch", "alexnet": "torch", "resnet18": "torch", "cnn-svm": None} | {
    f"efficientnet-lite{i}": "torch" for i in range(3)
}
# One model of each kind, with settings that make it quick: a network that NumPy trains, one that PyTorch trains, and
# a machine on vectors, which learns a codebook as well.
QUICK = {
    "two-layer": {"epochs": 3},
    "lenet": {"epochs": 2},
    "sift-fv-svm": {"k": 2, "dimensions": 8},
    "cnn-svm": {"network": "lenet@cifar10"},
}
KINDS = (NetworkClassifier, VectorSvm)


def needs(name):
    """Skip where what the model is fitted with is not installed."""
    package = NEEDS.get(name, "sklearn")
    if package:
        extra = {"sklearn": "classic"}.get(package, package)
        pytest.importorskip(package, reason=f"the extra '{extra}' is not installed")


@pytest.fixture(scope="module")
def textures():
    data = load_dataset(SAMPLES / "textures").train
    return data.subset(np.arange(0, 48, 2))


@pytest.fixture(scope="module", params=QUICK)
def fitted(request, textures):
    needs(request.param)
    return registry.create(request.param, **QUICK[request.param]).fit(textures, seed=1)


@pytest.mark.parametrize("name", registry.ARCHITECTURES)
def test_every_model_is_of_a_kind_that_is_tested(name):
    tested = {kind for kind in KINDS for each in QUICK if isinstance(registry.create(each), kind)}
    assert isinstance(registry.create(name), tuple(tested))


def images(dataset, count=5):
    return [dataset.image(index) for index in range(count)]


def test_scores_are_probabilities(fitted, textures):
    scores = fitted.scores(images(textures))
    assert scores.shape == (5, 3)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert fitted.classes == textures.classes


def test_scores_are_the_three_stages_in_turn(fitted, textures):
    batch = [fitted.prepare(image) for image in images(textures)]
    features = fitted.features(batch)
    assert features.ndim == 2
    assert len(features) == 5
    np.testing.assert_allclose(fitted.decide(features), fitted.scores(images(textures)), rtol=1e-6)


def test_one_at_a_time_is_the_same_as_together(fitted, textures):
    together = fitted.scores(images(textures))
    alone = np.concatenate([fitted.scores([image]) for image in images(textures)])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-6)


def test_no_images_give_no_rows(fitted):
    assert fitted.scores([]).shape == (0, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).integers(0, 256, (40, 130), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, (131, 37, 4), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16),
        np.random.default_rng(0).random((50, 60, 2)).astype(np.float32),
        np.full((48, 48), 77, np.uint8),
        np.arange(9, dtype=np.uint8).reshape(3, 3),
    ],
    ids=["gray", "rgba", "16-bit", "float+alpha", "flat", "tiny"],
)
def test_images_of_any_kind_are_accepted_or_refused_in_one_line(fitted, image):
    try:
        scores = fitted.scores([image])
    except ImgtoolError as error:
        assert min(image.shape[:2]) < 8, f"{fitted.name} refused a usable image: {error}"  # noqa: PT017
    else:
        np.testing.assert_allclose(scores.sum(), 1, rtol=1e-5)


def test_saved_and_loaded_it_scores_the_same(fitted, textures, tmp_path):
    fitted.save(tmp_path / "model")
    weights = f"weights-{fitted.weights_hash[:16]}.safetensors"
    metrics = {"metrics.jsonl"} if isinstance(fitted, NetworkClassifier) else set()
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.json", weights} | metrics
    assert fitted.weights_bytes == (tmp_path / "model" / weights).stat().st_size
    again = registry.open_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(again.scores(images(textures)), fitted.scores(images(textures)))
    assert again.name == fitted.name
    assert again.settings == fitted.settings
    assert again.provenance == fitted.provenance
    assert (again.weights_hash, again.weights_bytes) == (fitted.weights_hash, fitted.weights_bytes)


def test_the_same_seed_learns_the_same(fitted, textures):
    again = registry.create(fitted.name, **QUICK.get(fitted.name, {})).fit(textures, seed=1)
    for name, array in fitted.arrays().items():
        if "epochs" in fitted.settings:  # networks learn the same bits
            np.testing.assert_array_equal(again.arrays()[name], array)
        else:  # products of scikit-learn's fits depend on where arrays lie in memory
            np.testing.assert_allclose(again.arrays()[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", registry.ARCHITECTURES)
def test_unknown_settings_are_refused_with_the_known_ones(name):
    with pytest.raises(ParameterError, match="there are"):
        registry.create(name, depth=3)
    for key, value in registry.create(name).settings.items():
        if not isinstance(value, str | list) or not isinstance(value[0], str):
            with pytest.raises(ParameterError, match=key):
                registry.create(name, **{key: "many"})


@pytest.mark.parametrize("name", registry.ARCHITECTURES)
def test_unfitted_models_do_not_score(name):
    with pytest.raises(ImgtoolError):
        registry.create(name).scores([np.zeros((70, 70), np.uint8)])


MUTATIONS = {
    "format": [None, 1, "2"],
    "architecture": [None, {"name": "two-layers", "parameters": {"hidden": 5}}, {"name": "two-layer", "parameters": {}},
                     {"name": "two-layer", "parameters": {"hidden": 7}}, {"name": "lenet", "parameters": {"hidden": 5}},
                     {"name": "two-layer", "parameters": {"hidden": 5, "depth": 3}},
                     {"name": "two-layer", "parameters": {"hidden": "x"}}],
    "classes": [None, [], [{"name": "a"}] * 2, [{"name": "only"}]],
    "preprocessing": [None, [], {}, {"side": 32}],
    "weights": [None, {"file": "weights-0000000000000000.safetensors", "sha256": "0" * 64}],
    "provenance": [None, {"kind": "trained"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in MUTATIONS.items() for value in values]
)
def test_N5_a_model_folder_with_a_wrong_field_is_refused_in_one_line(field, value, textures, tmp_path):
    model = registry.create("two-layer", epochs=1, hidden=5).fit(textures)
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    description = json.loads(path.read_text())
    if value is None:
        del description[field]
    else:
        description[field] = value
    description["digest"] = digest_of(description)
    path.write_text(json.dumps(description))
    with pytest.raises(DataError, match="model") as caught:
        registry.open_model(str(tmp_path / "model"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d[:7], lambda d: b"", lambda d: d[:60] + b"\xff" + d[61:]]
)
def test_broken_weights_are_refused(change, textures, tmp_path):
    registry.create("two-layer", epochs=1, hidden=5).fit(textures).save(tmp_path / "model")
    path = next((tmp_path / "model").glob("weights-*"))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError):
        registry.open_model(str(tmp_path / "model"))


def test_a_model_is_not_overwritten_by_accident(textures, tmp_path):
    model = registry.create("two-layer", epochs=1, hidden=5).fit(textures)
    model.save(tmp_path / "model")
    with pytest.raises(ImgtoolError, match="exists"):
        model.save(tmp_path / "model")
    model.save(tmp_path / "model", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(ImgtoolError, match="other things"):
        model.save(tmp_path / "other", overwrite=True)


def test_what_others_trained_says_whose_it_is_and_what_was_measured_here():
    model = registry.open_model("efficientnet-lite0")
    assert model.provenance["kind"] == "published"
    card = (registry.SHIPPED_FOLDER / "efficientnet-lite0@imagenet" / "CARD.md").read_text()
    for right in (295, 423, 256, 297, 468):  # of 500
        low, high = wilson(right, 500)
        assert f"| {right} | {right / 5:.1f} % | {100 * low:.1f} to {100 * high:.1f} % |" in card
    facts = ("Published: 75.1 %", "License: Apache-2.0", "inferred", "57934424", model.weights_hash)
    for said in (*facts, model.provenance["sha256"]["wheel"]):
        assert said in card, said


@pytest.mark.parametrize("name", [name for name in registry.shipped() if name != "efficientnet-lite0@imagenet"])
def test_what_ships_opens_and_says_how_good_it_is(name):
    model = registry.open_model(name)
    accuracy = model.provenance["accuracy"]
    low, high = accuracy["interval"]
    assert low < accuracy["value"] == accuracy["right"] / accuracy["n"] < high
    card = (registry.SHIPPED_FOLDER / name / "CARD.md").read_text()
    weights = hashlib.sha256(next((registry.SHIPPED_FOLDER / name).glob("weights-*")).read_bytes()).hexdigest()
    facts = ("## Data", "License: ", "http", "## Command", "imgtool train", "seed", "Wilson", weights)
    for said in (*facts, f"{100 * accuracy['value']:.1f}", str(accuracy["n"])):
        assert said in card, said


def test_what_ships_is_small():
    sizes = {path: path.stat().st_size for path in registry.SHIPPED_FOLDER.rglob("*") if path.is_file()}
    weights = {path.parent.name: size for path, size in sizes.items() if path.suffix == ".safetensors"}
    most = {"efficientnet-lite0@imagenet": 4.8e6, "alexnet@imagenette": 6.75e6, "sift-fv-svm@imagenette": 1.9e6}
    most |= {"lenet@mnist": 0.255e6, "lenet@cifar10": 0.255e6}
    assert weights.keys() == most.keys()
    assert {name: size for name, size in weights.items() if size > most[name]} == {}
    assert sum(most.values()) <= 14e6
    assert sum(sizes.values()) - sum(weights.values()) <= 0.25e6  # cards, classes, histories, hashes of seen images


def test_numpy_and_torch_backends_agree():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    image = load_dataset(SAMPLES / "textures").train.image(0)
    for name in ("lenet", "alexnet"):
        scores = [registry.open_model(name, backend=backend).scores([image]) for backend in ("numpy", "torch")]
        np.testing.assert_allclose(scores[0], scores[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "sift-fv-svm"])
def test_predicting_imports_neither_torch_nor_scikit_learn(name):
    code = (
        "import sys, numpy; from imgtool.classifiers.registry import open_model;"
        f"open_model({name!r}).scores([numpy.zeros((90, 90), 'uint8')]); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sklearn"} & set(loaded)
