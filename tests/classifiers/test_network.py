"""Networks as classifiers: settings, preprocessing, backends, training by hand and in PyTorch."""

import importlib.util

import numpy as np
import pytest

from imgtool.classifiers import network, registry
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load
from imgtool.errors import DataError, DeviceError, MissingExtraError, ParameterError, TrainingError
from imgtool.image.resize import fit_crop
from locations import SAMPLES

NETWORKS = ("two-layer", "lenet", "alexnet")


@pytest.fixture(scope="module")
def textures():
    return load(SAMPLES / "textures").train.subset(np.arange(0, 48, 4))


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
        ("batch", 0), ("batch", -3), ("rate", 0.0), ("rate", -1), ("rate", float("nan")), ("rate", "inf"),
        ("rate", 10**400), ("rate", [0.1]), ("decay", -0.1), ("decay", 2), ("mirror", "maybe"), ("mirror", 1),
        ("side", 0), ("side", 10**9), ("channels", 2), ("channels", 0)]]
    + [("two-layer", "hidden", 0), ("two-layer", "hidden", -4), ("lenet", "side", 31), ("lenet", "side", 36),
       ("lenet", "smoothing", 2), ("lenet", "shift", -1), ("lenet", "zoom", 0), ("lenet", "stretch", 0.5),
       ("lenet", "jitter", "nan"), ("alexnet", "side", 62), ("alexnet", "rank", -1), ("alexnet", "rank", 5000),
       ("alexnet", "channels", 1)],
)  # fmt: skip
def test_settings_outside_their_range_are_refused_before_any_work(name, key, value):
    with pytest.raises(ParameterError, match=f"^{name}: {key} ") as caught:
        registry.create(name, **{key: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "text", "value"),
    [("lenet", "epochs", "7", 7), ("lenet", "rate", "1e-3", 1e-3), ("lenet", "mirror", "no", False),
     ("lenet", "bf16", "TRUE", True), ("alexnet", "rank", "16", 16), ("lenet", "rate", 1, 1.0)],
)  # fmt: skip
def test_settings_come_as_text_from_the_command_line(name, key, text, value):
    found = registry.create(name, **{key: text}).settings[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("name", "sides"), [("two-layer", (1, 33)), ("lenet", (32, 35)), ("alexnet", (63, 64, 129))])
def test_every_side_in_the_range_fits_the_network(name, sides):
    for side in sides:
        model = registry.create(name, side=side)
        channels = model.settings["channels"]
        shapes = list(model.network().shapes((channels, side, side)))
        assert shapes[-1][-1] == (0,)  # no classes yet


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


@pytest.mark.parametrize(
    "value", [[0.5], [0.5] * 4, ["x"] * 3, [1] * 3, [float("nan")] * 3, [1e9] * 3, "abc", None, {}]
)
@pytest.mark.parametrize("key", ["mean", "std"])
def test_preprocessing_that_does_not_fit_is_refused(key, value, fitted):
    numbers = {**fitted.description["preprocessing"], key: value}
    broken = registry.create("two-layer", hidden=6)
    broken.classes, broken.description = fitted.classes, {"preprocessing": numbers}
    with pytest.raises(DataError, match=key):
        broken.restore(fitted.arrays())


@pytest.mark.parametrize("std", [0.0, -0.1])
def test_a_deviation_that_is_not_positive_is_refused(std, fitted):
    broken = registry.create("two-layer", hidden=6)
    broken.classes = fitted.classes
    broken.description = {"preprocessing": {"mean": [0.5] * 3, "std": [0.2, std, 0.2]}}
    with pytest.raises(DataError, match="std"):
        broken.restore(fitted.arrays())


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, bool])
def test_weights_of_another_type_are_refused(dtype, fitted):
    broken = registry.create("two-layer", hidden=6)
    broken.classes, broken.description = fitted.classes, fitted.description
    with pytest.raises(DataError, match=r"fc1\.bias is .*, not float32"):
        broken.restore({**fitted.arrays(), "fc1.bias": np.zeros(6, dtype)})


