"""Networks as classifiers: settings, preprocessing, backends, training by hand and in PyTorch."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from imgtool.classifiers import network, registry
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.training import train
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError, DeviceError, MissingExtraError, ParameterError, TrainingError
from imgtool.evaluation.intervals import wilson
from imgtool.events import Epoch, Progress
from imgtool.image.resize import fit_crop
from imgtool.networks.declaration import Linear, ReLU, Sequence
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.low_rank import factors, with_factors
from locations import SAMPLES, SHARED

NETWORKS = ("two-layer", "lenet", "alexnet")


@pytest.fixture(scope="module")
def textures():
    return load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 4))


@pytest.fixture(scope="module")
def fitted(textures):
    return registry.create("two-layer", epochs=2, hidden=6).fit(textures)


def without_torch(monkeypatch):
    """Make torch look as if it were not installed."""
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [(name, key, value) for name in NETWORKS for key, value in [
        ("epochs", 0), ("epochs", -1), ("epochs", 1.5), ("epochs", True), ("epochs", 10**400), ("epochs", None),
        ("batch", 0), ("batch", -3), ("learning_rate", 0.0), ("learning_rate", -1), ("learning_rate", float("nan")),
        ("learning_rate", "inf"), ("learning_rate", 10**400), ("learning_rate", [0.1]), ("weight_decay", -0.1),
        ("weight_decay", 2), ("horizontal_flip", "maybe"), ("horizontal_flip", 1), ("side", 0), ("side", 10**9),
        ("channels", 2), ("channels", 0)]]
    + [("two-layer", "hidden", 0), ("two-layer", "hidden", -4), ("lenet", "side", 31), ("lenet", "side", 36),
       ("lenet", "label_smoothing", 2), ("lenet", "shift", -1), ("lenet", "min_crop_area", 0), ("lenet", "momentum", 1),
       ("lenet", "max_aspect_ratio", 0.5), ("lenet", "color_jitter", "nan"), ("lenet", "activation", "step"),
       ("alexnet", "side", 62), ("alexnet", "rank", -1), ("alexnet", "rank", 5000), ("alexnet", "channels", 1),
       ("alexnet", "dropout", 1), ("alexnet", "resize", 3)],
)  # fmt: skip
def test_settings_outside_their_range_are_refused_before_any_work(name, key, value):
    with pytest.raises(ParameterError, match=f"^{name}: {key} ") as caught:
        registry.create(name, **{key: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "text", "value"),
    [("lenet", "epochs", "7", 7), ("lenet", "learning_rate", "1e-3", 1e-3), ("lenet", "horizontal_flip", "no", False),
     ("lenet", "bf16", "TRUE", True), ("alexnet", "rank", "16", 16), ("lenet", "learning_rate", 1, 1.0)],
)  # fmt: skip
def test_settings_come_as_text_from_the_command_line(name, key, text, value):
    found = registry.create(name, **{key: text}).settings[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "sides"),
    [("two-layer", (1, 33)), ("lenet", (32, 35)), ("alexnet", (63, 64, 129)), ("resnet18", (33, 224))],
)
def test_every_side_in_the_range_fits_the_network(name, sides):
    for side in sides:
        model = registry.create(name, side=side)
        assert model.network(7).output_shape(model.input_shape) == (7,)


@pytest.mark.parametrize("shape", [(50, 80, 3), (80, 50, 3), (50, 80), (50, 80, 4), (50, 80, 2), (1, 1), (3, 200, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_prepare_gives_a_square_of_8_bits(shape, dtype, channels):
    rng = np.random.default_rng(0)
    image = (
        rng.random(shape).astype(dtype) if dtype is np.float32 else rng.integers(0, np.iinfo(dtype).max, shape, dtype)
    )
    prepared = registry.create("two-layer", channels=channels, side=32).prepare(image)
    assert prepared.shape == (32, 32, channels)
    assert prepared.dtype == np.uint8


def test_prepare_is_resize_and_centre_crop():
    image = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    np.testing.assert_array_equal(registry.create("lenet").prepare(image), fit_crop(image, 32, 32))
    wide = np.array([[0, 65535], [257, 128 * 257]], np.uint16).repeat(16, 0).repeat(16, 1)
    prepared = registry.create("lenet", channels=1).prepare(wide)
    assert prepared[0, 0, 0] == 0
    assert prepared[0, -1, 0] == 255
    assert prepared[-1, 0, 0] == 1
    assert prepared[-1, -1, 0] == 128


@pytest.mark.parametrize("value", [[0.5] * 2, [0.5] * 4, ["x"] * 3, [float("nan")] * 3, [1e9] * 3, "abc", None, {}, []])
@pytest.mark.parametrize("key", ["mean", "deviation"])
def test_preprocessing_that_does_not_fit_is_refused(key, value, fitted):
    data = fitted.to_data()
    with pytest.raises(DataError, match=f"preprocessing.*{key}"):
        type(fitted).from_data(replace(data, preprocessing={**data.preprocessing, key: value}))


@pytest.mark.parametrize("deviation", [0.0, -0.1])
def test_a_deviation_that_is_not_positive_is_refused(deviation, fitted):
    data = fitted.to_data()
    preprocessing = {**data.preprocessing, "deviation": [0.2, deviation, 0.2]}
    with pytest.raises(DataError, match="deviation"):
        type(fitted).from_data(replace(data, preprocessing=preprocessing))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, bool])
def test_weights_of_another_type_are_refused(dtype, fitted):
    arrays = {**fitted.arrays(), "fc1.bias": np.zeros(6, dtype)}
    with pytest.raises(DataError, match=r"fc1\.bias is .*, not float32"):
        type(fitted).from_data(replace(fitted.to_data(), arrays=arrays))


def test_weights_that_overflow_give_one_line_and_no_warning(fitted, textures):
    arrays = {name: np.full_like(array, 3e38) for name, array in fitted.arrays().items()}
    wild = type(fitted).from_data(replace(fitted.to_data(), arrays=arrays))
    with pytest.raises(DataError, match="no probabilities"):
        wild.scores([textures.image(0)])


def test_by_hand_a_loss_that_is_not_finite_stops_training(textures):
    with pytest.raises(TrainingError, match="not finite in epoch"):
        registry.create("two-layer", epochs=20, learning_rate=1e6).fit(textures)


def test_by_hand_it_learns(textures):
    history = registry.create("two-layer", epochs=15).fit(textures).provenance["history"]
    assert [entry["epoch"] for entry in history] == list(range(1, 16))
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_training_emits_an_event_for_each_epoch(textures):
    events = []
    registry.create("two-layer", epochs=3).fit(textures, events=events.append)
    assert [(each.epoch, each.epochs) for each in events if isinstance(each, Epoch)] == [(1, 3), (2, 3), (3, 3)]
    assert [each.done for each in events if isinstance(each, Progress)] == list(range(1, len(textures) + 1))


def test_pytorch_resumes_from_a_checkpoint_with_the_same_bits(textures, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    class CutError(Exception):
        pass

    def cut(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise CutError

    checkpoint = tmp_path / "checkpoint"
    whole = registry.create("lenet", epochs=4).fit(textures, seed=3)
    with pytest.raises(CutError):
        registry.create("lenet", epochs=4).fit(textures, seed=3, resume=checkpoint, events=cut)
    assert checkpoint.exists()
    again = registry.create("lenet", epochs=4).fit(textures, seed=3, resume=checkpoint)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert again.provenance["history"] == whole.provenance["history"]


@pytest.mark.parametrize("other", ["images", "labels", "network"])
def test_a_checkpoint_of_other_images_or_another_network_is_refused(other, textures, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    checkpoint, own = tmp_path / "checkpoint", {"epochs": 2}
    registry.create("lenet", **own).fit(textures, resume=checkpoint)
    items = [textures.image(index) for index in range(len(textures))]
    labels = np.asarray(textures.labels)
    if other == "images":
        items[0] = 255 - items[0]
    elif other == "labels":
        labels = labels[::-1].copy()
    else:
        own["channels"] = 3
    with pytest.raises(DataError, match="another training"):
        registry.create("lenet", **own).fit(Dataset(items, labels, textures.classes), resume=checkpoint)


@pytest.mark.parametrize(("name", "hint"), [("lenet", "by-hand"), ("alexnet", "")])
def test_training_without_pytorch_says_what_to_install(name, hint, textures, monkeypatch):
    without_torch(monkeypatch)
    with pytest.raises(MissingExtraError, match="needs the extra 'torch'") as caught:
        registry.create(name).fit(textures)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "backend", "device", "trainer"),
    [("two-layer", "auto", "cpu", "numpy"), ("two-layer", "auto", "cuda", "torch"),
     ("two-layer", "torch", "cpu", "torch"), ("lenet", "auto", "cpu", "torch"), ("lenet", "numpy", "cpu", "numpy"),
     ("alexnet", "auto", "cuda:1", "torch"),
     ("alexnet", "numpy", "cpu", "alexnet is not trained by backend numpy, but by torch"),
     ("lenet", "numpy", "cuda", "backend numpy runs on the CPU, not on cuda")],
)  # fmt: skip
def test_which_backend_trains(name, backend, device, trainer):
    model = registry.create(name)
    model.trainer = backend
    if " " in trainer:
        with pytest.raises(ParameterError, match=trainer):
            model.trainer_on(device)
    else:
        assert model.trainer_on(device) == trainer


def test_lenet_is_trained_by_hand_without_pytorch_and_two_layer_in_pytorch(textures, monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    kinds = {}
    for name, backend in (("two-layer", "numpy"), ("two-layer", "torch"), ("lenet", "torch"), ("lenet", "numpy")):
        if (name, backend) == ("lenet", "numpy"):
            without_torch(monkeypatch)
        how = {"backend": backend, "epochs": 4, "batch": 9, "augment": False, "seed": 2}
        model = train(textures, name, output=tmp_path / name / backend, **how)
        kinds[name, backend] = model.provenance["history"]
    for name in ("two-layer", "lenet"):
        losses = [[row["validation_loss"] for row in kinds[name, backend]] for backend in ("numpy", "torch")]
        np.testing.assert_allclose(*losses, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data").exists(), reason="MNIST's files are not beside this checkout")
@pytest.mark.parametrize(("name", "epochs"), [("two-layer", 10), ("lenet", 5)])
def test_by_hand_and_in_pytorch_mnist_is_learned_equally_well(name, epochs):
    """Of 10,000 images as many are right as the 95 % intervals allow, after the same training on 3,000."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    data, right = load_dataset(SHARED / "data"), {}
    images = [data.test.image(index) for index in range(len(data.test))]
    for backend in ("numpy", "torch"):
        model = train(data.train.subset(np.arange(3000)), name, epochs=epochs, backend=backend)
        right[backend] = int((model.scores(images).argmax(1) == data.test.labels).sum())
    for one, other in (("numpy", "torch"), ("torch", "numpy")):
        low, high = wilson(right[one], len(images))
        assert low <= right[other] / len(images) <= high, right
    assert min(right.values()) > (9000 if name == "two-layer" else 9500)


