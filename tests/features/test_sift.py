"""Dense SIFT against VLFeat (tests/reference/sift.npz)."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.phow import phow, smooth
from imgtool.features.sift import dense_sift, mirrored, quantize, root
from locations import REFERENCE

SIFT = np.load(REFERENCE / "sift.npz")
IMAGES = np.load(REFERENCE / "images.npz")
KEYS = [key for key in SIFT.files if key.startswith("desc_exact_")]


def describe(key, **options):
    name, step, size, window, rest = re.match(r"desc_exact_(.*?)_s(\d+)_b(\d+)_(gauss|flat)(.*)", key).groups()
    image = IMAGES[name.removesuffix("_unit").removesuffix("_bounds")]
    image = image / 255.0 if "_unit" in name else image
    bounds = tuple(map(int, SIFT["bounds_camera_97x131"])) if "_bounds" in name else None
    return dense_sift(
        image, step=int(step), bin_size=int(size), window={"gauss": "gaussian"}.get(window, window),
        window_size=1.5 if rest == "_win1p5" else 2.0, bounds=bounds, **options,
    )  # fmt: skip


def other(key, kind):
    return key.replace("desc_exact", kind)


def test_there_are_reference_arrays():
    assert len(KEYS) == 18


@pytest.mark.parametrize("key", KEYS)
def test_equals_vlfeat_with_its_arctangent(key):
    found = describe(key, vlfeat_angles=True)
    if "constant" in key:  # only the first rows are stored
        np.testing.assert_array_equal(found.values[: len(SIFT[key])], SIFT[key])
        return
    tolerance = 2e-5 if "gauss" in key else 1e-4
    np.testing.assert_allclose(found.values, SIFT[key], rtol=0, atol=tolerance)
    if other(key, "frames") in SIFT.files:
        np.testing.assert_array_equal(found.frames[:, :2], SIFT[other(key, "frames")])
        np.testing.assert_allclose(found.norms, SIFT[other(key, "norm")], rtol=1e-4)
    if other(key, "u8") in SIFT.files:
        differences = quantize(found.values).astype(int) - SIFT[other(key, "u8")]
        assert np.abs(differences).max() <= 1
        assert np.count_nonzero(differences) <= 5e-4 * differences.size


@pytest.mark.parametrize("key", KEYS)
def test_comes_close_to_vlfeat_with_the_true_arctangent(key):
    difference = describe(key).values[: len(SIFT[key])] - SIFT[key]
    assert np.abs(difference).max() <= 2e-2
    assert np.linalg.norm(difference, axis=1).max() <= 0.02


def test_phow_equals_vlfeat():
    image = IMAGES["camera_97x131"]
    found = phow(image, step=6, vlfeat_angles=True)
    frames = SIFT["phow_frames_camera_97x131"]
    np.testing.assert_array_equal(found.frames, frames[:, [0, 1, 3]])
    np.testing.assert_allclose(found.norms, frames[:, 2], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.values, SIFT["phow_desc_camera_97x131"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", [4, 6, 8, 10])
def test_phow_smoothing_equals_vlfeats(size):
    gray = (IMAGES["camera_97x131"] / 255).astype(np.float32)
    np.testing.assert_allclose(smooth(gray, size / 6), SIFT[f"phow_smooth_camera_97x131_size{size}"], atol=1e-6)


def by_definition(gray, x, y, size, window_size):
    """One descriptor, summed pixel by pixel from the paper's formula, with the true arctangent."""
    gy, gx = np.gradient(gray.astype(float))
    place = (np.arctan2(gy, gx) % (2 * np.pi)) * 8 / (2 * np.pi)
    height, width = gray.shape
    result = np.zeros((4, 4, 8))
    for j in range(4):
        for i in range(4):
            for v in range(-size + 1, size):
                for u in range(-size + 1, size):
                    px, py = x + i * size + u, y + j * size + v
                    if not (0 <= px < width and 0 <= py < height):
                        continue
                    du, dv = u + size * (i - 1.5), v + size * (j - 1.5)
                    weight = (1 - abs(u) / size) * (1 - abs(v) / size)
                    weight *= np.exp(-(du**2 + dv**2) / (2 * (window_size * size) ** 2))
                    weight *= np.hypot(gx[py, px], gy[py, px])
                    low = int(place[py, px])
                    result[j, i, low % 8] += weight * (1 - (place[py, px] - low))
                    result[j, i, (low + 1) % 8] += weight * (place[py, px] - low)
    flat = result.ravel() / np.linalg.norm(result)
    flat = np.minimum(flat, 0.2)
    return flat / np.linalg.norm(flat)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_equals_the_definition(size, seed):
    gray = np.random.default_rng(seed).random((6 * size, 6 * size + 3))
    found = dense_sift(gray, step=1, bin_size=size)
    inside = np.flatnonzero((found.frames[:, :2] == 1.5 * size + size).all(axis=1))[0]  # no bin reaches past the border
    np.testing.assert_allclose(found.values[inside], by_definition(gray, size, size, size, 2.0), atol=1e-5)


def test_flat_image_gives_zeros_and_root_keeps_them():
    found = dense_sift(np.full((20, 20), 9, np.uint8))
    assert not found.values.any()
    assert not root(found.values).any()


