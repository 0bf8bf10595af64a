"""Dense SIFT in batches against dense SIFT of each image alone (itself checked against VLFeat)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ImageError, ParameterError
from imgtool.features.phow import phow
from imgtool.features.sift import dense_sift
from locations import REFERENCE

torch = pytest.importorskip("torch")

from imgtool.features import exact_torch  # noqa: E402
from imgtool.features.sift_torch import dense_sift_batch, phow_batch  # noqa: E402

IMAGES = np.load(REFERENCE / "images.npz")
SIFT = np.load(REFERENCE / "sift.npz")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
KINDS = [np.uint8, np.uint16, np.float32, np.float64]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for each, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each.frames, other.frames)
        np.testing.assert_allclose(each.values, other.values, rtol=0, atol=1e-4)
        np.testing.assert_allclose(each.norms, other.norms, rtol=1e-4, atol=1e-6 * max(1, other.norms.max()))


def drawn(seed, shape, kind):
    images = np.random.default_rng(seed).random(shape)
    return (images * np.iinfo(kind).max).astype(kind) if np.issubdtype(kind, np.integer) else images.astype(kind)


@pytest.mark.parametrize("device", DEVICES)
@given(
    count=st.integers(1, 3), size=st.integers(1, 5), step=st.integers(1, 11), wider=st.integers(0, 40),
    higher=st.integers(0, 40), window=st.sampled_from(["gaussian", "flat"]), window_size=st.floats(0.5, 3),
    channels=st.sampled_from([(), (1,), (3,), (4,)]), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=30)
def test_every_batch_equals_its_images_alone(device, count, size, wider, higher, channels, kind, seed, **parameters):
    images = drawn(seed, (count, 3 * size + 1 + higher, 3 * size + 1 + wider, *channels), kind)
    parameters["bin_size"] = size
    expected = [dense_sift(image, **parameters) for image in images]
    assert_equal(dense_sift_batch(images, device=device, **parameters), expected)


@pytest.mark.parametrize("device", DEVICES)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3, unique=True), step=st.integers(1, 9),
    window=st.sampled_from(["gaussian", "flat"]), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=15)
def test_every_batch_of_several_scales_equals_its_images_alone(device, kind, seed, **parameters):
    images = drawn(seed, (2, 30, 41), kind)
    expected = [phow(image, **parameters) for image in images]
    assert_equal(phow_batch(images, device=device, **parameters), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_comes_as_close_to_vlfeat_as_one_image_does(device):
    (found,) = dense_sift_batch([IMAGES["camera_97x131"]], step=8, bin_size=4, device=device)
    difference = found.values - SIFT["desc_exact_camera_97x131_s8_b4_gauss"]
    assert np.abs(difference).max() <= 2e-2
    assert np.linalg.norm(difference, axis=1).max() <= 0.02


def test_weak_contrast_becomes_zeros():
    images = drawn(0, (2, 60, 60), np.uint8)
    images[1] //= 64
    found, expected = phow_batch(images, contrast=0.02, device="cpu"), [phow(each, contrast=0.02) for each in images]
    assert not expected[1].values.all(axis=1).any()
    assert_equal(found, expected)


def test_images_of_any_shapes_stay_in_their_order():
    images = [IMAGES[name] for name in ("camera_97x131", "coffee_200x300", "noise_64x80", "constant_48x64")]
    images += [images[0][::-1], IMAGES["camera_31x43"]]
    assert_equal(dense_sift_batch(images, device="cpu"), [dense_sift(image) for image in images])
    images.pop()
    bounds = (3, 5, 40, 45)
    found = phow_batch(images, bounds=bounds, device="cpu")
    assert_equal(found, [phow(image, bounds=bounds) for image in images])


@pytest.mark.parametrize("memory", [1, 10_000_000])
def test_batches_that_do_not_fit_are_divided(memory, monkeypatch):
    images = drawn(0, (5, 40, 30), np.float32)
    at_once = dense_sift_batch(images, device="cpu")
    monkeypatch.setattr(exact_torch, "BATCH_BYTES", memory)
    sizes = []
    monkeypatch.setattr(
        torch, "from_numpy", lambda array, make=torch.from_numpy: sizes.append(array.shape) or make(array)
    )
    assert_equal(dense_sift_batch(images, device="cpu"), at_once)
    assert max(shape[0] for shape in sizes if shape[1:] == (40, 30)) == (1 if memory == 1 else 5)


@pytest.mark.parametrize("function", [dense_sift_batch, phow_batch])
def test_what_one_image_is_refused_for_is_refused(function):
    with pytest.raises(ImageError, match=r"needs 13x13|needs 22x22"):
        function([np.zeros((60, 60), np.uint8), np.zeros((12, 40), np.uint8)], device="cpu")
    with pytest.raises(ImageError, match="NaN"):
        function([np.full((60, 60), np.nan)], device="cpu")
    with pytest.raises(ParameterError, match="no window"):
        function([np.zeros((60, 60))], window="box", device="cpu")