def test_a_backend_that_does_not_train_a_model_is_refused_before_its_images_are_read():
    for name, backend, reason in (
        ("hog-svm", "numpy", "hog-svm is no network"), ("alexnet", "numpy", "not trained by backend numpy"),
        ("lenet", "jax", "no backend 'jax'"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=reason):
            train("no such data", name, backend=backend)


def test_two_layer_needs_no_pytorch(textures, monkeypatch):
    without_torch(monkeypatch)
    assert registry.create("two-layer", epochs=1).fit(textures).scores([textures.image(0)]).shape == (1, 3)


@pytest.mark.parametrize(
    ("backend", "device", "expected"),
    [("auto", "cpu", "NumpyRunner"), ("auto", "cuda", "TorchRunner"), ("numpy", "cpu", "NumpyRunner"),
     ("torch", "cpu", "TorchRunner")],
)  # fmt: skip
def test_the_runner_is_chosen_when_a_model_is_opened(backend, device, expected, fitted, monkeypatch):
    if expected == "TorchRunner":
        backend_module = pytest.importorskip("imgtool.networks.torch_backend", reason="needs the extra 'torch'")
        devices = []
        monkeypatch.setattr(backend_module, "TorchRunner", lambda *_, **how: devices.append(how) or object())
        type(fitted).from_data(fitted.to_data(), backend=backend, device=device)
        assert devices == [{"device": device, "precision": "float32"}]
    else:
        model = type(fitted).from_data(fitted.to_data(), backend=backend, device=device)
        assert type(model._runner).__name__ == expected


def test_a_network_that_was_trained_on_a_gpu_predicts_there(textures, monkeypatch):
    """Without a GPU: what would train and run there is PyTorch's part, which is stood in for."""
    devices = []
    monkeypatch.setattr(network, "resolve", lambda device: device)
    monkeypatch.setattr(network, "_torch_runner", lambda *how: devices.append(how) or (lambda *_: None))
    monkeypatch.setattr(NetworkClassifier, "require_trainer", lambda *_: "torch")
    monkeypatch.setattr(NetworkClassifier, "_fit_in_torch", lambda _self, _network, arrays, *_: (arrays, []))
    model = registry.create("two-layer").fit(textures, device="cuda:0")
    assert devices == [("two-layer", "cuda:0", "float32")]
    assert model.device == "cuda:0"


def test_gray_data_is_trained_with_one_channel_and_characters_are_not_mirrored():
    rng = np.random.default_rng(0)
    gray, labels = rng.integers(0, 256, (12, 34, 36), dtype=np.uint8), np.arange(12) % 3
    colored = np.dstack([gray[0], gray[1], gray[2]])
    digits = registry.create("two-layer", epochs=1).fit(Dataset(list(gray), labels, ("0", "1", "2")))
    assert digits.settings["channels"] == 1
    assert digits.settings["horizontal_flip"] is False
    assert digits.scores([colored]).shape == (1, 3)
    things = registry.create("two-layer", epochs=1).fit(Dataset([*gray[:11], colored], labels, ("ant", "bee", "cat")))
    assert things.settings["channels"] == 3
    assert things.settings["horizontal_flip"] is True
    told = registry.create("two-layer", epochs=1, channels=3, horizontal_flip="yes")
    told.fit(Dataset(list(gray), labels, ("0", "1", "2")))
    assert (told.settings["channels"], told.settings["horizontal_flip"]) == (3, True)


def test_one_channel_of_gray_data_is_what_gray_preparation_gives():
    gray = np.random.default_rng(0).integers(0, 256, (4, 50, 40), dtype=np.uint8)
    data = Dataset(list(gray), np.arange(4) % 2, ("a", "b"))
    found = registry.create("two-layer").samples(data)
    told = registry.create("two-layer", channels=1).samples(data)
    np.testing.assert_array_equal(found.images, told.images)
    assert (found.mean, found.deviation) == (told.mean, told.deviation)


def test_low_rank_factors_are_the_nearest_product():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((30, 20)).astype(np.float32)
    left, right = factors(weight, 5)
    u, s, v = np.linalg.svd(weight.astype(np.float64))
    np.testing.assert_allclose(left @ right, u[:, :5] * s[:5] @ v[:5], atol=1e-4)
    assert (left.shape, right.shape) == ((30, 5), (5, 20))
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-4)
    with pytest.raises(ParameterError, match="rank must be below 20"):
        factors(weight, 20)


