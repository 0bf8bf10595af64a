"""Kernels by name: each against an outside reference, and by what it must do."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.filters import kernels
from imgtool.filters.convolve import convolve
from imgtool.filters.engine.plan import separate
from imgtool.filters.kernels import KERNELS, kernel, normalize_taps

DERIVATIVES = [name for name in KERNELS if name.endswith(("-x", "-y"))]
SMOOTH = ["box", "gaussian", "motion"]

# As their sources print them. The books' masks are correlated with the image: under convolution they are turned over.
PRINTED = {
    "sobel-x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel-y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "scharr-x": [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]],
    "scharr-y": [[-3, -10, -3], [0, 0, 0], [3, 10, 3]],
    "prewitt-x": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "prewitt-y": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "roberts-se": [[-1, 0], [0, 1]],
    "roberts-ne": [[0, 1], [-1, 0]],
    "laplacian-4": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "laplacian-8": [[1, 1, 1], [1, -8, 1], [1, 1, 1]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "central-x": [[-1, 0, 1]],
    "central-y": [[-1], [0], [1]],
}


def impulse(sigma, function, **options):
    """Return what a SciPy filter makes of a single pixel: its kernel, turned over."""
    radius = int(4 * sigma + 0.5)
    image = np.zeros((2 * radius + 1, 2 * radius + 1))
    image[radius, radius] = 1
    return function(image, sigma, mode="constant", truncate=4.0, **options)


@pytest.mark.parametrize("name", PRINTED)
def test_fixed_kernels_are_those_printed(name):
    np.testing.assert_array_equal(kernel(name)[::-1, ::-1], PRINTED[name])


def test_every_kernel_without_parameters_is_checked_against_print_or_definition():
    fixed = {name for name, entry in KERNELS.items() if not entry.defaults}
    assert fixed == {*PRINTED, "forward-x", "forward-y", "backward-x", "backward-y"} - {"sobel-x", "sobel-y"}


@pytest.mark.parametrize(
    ("name", "theirs", "factor"),
    [
        ("sobel-x", skimage.filters.sobel_v, 4),
        ("sobel-y", skimage.filters.sobel_h, 4),
        ("scharr-x", skimage.filters.scharr_v, 16),
        ("scharr-y", skimage.filters.scharr_h, 16),
        ("prewitt-x", skimage.filters.prewitt_v, 3),
        ("prewitt-y", skimage.filters.prewitt_h, 3),
        ("laplacian-4", lambda image: -skimage.filters.laplace(image), 1),
    ],
)
def test_operators_are_scikit_images_but_for_their_scale(name, theirs, factor):
    image = np.random.default_rng(0).random((20, 21))
    ours = convolve(image, kernel(name))[1:-1, 1:-1]
    np.testing.assert_allclose(ours, factor * theirs(image)[1:-1, 1:-1], atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_smoothing_adds_up_to_one_and_derivatives_to_zero(name):
    total = kernel(name).sum()
    if name != "gabor":
        assert total == pytest.approx(1.0 if name in [*SMOOTH, "sharpen", "emboss"] else 0.0, abs=1e-12)
    assert kernels.is_derivative(kernel(name)) == (abs(total) < 1e-9)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_positive_where_brightness_rises(name):
    ramp = np.tile(np.arange(19.0), (19, 1))
    ramp = ramp if name.endswith("x") else ramp.T
    assert convolve(ramp, kernel(name))[9, 9] > 0
    assert convolve(ramp.T, kernel(name))[9, 9] == pytest.approx(0, abs=1e-12)


def test_roberts_differences_run_along_the_diagonals():
    f = np.random.default_rng(0).random((5, 6))
    southeast, northeast = convolve(f, kernel("roberts-se")), convolve(f, kernel("roberts-ne"))
    for y, x in np.ndindex(4, 5):
        assert southeast[y, x] == pytest.approx(f[y + 1, x + 1] - f[y, x])
        assert northeast[y, x] == pytest.approx(f[y, x + 1] - f[y + 1, x])


@pytest.mark.parametrize(
    ("name", "difference"),
    [("forward", lambda f, x: f[x + 1] - f[x]), ("backward", lambda f, x: f[x] - f[x - 1]),
     ("central", lambda f, x: f[x + 1] - f[x - 1])],
)  # fmt: skip
def test_differences_are_what_their_names_say(name, difference):
    f = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    across = convolve(f[None], kernel(f"{name}-x"))[0]
    down = convolve(f[:, None], kernel(f"{name}-y"))[:, 0]
    expected = [difference(f, x) for x in range(1, 5)]
    assert across[1:5].tolist() == down[1:5].tolist() == expected


def test_sobel_of_a_step_of_200_is_800():
    step = np.where(np.arange(8) < 4, 0, 200)[None].repeat(5, 0)
    assert convolve(step, kernel("sobel-x")).max() == 800


@pytest.mark.parametrize("size", [1, 2, 3, 8, 31])
def test_box_is_the_mean(size):
    image = np.random.default_rng(0).random((40, 41))
    expected = scipy.ndimage.uniform_filter(image, size, origin=0 if size % 2 else -1)
    np.testing.assert_allclose(convolve(image, kernel("box", size=size)), expected, atol=1e-12)


@given(st.floats(0.3, 6), st.floats(1, 5))
def test_gaussian_is_scipys_and_opencvs(sigma, truncate):
    image = np.random.default_rng(0).random((20, 21))
    taps = kernel("gaussian", sigma=sigma, truncate=truncate)
    expected = scipy.ndimage.gaussian_filter(image, sigma, truncate=truncate)
    np.testing.assert_allclose(convolve(image, taps), expected, atol=1e-12)
    row = cv2.getGaussianKernel(len(taps), sigma)
    np.testing.assert_allclose(taps, row * row.T, atol=1e-12)
    assert len(taps) == 2 * int(truncate * sigma + 0.5) + 1


@given(st.floats(0.3, 6))
def test_derivative_of_gaussian_is_scipys(sigma):
    for name, order in (("gaussian-x", (0, 1)), ("gaussian-y", (1, 0))):
        expected = impulse(sigma, scipy.ndimage.gaussian_filter, order=order)
        np.testing.assert_allclose(kernel(name, sigma=sigma), expected, atol=1e-12)
    assert separate(kernel("gaussian-x", sigma=sigma)) is not None


@given(st.floats(0.8, 6))
def test_laplacian_of_gaussian_is_scipys_less_its_mean(sigma):
    expected = impulse(sigma, scipy.ndimage.gaussian_laplace)
    np.testing.assert_allclose(kernel("log", sigma=sigma), expected - expected.mean(), atol=1e-12)


@given(st.floats(0.5, 4))
def test_difference_of_gaussians_is_that_of_scipys(sigma):
    image = np.random.default_rng(0).random((30, 31))
    wide, narrow = (scipy.ndimage.gaussian_filter(image, each) for each in (1.6 * sigma, sigma))
    np.testing.assert_allclose(convolve(image, kernel("dog", sigma=sigma)), wide - narrow, atol=1e-12)


gabors = st.fixed_dictionaries(
    {
        "sigma": st.floats(0.8, 4),
        "wavelength": st.floats(2, 12),
        "angle": st.floats(-180, 360),
        "aspect": st.floats(0.4, 2),
        "phase": st.floats(-180, 180),
    }
)


@given(gabors)
def test_gabor_is_opencvs_but_for_its_scale(given):
    taps = kernel("gabor", **given)
    angle, phase = np.radians(given["angle"]), np.radians(given["phase"])
    theirs = cv2.getGaborKernel(
        taps.shape[::-1], given["sigma"], angle, given["wavelength"], given["aspect"], phase, cv2.CV_64F
    )
    scale = given["aspect"] / (2 * np.pi * given["sigma"] ** 2)
    # OpenCV stores it turned over, ready for its correlation.
    np.testing.assert_allclose(taps, scale * theirs[::-1, ::-1], atol=1e-12)


@given(gabors)
def test_gabor_is_scikit_images(given):
    taps = kernel("gabor", **given)
    theirs = skimage.filters.gabor_kernel(
        1 / given["wavelength"], np.radians(given["angle"]), sigma_x=given["sigma"],
        sigma_y=given["sigma"] / given["aspect"], n_stds=3, offset=np.radians(given["phase"]),
    ).real  # fmt: skip
    margins = [(ours - other) // 2 for ours, other in zip(taps.shape, theirs.shape, strict=True)]
    assert min(margins) >= 0
    inner = tuple(slice(margin, margin + side) for margin, side in zip(margins, theirs.shape, strict=True))
    np.testing.assert_allclose(taps[inner], theirs, atol=1e-12)


def test_gabor_answers_to_stripes_of_its_angle_and_wavelength():
    y, x = np.mgrid[:64, :64]
    for angle in range(0, 180, 15):
        along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
        stripes = np.cos(2 * np.pi * along / 6)
        energy = {
            other: np.abs(convolve(stripes, kernel("gabor", sigma=4, wavelength=6, angle=other))[20:-20, 20:-20]).max()
            for other in range(0, 180, 15)
        }
        assert max(energy, key=energy.get) == angle
    ramp = np.tile(np.arange(64.0), (64, 1))
    assert convolve(ramp, kernel("gabor", phase=90))[32, 32] > 0


def test_motion_weighs_by_distance_from_the_line():
    for size in (1, 2, 3, 4, 9, 20):
        for angle in (0, 10, 30, 45, 90, 120, 135, 180, 271):
            turned = np.radians(angle)
            ends = (size - 1) / 2 * np.linspace(-1, 1, 4001)
            line = np.stack([ends * np.sin(turned), ends * np.cos(turned)])
            radius = size
            y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
            distance = np.hypot(line[0] - y[:, :, None], line[1] - x[:, :, None]).min(axis=2)
            expected = np.where(distance < 1 - 1e-6, 1 - distance, 0)
            taps = kernel("motion", size=size, angle=angle)
            rows, columns = ((expected.shape[axis] - taps.shape[axis]) // 2 for axis in (0, 1))
            whole = np.pad(taps, ((rows, rows), (columns, columns)))
            np.testing.assert_allclose(whole, expected / expected.sum(), atol=1e-4)
            np.testing.assert_allclose(taps, taps[::-1, ::-1], atol=1e-15)


def test_motion_along_the_axes_is_a_row_and_a_column():
    np.testing.assert_array_equal(kernel("motion", size=9), np.full((1, 9), 1 / 9))  # MATLAB's example, fspecial
    np.testing.assert_array_equal(kernel("motion", size=9, angle=90), np.full((9, 1), 1 / 9))
    np.testing.assert_allclose(kernel("motion", size=4), [[0.125, 0.25, 0.25, 0.25, 0.125]])
    falling = kernel("motion", size=3, angle=45)  # y points down
    assert falling[0, 0] > falling[0, 2] == 0


def test_emboss_lights_slopes_that_face_the_upper_left():
    y, x = np.mgrid[:9, :9].astype(float)
    assert convolve(x + y, kernel("emboss"))[4, 4] > 8
    assert convolve(-x - y, kernel("emboss"))[4, 4] < -8
    assert convolve(x - y, kernel("emboss"))[4, 4] == pytest.approx(0)


def test_normalized():
    taps = np.array([[1.0, 2.0, -1.0]])
    assert normalize_taps(taps, "none").sum() == 2
    assert normalize_taps(taps, "sum").sum() == pytest.approx(1)
    assert np.abs(normalize_taps(taps, "abs")).sum() == pytest.approx(1)
    with pytest.raises(ParameterError, match="abs"):
        normalize_taps(np.array([[1.0, -1.0]]), "sum")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("sobel-x", {"sigma": 1}), ("box", {"sigma": 1}), ("gaussian", {"size": 3}), ("motion", {"sigma_color": 1})],
)
def test_parameters_that_a_kernel_does_not_take_are_refused(name, wrong):
    with pytest.raises(ParameterError, match=r"(sigma|size|sigma_color) does not go with"):
        kernel(name, **wrong)


POSITIVE = [("gaussian", "sigma"), ("gaussian-x", "truncate"), ("log", "sigma"), ("dog", "sigma"), ("gabor", "sigma"),
            ("gabor", "wavelength"), ("gabor", "aspect"), ("motion", "size"), ("box", "size")]  # fmt: skip
FINITE = [*POSITIVE, ("gabor", "angle"), ("gabor", "phase"), ("motion", "angle")]
LIMITED = [("gaussian", "sigma"), ("gaussian", "truncate"), ("gabor", "sigma"), ("motion", "size"), ("box", "size")]


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [(*each, wrong) for each in POSITIVE for wrong in (0, -1)]
    + [(*each, wrong) for each in FINITE for wrong in (float("nan"), float("inf"))]
    + [(*each, 5000) for each in LIMITED],
)
def test_numbers_out_of_range_are_refused(name, key, wrong):
    with pytest.raises(ParameterError, match=r"must be|more than 4096"):
        kernel(name, **{key: wrong})


def test_4095_taps_are_not_too_many():
    assert len(kernels.gaussian_taps(511.8)) == 4095
    with pytest.raises(ParameterError, match="more than 4096"):
        kernels.gaussian_taps(512.0)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.5])
@pytest.mark.parametrize(("name", "order"), [("gaussian-xx", (0, 2)), ("gaussian-yy", (2, 0)), ("gaussian-xy", (1, 1))])
def test_second_derivatives_of_a_gaussian_are_scipys_less_their_mean(name, order, sigma):
    theirs = impulse(sigma, scipy.ndimage.gaussian_filter, order=order)
    theirs -= 0 if name == "gaussian-xy" else theirs.mean()
    np.testing.assert_allclose(kernel(name, sigma=sigma), theirs, atol=1e-14)
    assert abs(kernel(name, sigma=sigma).sum()) < 1e-14


def test_the_second_derivatives_add_up_to_the_laplacian_of_gaussian():
    both = kernel("gaussian-xx", sigma=1.7) + kernel("gaussian-yy", sigma=1.7)
    np.testing.assert_allclose(both, kernel("log", sigma=1.7), atol=1e-15)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_sobel_and_laplacian_of_every_size_are_opencvs(size):
    image = np.random.default_rng(size).integers(0, 256, (20, 23)).astype(np.float64)
    for name, order in (("sobel-x", (1, 0)), ("sobel-y", (0, 1))):
        theirs = cv2.Sobel(image, cv2.CV_64F, *order, ksize=size, borderType=cv2.BORDER_REFLECT)
        np.testing.assert_array_equal(convolve(image, kernel(name, size=size)), theirs)
    theirs = cv2.Laplacian(image, cv2.CV_64F, ksize=size, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_array_equal(convolve(image, kernel("laplacian", size=size)), theirs)


@pytest.mark.parametrize("size", [1, 2, 4, 9, 3.5])
def test_other_sizes_of_sobel_are_refused(size):
    with pytest.raises(ParameterError, match="size must be 3, 5, 7 taps"):
        kernel("sobel-x", size=size)


@pytest.mark.parametrize(
    ("name", "order"),
    [("gaussian", (0, 0)), ("gaussian-x", (0, 1)), ("gaussian-y", (1, 0)), ("gaussian-xy", (1, 1)),
     ("gaussian-xx", (0, 2)), ("gaussian-yy", (2, 0))],
)  # fmt: skip
@pytest.mark.parametrize("sigma", [(1.0, 2.5), (0.6, 0.6), (3.0, 0.8)])
def test_a_sigma_for_each_axis_is_scipys(name, order, sigma):
    image = np.random.default_rng(0).random((31, 37))
    taps = kernel(name, sigma=sigma)
    if max(order) == 2:
        taps = taps + (_impulse_sum := scipy_kernel(sigma, order)).mean()
        np.testing.assert_allclose(taps, _impulse_sum, atol=1e-14)
    expected = scipy.ndimage.gaussian_filter(image, sigma, order=order, mode="reflect")
    np.testing.assert_allclose(convolve(image, taps, method="direct"), expected, atol=1e-12)
    if sigma[0] == sigma[1]:
        np.testing.assert_array_equal(kernel(name, sigma=sigma), kernel(name, sigma=sigma[0]))


def scipy_kernel(sigma, order):
    radii = [int(4 * each + 0.5) for each in sigma]
    image = np.zeros([2 * radius + 1 for radius in radii])
    image[tuple(radii)] = 1
    return scipy.ndimage.gaussian_filter(image, sigma, order=order, mode="constant")


@pytest.mark.parametrize("size", [(3, 5), (1, 4), (2, 2)])
def test_a_box_of_rows_and_columns_is_opencvs_mean(size):
    image = np.random.default_rng(1).random((20, 21))
    anchor = tuple((side - 1) // 2 for side in reversed(size))
    theirs = cv2.blur(image, size[::-1], anchor=anchor, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(convolve(image, kernel("box", size=size)), theirs, atol=1e-12)


def test_kernels_that_take_one_number_refuse_two():
    for name, parameter in (("log", "sigma"), ("motion", "size"), ("gaussian", "truncate")):
        with pytest.raises(ParameterError, match="is one number, got two"):
            kernel(name, **{parameter: (1, 2)})
