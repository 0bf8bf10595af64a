"""PHOW of color channels, against gray PHOW of each channel and VLFeat's rules as `vl_phow` states them."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2hsv

from imgtool.errors import ImageError, ParameterError
from imgtool.features.encoding import LocalSettings
from imgtool.features.phow import COLORS, phow
from imgtool.features.sift import root
from imgtool.image.read import read
from locations import SAMPLES

COFFEE = read(SAMPLES / "coffee.png")[40:104, 60:140]


def planes_of(image, color):
    """The channels as VLFeat's documentation and van de Sande's paper define them, of unit RGB."""
    unit = image.astype(np.float64) / 255
    red, green, blue = np.moveaxis(unit, 2, 0)
    if color == "rgb":
        return [red, green, blue]
    if color == "hsv":
        return list(np.moveaxis(rgb2hsv(unit), 2, 0))
    intensity = 0.3 * red + 0.59 * green + 0.11 * blue
    return [
        intensity,
        (red - green) / np.sqrt(2) + 0.01 * intensity,
        (red + green - 2 * blue) / np.sqrt(6) + 0.01 * intensity,
    ]


def expected_of(image, color, contrast=0.005, **settings):
    channels = [phow(plane.astype(np.float32), contrast=0, **settings) for plane in planes_of(image, color)]
    norms = {"rgb": np.mean([each.norms for each in channels], axis=0), "hsv": channels[2].norms}
    norms = norms.get(color, channels[0].norms)
    values = np.hstack([each.values for each in channels])
    values[norms < contrast] = 0
    return values, norms


@pytest.mark.parametrize("color", ["rgb", "hsv", "opponent"])
@pytest.mark.parametrize("sizes", [(4,), (4, 6, 8)], ids=["one", "three"])
def test_each_channel_is_described_as_gray_is(color, sizes):
    found = phow(COFFEE, color=color, sizes=sizes, step=5)
    values, norms = expected_of(COFFEE, color, sizes=sizes, step=5)
    assert found.values.shape == (len(norms), 384)
    np.testing.assert_allclose(found.norms, norms, atol=1e-6)
    near = np.abs(norms - 0.005) > 1e-6  # where rounding does not decide
    np.testing.assert_allclose(found.values[near], values[near], atol=2e-4)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["rgb", "hsv", "opponent"]), st.sampled_from([np.uint8, np.float32]))
def test_every_image_type_gives_the_same(seed, color, dtype):
    image = np.random.default_rng(seed).integers(0, 256, (20, 22, 3), dtype=np.uint8)
    typed = image if dtype == np.uint8 else image.astype(np.float32) / 255
    found, plain = phow(typed, color=color, sizes=(4,), step=4), phow(image, color=color, sizes=(4,), step=4)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-4)
    with_alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(phow(with_alpha, color=color, sizes=(4,), step=4).values, plain.values)


def test_of_gray_pixels_opponent_colors_see_the_intensity_three_times():
    gray = np.repeat(COFFEE[:, :, :1], 3, axis=2)
    found = phow(gray, color="opponent", sizes=(4,), step=6)
    first, second, third = np.split(found.values, 3, axis=1)
    np.testing.assert_allclose(second, first, atol=1e-2)
    np.testing.assert_allclose(third, first, atol=1e-2)
    np.testing.assert_array_equal(
        phow(gray[:, :, 0], color="rgb", step=6).values, phow(gray, color="rgb", step=6).values
    )


def test_root_scales_each_channel():
    found = phow(COFFEE, color="rgb", sizes=(4,), step=8).values
    np.testing.assert_array_equal(root(found), np.hstack([root(part) for part in np.split(found, 3, axis=1)]))


@pytest.mark.parametrize("color", COLORS)
def test_local_settings_come_back_from_their_meta(color):
    meta = {"sift": LocalSettings(color=color).to_meta()}
    assert LocalSettings.of(SimpleNamespace(meta=meta)) == LocalSettings(color=color)
    assert ("color" in meta["sift"]) == (color != "gray")


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ParameterError, match="did you mean opponent"):
        phow(COFFEE, color="oponent")
    with pytest.raises(ImageError):
        phow(np.full((40, 40, 3), np.nan), color="rgb")