def test_training_starts_from_given_weights(fitted, textures):
    same = registry.create("two-layer", hidden=6, epochs=1, learning_rate=1e-12)
    same.start_from(fitted, textures.classes)
    same.fit(textures)
    assert same.preprocessing == fitted.preprocessing
    for name, array in fitted.arrays().items():
        np.testing.assert_allclose(same.arrays()[name], array, atol=1e-6)
    assert same.provenance["init"]["name"] == "two-layer"
    other = registry.create("two-layer", hidden=6, epochs=1, learning_rate=1e-12)
    renamed = Dataset(textures.items, textures.labels, ("x", "y", "z"))
    other.start_from(fitted, renamed.classes)
    other.fit(renamed, seed=5)
    np.testing.assert_allclose(other.arrays()["fc1.weight"], fitted.arrays()["fc1.weight"], atol=1e-6)
    assert np.abs(other.arrays()["fc2.weight"] - fitted.arrays()["fc2.weight"]).max() > 0.01
    with pytest.raises(DataError, match="do not fit"):
        registry.create("lenet").start_from(fitted, textures.classes)
    wider = registry.create("two-layer", hidden=fitted.settings["hidden"] + 1)
    wider.start_from(fitted, textures.classes)
    with pytest.raises(DataError, match="do not fit"):
        wider.fit(textures)


