"""GIST in batches against GIST of each image alone (itself checked against LMgist)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ImageError, ParameterError
from imgtool.features.gist import PRESETS, gist
from locations import REFERENCE

torch = pytest.importorskip("torch")

from imgtool.features import exact_torch  # noqa: E402
from imgtool.features.gist_torch import gist_batch  # noqa: E402

IMAGES = np.load(REFERENCE / "images.npz")
GIST = np.load(REFERENCE / "gist.npz")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4}


def assert_equal(actual, expected, dtype):
    tolerance = TOLERANCE[dtype] * np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(actual - expected) <= tolerance).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("key", ["exact_camera_256_s256_o8888", "orig_coins_303x384_s256_o8888"])
def test_equals_lmgist(key, dtype, device):
    assert key in GIST.files
    image = IMAGES["camera_256" if "camera" in key else "coins_303x384"]
    found = gist_batch([image, image], device=device, dtype=dtype)
    tolerance = 2e-5 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(found, [GIST[key]] * 2, rtol=0, atol=tolerance * GIST[key].max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@given(
    count=st.integers(1, 4), height=st.integers(1, 80), width=st.integers(1, 80), size=st.integers(4, 50),
    channels=st.sampled_from([0, 1, 3, 4]), kind=st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    orientations=st.lists(st.integers(1, 4), min_size=1, max_size=3), blocks=st.integers(1, 4),
    prefilter=st.floats(1, 8), color=st.booleans(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=25)
def test_every_batch_equals_its_images_alone(device, dtype, count, height, width, channels, kind, seed, **parameters):
    shape = (count, height, width, channels) if channels else (count, height, width)
    images = np.random.default_rng(seed).random(shape)
    images = (images * np.iinfo(kind).max).astype(kind) if np.issubdtype(kind, np.integer) else images.astype(kind)
    expected = np.stack([gist(image, **parameters) for image in images])
    found = gist_batch(images, device=device, dtype=dtype, **parameters)
    assert found.dtype == np.float32
    assert_equal(found, expected, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("preset", PRESETS)
def test_images_of_any_shapes_stay_in_their_order(preset, device):
    names = ["camera_97x131", "coffee_200x300", "camera_31x43", "camera_97x131", "constant_48x64", "noise_17x23"]
    images = [IMAGES[name] for name in names]
    images[3] = images[3][::-1]
    expected = np.stack([gist(image, **PRESETS[preset]) for image in images])
    assert_equal(gist_batch(images, device=device, **PRESETS[preset]), expected, torch.float32)


@pytest.mark.parametrize("memory", [1, 10_000_000])
def test_batches_that_do_not_fit_are_divided(memory, monkeypatch):
    images = np.random.default_rng(0).random((5, 40, 30))
    at_once = gist_batch(images, size=32, device="cpu")
    monkeypatch.setattr(exact_torch, "BATCH_BYTES", memory)
    sizes = []
    monkeypatch.setattr(
        torch, "from_numpy", lambda array, make=torch.from_numpy: sizes.append(array.shape) or make(array)
    )
    np.testing.assert_allclose(gist_batch(images, size=32, device="cpu"), at_once, rtol=1e-5)
    assert max(shape[0] for shape in sizes if shape[1:] == (40, 30)) == (1 if memory == 1 else 5)


@pytest.mark.parametrize("value", [0, 200, 0.1, 1 / 3, 1e15, -3.7])
def test_constant_images_give_zeros_beside_others(value):
    images = np.full((3, 40, 50), value, np.uint8 if value in (0, 200) else np.float64)
    images[1] = IMAGES["camera_97x131"][:40, :50]
    found = gist_batch(images, size=64, device="cpu")
    assert not found[[0, 2]].any()
    assert_equal(found[1:2], gist(images[1], size=64)[None], torch.float32)


def test_what_gist_refuses_is_refused():
    with pytest.raises(ImageError, match="NaN"):
        gist_batch([np.zeros((8, 8)), np.full((8, 8), np.nan)], device="cpu")
    with pytest.raises(ParameterError):
        gist_batch([np.zeros((8, 8))], size=3, device="cpu")


def test_precision_that_a_caller_has_chosen_is_kept():
    torch.set_float32_matmul_precision("high")
    try:
        seen = []
        with exact_torch.exact():
            seen.append(torch.get_float32_matmul_precision())
        assert [*seen, torch.get_float32_matmul_precision()] == ["highest", "high"]
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_full_device_is_an_error_that_commands_report():
    with pytest.raises(MemoryError, match="full"), exact_torch.exact():
        raise torch.cuda.OutOfMemoryError("the device is full")
