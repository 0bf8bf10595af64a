"""Gradients: signs on ramps in all directions, phases of a disc, colors, and other libraries' operators."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from hypothesis import given
from hypothesis import strategies as st

from imgtool.cli.commands import gradient as command
from imgtool.errors import ParameterError
from imgtool.filters.borders import BORDERS
from imgtool.filters.gradient import (
    CHANNELS,
    OPERATORS,
    color_gradient,
    gradient,
    magnitude,
    operator_kernels,
    phase,
    strongest_channel,
)

# What each operator makes of a ramp that rises by 1 a pixel along an axis.
SLOPE = {"sobel": 8, "scharr": 32, "prewitt": 6, "roberts": np.sqrt(2), "central": 2, "forward": 1, "backward": 1}
# Where its derivatives lie, beside the pixel: of gx along x and y, of gy along x and y.
PLACES = {"roberts": (0.5, 0.5, 0.5, 0.5), "forward": (0.5, 0, 0, 0.5), "backward": (-0.5, 0, 0, -0.5)}


def inner(array):
    return array[8:-8, 8:-8]


def turn(first, second):
    """Return how far angles differ, the short way round."""
    return np.abs(np.angle(np.exp(1j * (first - second))))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_ramps_in_eight_directions(operator, degrees):
    y, x = np.mgrid[:31, :31]
    angle = np.radians(degrees)  # clockwise from the right, y down
    gx, gy = gradient(x * np.cos(angle) + y * np.sin(angle), operator=operator)
    slope = SLOPE.get(operator) or inner(gradient(x.astype(float), operator=operator)[0])[0, 0]
    np.testing.assert_allclose(inner(gx), slope * np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(inner(gy), slope * np.sin(angle), atol=1e-12)
    np.testing.assert_allclose(inner(magnitude(gx, gy)), slope, atol=1e-12)
    assert turn(inner(phase(gx, gy)), angle).max() < 1e-12


def test_the_gaussian_derivative_of_a_ramp_is_its_slope():
    ramp = np.tile(np.arange(61.0), (61, 1))
    gx, _ = gradient(ramp, operator="gaussian", sigma=2)
    assert gx[30, 30] == pytest.approx(1, abs=2e-3)  # of the Gaussian 4 sigmas are kept


def disc(x, y, softness):
    """Return the brightness and the derivatives of a bright disc with a soft rim."""
    x, y = x - 80.3, y - 79.6
    radius = np.hypot(x, y)
    bright = 1 / (1 + np.exp((radius - 40) / softness))
    outwards = -bright * (1 - bright) / softness
    return bright, outwards * x / radius, outwards * y / radius


@pytest.mark.parametrize(
    ("operator", "softness"), [*((operator, 8) for operator in OPERATORS), ("gaussian", 2), ("scharr", 4)]
)
def test_phase_of_a_disc_is_the_analytic_one(operator, softness):
    """To 1e-3 on a rim as soft as the operator needs: Gaussian and Scharr keep directions best."""
    y, x = np.mgrid[:161, :161].astype(float)
    gx, gy = gradient(disc(x, y, softness)[0], operator=operator, sigma=2 if operator == "gaussian" else None)
    xx, xy, yx, yy = PLACES.get(operator, (0, 0, 0, 0))
    expected = np.arctan2(disc(x + yx, y + yy, softness)[2], disc(x + xx, y + xy, softness)[1])
    strength = inner(magnitude(gx, gy))
    strong = strength > 0.1 * strength.max()
    assert np.count_nonzero(strong) > 4000
    assert turn(inner(phase(gx, gy)), inner(expected))[strong].max() < 1e-3


@given(st.floats(0.4, 4), st.sampled_from(list(BORDERS)), st.integers(0, 2**32 - 1))
def test_derivative_of_gaussian_is_scipys(sigma, border, seed):
    image = np.random.default_rng(seed).random((19, 23))
    gx, gy = gradient(image, operator="gaussian", border=border, sigma=sigma)
    for actual, order in ((gx, (0, 1)), (gy, (1, 0))):
        expected = scipy.ndimage.gaussian_filter(image, sigma, order=order, mode=BORDERS[border].scipy)
        np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_magnitudes_are_scikit_images_but_for_their_scale():
    image = np.random.default_rng(0).random((30, 31))
    for operator, factor in (("sobel", 4), ("scharr", 16), ("prewitt", 3)):
        ours = magnitude(*gradient(image, operator=operator))
        theirs = getattr(skimage.filters, operator)(image) * np.sqrt(2) * factor
        np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-12)
    theirs = skimage.filters.roberts(image) * np.sqrt(2)
    np.testing.assert_allclose(magnitude(*gradient(image, operator="roberts"))[:-1, :-1], theirs[:-1, :-1], atol=1e-12)


def test_roberts_magnitude_is_that_of_its_diagonals():
    f = np.random.default_rng(0).random((9, 9))
    expected = np.hypot(f[1:, 1:] - f[:-1, :-1], f[:-1, 1:] - f[1:, :-1])
    np.testing.assert_allclose(magnitude(*gradient(f, operator="roberts"))[:-1, :-1], expected, atol=1e-12)


@pytest.mark.parametrize("operator", [operator for operator in OPERATORS if operator != "gaussian"])
def test_sigma_smooths_first(operator):
    image = np.random.default_rng(0).random((20, 21))
    smooth = scipy.ndimage.gaussian_filter(image, 1.5)
    actual, expected = gradient(image, operator=operator, sigma=1.5), gradient(smooth, operator=operator)
    np.testing.assert_allclose(actual, expected, atol=1e-11)
    np.testing.assert_array_equal(gradient(image, operator=operator, sigma=0), gradient(image, operator=operator))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels(dtype, channels):
    image = (np.random.default_rng(0).random((12, 13, channels)) * 255).astype(dtype)
    alone = [gradient(image[:, :, channel]) for channel in range(channels)]
    each = color_gradient(image, "each")
    tolerance = 1e-3 if dtype == "float32" else 1e-10  # float32 sums of numbers up to 1020 come in another order
    for axis in (0, 1):
        np.testing.assert_allclose(each[axis], np.stack([one[axis] for one in alone], axis=2), rtol=0, atol=tolerance)
    best = magnitude(*each).argmax(axis=2)
    for axis, result in enumerate(color_gradient(image)):
        np.testing.assert_array_equal(result, np.take_along_axis(each[axis], best[:, :, None], 2)[:, :, 0])
    for axis, result in enumerate(color_gradient(image, "mean")):
        np.testing.assert_allclose(result, each[axis].mean(axis=2), atol=tolerance)


def test_equal_channels_give_the_gray_image_s_gradient():
    gray = np.random.default_rng(0).random((9, 10))
    for channel in ("max", "mean"):
        color = color_gradient(np.dstack([gray] * 3), channel)
        np.testing.assert_allclose(color, gradient(gray), atol=1e-12)
        np.testing.assert_array_equal(color_gradient(gray, channel), gradient(gray))


def test_an_edge_between_equally_bright_colors_is_seen():
    image = np.zeros((9, 10, 3))
    image[:, :5, 0] = image[:, 5:, 1] = 1
    assert magnitude(*color_gradient(image)).max() == 4
    assert magnitude(*color_gradient(image, "mean")).max() < 1e-12


def test_nan_in_one_channel_is_nan():
    gx = np.zeros((1, 1, 3))
    gx[0, 0, 1] = np.nan
    assert np.isnan(strongest_channel(gx, gx)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_largest_numbers_make_no_warning(dtype, operator):
    image = np.full((5, 6, 3), np.finfo(dtype).max, dtype)
    image[2:4] *= -1
    for channel in CHANNELS:
        gx, gy = color_gradient(image, channel, operator=operator)
        assert magnitude(gx, gy).shape == phase(gx, gy).shape == gx.shape


def test_flat_pixels_have_the_phase_0():
    assert phase(np.array([[0.0, -0.0]]), np.array([[-0.0, -0.0]])).tolist() == [[0, 0]]


def test_unknown_names_are_refused_with_the_known_ones():
    for wrong in ({"operator": "canny"}, {"channel": "gray"}, {"border": "black"}):
        with pytest.raises(ParameterError, match="there are"):
            color_gradient(np.zeros((3, 3)), **wrong)
    with pytest.raises(ParameterError, match="sigma must be positive"):
        gradient(np.zeros((3, 3)), operator="gaussian", sigma=0)


def test_the_command_offers_what_there_is():
    assert (command.OPERATORS, command.CHANNELS) == (OPERATORS, CHANNELS)


@pytest.mark.parametrize("operator", OPERATORS)
@given(seed=st.integers(0, 2**32 - 1))
def test_normalized_magnitudes_of_an_image_in_0_to_1_lie_there_too(operator, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 2, (9, 9)).astype(np.float64)  # black and white: as large as derivatives become
    gx, gy = gradient(image, operator=operator, normalize="abs")
    assert max(np.abs(gx).max(), np.abs(gy).max()) <= 0.5 + 1e-12
    assert magnitude(gx, gy).max() <= 1
    plain = gradient(image, operator=operator)
    for found, raw, taps in zip((gx, gy), plain, operator_kernels(operator), strict=True):
        np.testing.assert_allclose(found * np.abs(taps).sum(), raw, atol=1e-12)


def test_only_none_and_abs_normalize_a_gradient():
    with pytest.raises(ParameterError, match="there are none, abs"):
        gradient(np.zeros((5, 5)), normalize="sum")