def test_whole_matrices_become_factors_where_a_network_has_them():
    rng = np.random.default_rng(0)
    small = Sequence(fc1=Linear(20, 30, rank=5), relu=ReLU(), fc2=Linear(30, 3))
    arrays = {"fc1.weight": rng.standard_normal((30, 20)).astype(np.float32), "fc1.bias": np.ones(30, np.float32)}
    arrays |= {"fc2.weight": np.ones((3, 30), np.float32), "fc2.bias": np.ones(3, np.float32)}
    found = with_factors(small, arrays)
    assert {name: array.shape for name, array in found.items()} == small.arrays()
    left, right = factors(arrays["fc1.weight"], 5)
    np.testing.assert_array_equal(found["fc1.left"] @ found["fc1.right"], left @ right)
    np.testing.assert_array_equal(found["fc2.weight"], arrays["fc2.weight"])


def test_factors_become_whole_matrices_or_factors_of_another_rank():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((30, 4)).astype(np.float32), rng.standard_normal((4, 20)).astype(np.float32)
    arrays = {"fc1.left": left, "fc1.right": right, "fc1.bias": np.ones(30, np.float32)}
    for rank in (None, 3, 4, 6):
        layers = Sequence(fc1=Linear(20, 30, rank=rank))
        found = with_factors(layers, arrays)
        assert {name: array.shape for name, array in found.items()} == layers.arrays()
        product = found["fc1.left"] @ found["fc1.right"] if rank else found["fc1.weight"]
        assert rank == 3 or np.allclose(product, left @ right, atol=1e-4)