def test_root_has_unit_length():
    values = root(dense_sift(IMAGES["camera_97x131"]).values)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("function", [dense_sift, phow])
def test_bad_images_are_refused(function):
    with pytest.raises(ImageError, match=r"needs 13x13|needs 22x22"):
        function(np.zeros((12, 40), np.uint8))
    with pytest.raises(ImageError, match="NaN"):
        function(np.full((60, 60), np.nan))


@pytest.mark.parametrize("wrong", [{"step": 0}, {"bin_size": 0}, {"window": "box"}, {"bounds": (9, 0, 5, 30)}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ParameterError):
        dense_sift(np.zeros((40, 40)), **wrong)


@pytest.mark.parametrize("function", [dense_sift, phow])
def test_bounds_beyond_the_image_are_refused(function):
    with pytest.raises(ImageError, match="40x40 pixels, and bounds"):
        function(np.zeros((40, 40)), bounds=(0, 0, 99, 30))


def direct(gray, left, top, size, window, window_size):
    """A grid by definition, borders included: the channels' edges are repeated, every bin summed on its own."""
    gy, gx = np.gradient(gray.astype(float))
    turn = (np.arctan2(gy, gx) % (2 * np.pi)) * 8 / (2 * np.pi)
    distance = np.abs(turn[..., None] - np.arange(8))
    maps = np.hypot(gx, gy)[..., None] * np.clip(1 - np.minimum(distance, 8 - distance), 0, None)
    margin = 6 * size
    maps = np.pad(maps, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    u = np.arange(-size + 1, size)
    triangle = 1 - np.abs(u) / size
    gauss = np.exp(-0.5 * ((u + size * (np.arange(4) - 1.5)[:, None]) / (window_size * size)) ** 2)
    weights = triangle * (gauss if window == "gaussian" else gauss.mean(axis=1, keepdims=True))
    result = np.empty((len(top), len(left), 4, 4, 8))
    for (row, y), (column, x) in itertools.product(enumerate(top), enumerate(left)):
        for j, i in np.ndindex(4, 4):
            patch = maps[margin + y + j * size + u][:, margin + x + i * size + u]
            result[row, column, j, i] = np.einsum("v,u,vut->t", weights[j], weights[i], patch)
    flat = result.reshape(-1, 128)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    flat = np.minimum(flat, 0.2)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


@given(
    st.integers(1, 5), st.integers(1, 11), st.integers(0, 40), st.integers(0, 40),
    st.sampled_from(["gaussian", "flat"]),
    st.floats(0.5, 3), st.sampled_from([np.uint8, np.float32, np.float64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=30)
def test_every_grid_equals_its_definition(size, step, wider, higher, window, window_size, kind, seed):
    side = 3 * size + 1
    image = (np.random.default_rng(seed).random((side + higher, side + wider)) * 255).astype(kind)
    found = dense_sift(image, step=step, bin_size=size, window=window, window_size=window_size)
    left, top = np.arange(0, wider + 1, step), np.arange(0, higher + 1, step)
    x, y = np.meshgrid(left + 1.5 * size, top + 1.5 * size)
    np.testing.assert_array_equal(found.frames, np.stack([x, y, np.full(x.shape, size)], axis=2).reshape(-1, 3))
    np.testing.assert_allclose(found.values, direct(image, left, top, size, window, window_size), atol=2e-5)


@given(hnp.arrays(st.sampled_from([np.float32, np.float64]), (13, 17), elements=st.floats(width=32)))
@settings(max_examples=50)
def test_any_floats_give_finite_descriptors_or_are_refused(image):
    try:
        found = dense_sift(image)
    except ImageError as error:
        assert "holds" in str(error)  # noqa: PT017
        assert not np.abs(image).max() <= 1e15
    else:
        assert np.isfinite(found.values).all()
        assert np.linalg.norm(found.values, axis=1).max() <= 1.001


def test_color_is_made_gray_and_an_opaque_alpha_left_out():
    color = np.random.default_rng(0).integers(0, 256, (20, 20, 4), np.uint8)
    color[..., 3] = 255
    gray = np.rint(color[..., :3] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    np.testing.assert_array_equal(dense_sift(color).values, dense_sift(gray).values)


@pytest.mark.parametrize("window", ["flat", "gaussian"])
@pytest.mark.parametrize(("width", "step", "size"), [(25, 3, 3), (41, 4, 4), (40, 1, 5)])
def test_mirrored_descriptors_are_those_of_the_mirror_image(window, width, step, size):
    """Where the grid leaves no rest, its columns are those of the mirror image in reverse."""
    image = np.random.default_rng(width).random((33, width), np.float32)
    grid = {"step": step, "bin_size": size, "window": window}
    found, other = dense_sift(image, **grid), dense_sift(image[:, ::-1], **grid)
    columns = (width - 1 - 3 * size) // step + 1
    expected = other.values.reshape(-1, columns, 128)[:, ::-1].reshape(-1, 128)
    np.testing.assert_allclose(mirrored(found.values), expected, atol=1e-6)
    both = np.hstack([found.values, found.values[:, ::-1]])
    np.testing.assert_array_equal(mirrored(both)[:, :128], mirrored(found.values))
    np.testing.assert_array_equal(mirrored(mirrored(both)), both)
