"""Classic classifiers told to use a GPU. No GPU is at hand: PyTorch's `cpu:0` stands in for one."""

import numpy as np
import pytest

from imgtool import train
from imgtool.classifiers import training
from imgtool.classifiers.classic import cnn_svm, vector_svm
from imgtool.classifiers.registry import create, names, uses_devices
from imgtool.datasets.cache import ImageCache
from imgtool.datasets.dataset import Dataset
from imgtool.errors import ImageError, ParameterError
from imgtool.image.write import encode

USING = {"gist-svm": {"size": 32, "orientations": (4, 4), "blocks": 2}, "cnn-svm": {"network": "lenet@mnist"}}
CLASSIC = [name for name in names() if name.endswith(("svm", "softmax")) or name == "scspm"]


@pytest.fixture
def gpu(monkeypatch):
    """Have `cuda` mean PyTorch on the CPU, by a name that is not the CPU's."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    for module in (training, vector_svm, cnn_svm):
        monkeypatch.setattr(module, "resolve", lambda _: "cpu:0")


def stripes(count=150, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, (count, 40, 44), np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        (image if label else image.T)[::4] += 150
    return Dataset(list(images), labels, ("down", "across"))


@pytest.mark.parametrize("name", USING)
def test_a_device_describes_as_the_cpu_does(name, gpu, monkeypatch):
    batches, own = [], create(name, **USING[name])
    features_on = type(own).features_on

    def counting(self, place, batch):
        batches.append((place, len(batch)))
        return features_on(self, place, batch)

    monkeypatch.setattr(type(own), "features_on", counting)
    there = own.fit(stripes(), device="cuda", seed=1)
    assert batches == [("cpu:0", 64), ("cpu:0", 64), ("cpu:0", 22)]
    assert there.provenance["device"] == "cpu:0"
    for module in (vector_svm, cnn_svm):
        monkeypatch.setattr(module, "resolve", lambda _: "cpu")
    here = create(name, **USING[name]).fit(stripes(), seed=1)
    assert "device" not in here.provenance
    assert len(batches) == 3
    images = stripes(40, seed=5).items
    np.testing.assert_allclose(there.scores(images), here.scores(images), atol=2e-3)


@pytest.mark.parametrize("name", USING)
def test_what_a_device_described_is_kept_from_fit_to_fit(name, gpu, tmp_path, monkeypatch):
    images = stripes(70)
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for index, path in enumerate(paths):
        path.write_bytes(encode(images.image(index), "png"))
    data = Dataset(paths, images.labels, images.classes).with_cache(ImageCache(1 << 26))
    first = create(name, **USING[name]).fit(data, device="cuda", seed=1)
    again = create(name, **USING[name])
    monkeypatch.setattr(type(again), "features_on", None)
    again.fit(data.subset(np.arange(70)), device="cuda", seed=1)
    for array, expected in zip(again.arrays().values(), first.arrays().values(), strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("name", USING)
def test_a_broken_file_is_named(name, gpu, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(stripes(1).image(0), "png"))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    data = Dataset([tmp_path / "a.png", tmp_path / "b.png"], np.arange(2), ("a", "b"))
    with pytest.raises(ImageError, match=r"b\.png: "):
        create(name, **USING[name]).fit(data, device="cuda")


@pytest.mark.parametrize("name", [name for name in CLASSIC if name not in USING])
def test_kinds_that_run_on_the_cpu_alone_say_so(name, gpu):
    with pytest.raises(ParameterError, match=f"{name} is trained on the CPU, not on device cuda"):
        train(stripes(20), name, device="cuda")


def test_every_model_says_whether_it_uses_a_device():
    assert {name for name in names() if not uses_devices(name)} == set(CLASSIC) - set(USING)


def test_what_runs_on_the_cpu_alone_is_trained_there_without_being_told_so(gpu):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    model = train(stripes(20), "pixels-svm", size=4)  # whose device is auto
    assert "device" not in model.provenance