def test_weights_that_overflow_give_one_line_and_no_warning(fitted, textures):
    wild = registry.create("two-layer", hidden=6)
    wild.classes, wild.description = fitted.classes, fitted.description
    wild.restore({name: np.full_like(array, 3e38) for name, array in fitted.arrays().items()})
    with pytest.raises(DataError, match="no probabilities"):
        wild.scores([textures.image(0)])


def test_by_hand_a_loss_that_is_not_finite_stops_training(textures):
    with pytest.raises(TrainingError, match="not finite in epoch"):
        registry.create("two-layer", epochs=20, rate=1e6).fit(textures)


def test_by_hand_it_learns(textures):
    history = registry.create("two-layer", epochs=15).fit(textures).description["history"]
    assert [entry["epoch"] for entry in history] == list(range(1, 16))
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_progress_is_told(textures):
    told = []
    registry.create("two-layer", epochs=3).fit(textures, progress=lambda *step: told.append(step))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]


def test_pytorch_resumes_from_a_checkpoint_with_the_same_bits(textures, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    class CutError(Exception):
        pass

    def cut(done, total, message):
        if done > total / 2:
            raise CutError

    checkpoint = tmp_path / "checkpoint"
    whole = registry.create("lenet", epochs=4).fit(textures, seed=3)
    with pytest.raises(CutError):
        registry.create("lenet", epochs=4).fit(textures, seed=3, resume=checkpoint, progress=cut)
    assert checkpoint.exists()
    again = registry.create("lenet", epochs=4).fit(textures, seed=3, resume=checkpoint)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert again.description == whole.description


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
        own["channels"] = 1
    with pytest.raises(DataError, match="another training"):
        registry.create("lenet", **own).fit(Dataset(items, labels, textures.classes), resume=checkpoint)


@pytest.mark.parametrize("name", ["lenet", "alexnet"])
def test_training_without_pytorch_says_what_to_install(name, textures, monkeypatch):
    without_torch(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install 'imgtool\[torch\]'"):
        registry.create(name).fit(textures)


def test_two_layer_needs_no_pytorch(textures, monkeypatch):
    without_torch(monkeypatch)
    assert registry.create("two-layer", epochs=1).fit(textures).scores([textures.image(0)]).shape == (1, 3)


@pytest.mark.parametrize(
    ("backend", "device", "count", "expected"),
    [("auto", "cpu", 1, "numpy"), ("auto", "cpu", 3, "torch"), ("auto", "cuda", 1, "torch"),
     ("numpy", "cpu", 3, "numpy"), ("torch", "cpu", 1, "torch")],
)  # fmt: skip
def test_auto_takes_numpy_for_few_images_on_the_cpu(backend, device, count, expected, fitted, textures, monkeypatch):
    if expected == "torch":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    monkeypatch.setattr(network, "FEW", 2)
    monkeypatch.setattr(fitted, "backend", backend)
    monkeypatch.setattr(fitted, "device", device)
    used = []
    for name in ("numpy", "torch"):
        monkeypatch.setattr(fitted, f"_by_{name}", lambda x, name=name: used.append(name) or np.zeros((len(x), 6)))
    fitted.features([fitted.prepare(textures.image(0))] * count)
    assert used == [expected]


def test_many_images_without_pytorch_stay_with_numpy(fitted, textures, monkeypatch):
    without_torch(monkeypatch)
    monkeypatch.setattr(network, "FEW", 2)
    assert fitted.scores([textures.image(0)] * 40).shape == (40, 3)


def test_a_device_that_is_not_there_is_refused_in_python_too(textures):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    with pytest.raises(DeviceError, match="cuda:77"):
        registry.create("lenet", epochs=1).fit(textures, device="cuda:77")
