"""Images normalized by their own mean and deviation: by hand, in PyTorch, in ONNX, and in a model that is stored."""

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.datasets.formats import load_dataset
from imgtool.networks.numpy_training import normalized
from imgtool.networks.preprocessing import Preprocessing
from imgtool.networks.samples import Samples
from locations import SAMPLES


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.4, 0.25)])
def test_each_image_has_mean_0_and_nearly_deviation_1(channels, mean, deviation):
    rng = np.random.default_rng(0)
    squares = (rng.normal(0, 1, (5, 16, 16, channels)) * rng.uniform(5, 40, (5, 1, 1, 1)) + 120).clip(0, 255)
    squares = squares.astype(np.uint8)
    how = Preprocessing(side=16, channels=channels, mean=(mean,) * channels, deviation=(deviation,) * channels)
    before, found = how.normalize(squares), Preprocessing(**{**vars(how), "per_image": True}).normalize(squares)
    for image, result in zip(before.astype(float), found, strict=True):
        expected = (image - image.mean()) / (image.std() + 0.05)
        np.testing.assert_allclose(result, expected, atol=1e-5)
    samples = Samples(squares, np.zeros(5, np.int64), how.mean, how.deviation, per_image=True)
    np.testing.assert_allclose(normalized(squares, samples), found, atol=1e-6)


def test_brightness_and_contrast_hardly_matter_and_flat_images_are_zero():
    how = Preprocessing(side=8, channels=1, mean=(0.0,), deviation=(1.0,), per_image=True)
    image = np.random.default_rng(0).integers(0, 100, (8, 8, 1), dtype=np.uint8)
    first, brighter, flat = how.normalize([image, image + 100, np.full((8, 8, 1), 77, np.uint8)])
    np.testing.assert_allclose(first, brighter, atol=1e-5)
    assert not flat.any()
    stretched = how.normalize([image * 2])[0]
    assert np.corrcoef(first.ravel(), stretched.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("channels_last", [True, False])
def test_pytorch_does_the_same(channels_last):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.batches_torch import Normalization, as_images

    squares = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    samples = Samples(squares, np.zeros(4, np.int64), (0.1,) * 3, (0.5,) * 3, per_image=True)
    found = Normalization(samples, channels_last=channels_last)(as_images(torch.from_numpy(squares)))
    np.testing.assert_allclose(found.numpy(), normalized(squares, samples), atol=1e-6)
    assert samples.digest() != Samples(squares, np.zeros(4, np.int64), (0.1,) * 3, (0.5,) * 3).digest()


@pytest.mark.parametrize("name", ["two-layer", "lenet"])
def test_a_model_keeps_it(name, tmp_path, run):
    if name == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    textures = load_dataset(SAMPLES / "textures").train
    model = registry.create(name, epochs=2, per_image=True).fit(textures)
    model.save(tmp_path / "m")
    again = registry.open_model(tmp_path / "m")
    assert again.settings["per_image"] is True
    assert (again.preprocessing.mean, again.preprocessing.deviation) == ((0.0,), (1.0,))
    images = [textures.image(0), (textures.image(0) // 2)]
    np.testing.assert_array_equal(again.scores(images), model.scores(images))
    plain = registry.create(name, epochs=2).fit(textures)
    assert abs(plain.scores(images) - model.scores(images)).max() > 1e-4
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    assert run("models", "export", tmp_path / "m", "-o", tmp_path / "m.onnx").status == 0
    np.testing.assert_allclose(registry.open_model(tmp_path / "m.onnx").scores(images), model.scores(images), atol=1e-5)
