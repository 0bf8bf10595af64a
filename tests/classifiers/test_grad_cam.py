"""Grad-CAM of trained networks, spread over images."""

import numpy as np
import pytest

import imgtool
from imgtool.classifiers import registry
from imgtool.classifiers.grad_cam import GradCam
from imgtool.datasets.dataset import Dataset
from imgtool.errors import ImageError, ParameterError
from imgtool.image.resize import resize
from imgtool.networks.preprocessing import Preprocessing
from locations import SAMPLES

SIDE, PATCH = 32, 10


def planted(count, seed):
    """Noise with a patch at a random place: stripes that lie, stripes that stand, or none. Images, labels, places."""
    rng = np.random.default_rng(seed)
    images = rng.normal(128, 25, (count, SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    labels, places = np.arange(count) % 3, rng.integers(0, SIDE - PATCH + 1, (count, 2))
    stripes = np.where(np.arange(PATCH) % 4 < 2, 255, 0)[:, None, None]
    for image, label, (top, left) in zip(images, labels, places, strict=True):
        if label < 2:
            patch = np.broadcast_to(stripes, (PATCH, PATCH, 3))
            image[top : top + PATCH, left : left + PATCH] = patch if label == 0 else patch.swapaxes(0, 1)
    return images, labels, places


@pytest.fixture(scope="module")
def trained():
    """LeNet, which tells the patches apart."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    images, labels, _ = planted(450, 0)
    model = registry.create("lenet", epochs=20, learning_rate=0.02, shift=0.0, horizontal_flip=False)
    return model.fit(Dataset(images, labels, ("lying", "standing", "none")))


def test_it_looks_at_the_planted_patch(trained):
    images, labels, places = planted(90, 1)
    assert (trained.scores(images).argmax(axis=1) == labels).mean() > 0.9
    inside, ratios = [], []
    for image, label, (top, left) in zip(images, labels, places, strict=True):
        if label < 2:
            heat = imgtool.grad_cam(image, model=trained, label=trained.classes[label])
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            inside.append(top - 2 <= row < top + PATCH + 2 and left - 2 <= column < left + PATCH + 2)
            patch = heat[top : top + PATCH, left : left + PATCH]
            ratios.append(patch.mean() / ((heat.sum() - patch.sum()) / (heat.size - patch.size)))
    assert np.mean(inside) > 0.7  # by chance: 0.19
    assert np.median(ratios) > 4


def test_heat_lies_over_the_square_that_the_network_sees(trained):
    image, _, _ = planted(1, 2)
    wide = np.zeros((64, 160, 3), np.uint8)
    wide[:, 48:112] = resize(image[0], 64, 64)
    heat = imgtool.grad_cam(wide, model=trained)
    assert heat.shape == (64, 160)
    assert heat.dtype == np.float32
    assert (heat.max(), heat.min()) == (1, 0)
    assert not heat[:, :48].any()
    assert not heat[:, 112:].any()
    alone = imgtool.grad_cam(wide[:, 48:112], model=trained)
    assert np.abs(heat[:, 48:112] - alone).mean() < 0.03  # but for its rim, which is resized beside black


@pytest.mark.parametrize("label", [None, "church", "n03028079", "chain saw"])
def test_the_heat_is_that_of_the_label(label):
    model, image = imgtool.open_model("alexnet"), imgtool.read(SAMPLES / "rocket_turned.jpg")
    heat = imgtool.grad_cam(image, model=model, label=label)
    cam = GradCam(model)
    assert cam.layer == "features.11"
    index = model.classes.index("chain saw" if label == "chain saw" else "church")
    expected = cam.spread(cam.of_prepared(model.prepare(image), index), *image.shape[:2])
    np.testing.assert_array_equal(heat, expected)
    np.testing.assert_array_equal(heat, imgtool.grad_cam(image, model="alexnet", label=label))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3, 4), (7, 90, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_every_image_has_heat(shape, dtype):
    values = np.random.default_rng(0).random(shape)
    image = (values * 255).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
    heat = imgtool.grad_cam(image, model="lenet")
    assert heat.shape == shape[:2]
    assert 0 <= heat.min() <= heat.max() <= 1


def test_where_nothing_speaks_for_a_label_there_is_no_heat(trained):
    cam = GradCam(trained)
    assert not cam.spread(np.zeros((10, 10), np.float32), 40, 60).any()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 500), (500, 1), (2, 333), (3, 200), (200, 3), (31, 97), (640, 480), (32, 32)]
)
@pytest.mark.parametrize(("side", "resized"), [(32, 0), (28, 32), (224, 256)])
def test_the_window_is_the_square_that_is_prepared(shape, side, resized):
    seen = Preprocessing(side=side, resize=resized)
    down, across = seen.window(*shape)
    short = min(shape) * side / (resized or side)
    for window, length in ((down, shape[0]), (across, shape[1])):
        assert 0 <= window.start < window.stop <= length
        assert abs(window.stop - window.start - short) <= 1 + short / side  # to one of its own pixels
        assert abs((window.start + window.stop) / 2 - length / 2) <= 1 + short / side


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "sift-fv-svm"}, "sift-fv-svm is no network, so it has no feature maps"),
        ({"model": "alexnet", "label": "tensh"}, "no label 'tensh' in alexnet; did you mean tench"),
        ({"model": "lenet@mnist", "label": "cat"}, "no label 'cat' in lenet"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments, message):
    with pytest.raises(ParameterError, match=message):
        imgtool.grad_cam(np.zeros((40, 40), np.uint8), **arguments)
    with pytest.raises(ImageError):
        imgtool.grad_cam(np.zeros((0, 4)), model="lenet")


def test_a_network_without_maps_says_so():
    images, labels, _ = planted(9, 0)
    model = registry.create("two-layer", epochs=1, hidden=2).fit(Dataset(images, labels, ("a", "b", "c")))
    with pytest.raises(ParameterError, match="two-layer has no feature maps: its first layer takes the whole image"):
        imgtool.grad_cam(images[0], model=model)