def test_training_starts_with_the_architecture_of_the_weights():
    stored = registry.create("lenet", activation="tanh", side=33)
    stored.classes = ("a", "b")
    same, chosen = registry.create("lenet"), registry.create("lenet", activation="sigmoid", side=34)
    for model in (same, chosen):
        model.start_from(stored, ("a", "b"))
    assert (same.settings["activation"], same.settings["side"]) == ("tanh", 33)
    assert (chosen.settings["activation"], chosen.settings["side"]) == ("sigmoid", 34)


@pytest.mark.parametrize(("name", "side"), [("lenet", 31), ("lenet", 64), ("alexnet", 1)])
def test_training_images_are_of_a_side_that_the_network_takes(name, side):
    with pytest.raises(ParameterError, match="training_side must be 0 or from"):
        registry.create(name, training_side=side)
    rows = {row["setting"]: row["range"] for row in registry.settings_table(name)}
    assert rows["training_side"] == f"0, {rows['side']}"


@pytest.mark.slow
def test_alexnets_whole_matrices_become_factors_when_training_starts_from_them(textures):
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    whole = registry.create("alexnet", epochs=1, side=63).fit(textures.subset(np.arange(3)))
    thin = registry.create("alexnet", epochs=1, rank=3, learning_rate=1e-12)
    thin.start_from(whole, textures.classes)
    thin.fit(textures.subset(np.arange(3)))
    arrays = thin.arrays()
    assert arrays["classifier.1.left"].shape == (4096, 3)
    assert thin.settings["side"] == 63
    product = arrays["classifier.4.left"] @ arrays["classifier.4.right"]
    weight = whole.arrays()["classifier.4.weight"]
    assert np.linalg.norm(weight - product) < np.linalg.norm(weight)


def test_a_device_that_is_not_there_is_refused_in_python_too(textures):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    with pytest.raises(DeviceError, match="cuda:77"):
        registry.create("lenet", epochs=1).fit(textures, device="cuda:77")


@pytest.mark.parametrize("batch", [1, 5])  # of one image, batch normalization has the last map's four pixels
def test_resnet_is_trained_by_name_and_kept_with_its_statistics(batch, textures, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    model = registry.create("resnet18", epochs=1, side=33, batch=batch).fit(textures)
    model.save(tmp_path / "model")
    images = [textures.image(index) for index in range(3)]
    expected = model.scores(images)
    for backend in ("numpy", "torch"):
        stored = registry.open_model(tmp_path / "model", backend=backend)
        np.testing.assert_allclose(stored.scores(images), expected, rtol=0, atol=1e-5)
    first = registry.create("resnet18", side=33).network(3).buffers().keys()
    assert all(abs(model.arrays()[name]).max() > 0 for name in first)


def test_models_stored_before_a_setting_existed_have_its_default(fitted):
    stored = registry.create("lenet")
    stored.classes, stored.identifiers = ("a", "b"), (None, None)
    data = replace(stored.to_data(), arrays=draw_arrays(stored.network(2), 0), provenance=fitted.provenance)
    older = {"activation": "tanh"}
    assert type(stored).from_data(replace(data, parameters=older)).settings["dropout"] == 0
    for wrong, line in (({"dropout": 0.5}, "activation is missing"), ({**older, "drop": 0}, "drop is unknown")):
        with pytest.raises(DataError, match=f"architecture in model.json: {line}"):
            type(stored).from_data(replace(data, parameters=wrong))
