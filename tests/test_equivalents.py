"""What docs/python.md says of other libraries' calls: each equals ours, or differs as told."""

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndimage
import scipy.signal as signal
import skimage.color
import skimage.feature
import skimage.filters
from PIL import Image, ImageFilter

from imgtool import (
    convert,
    convert_depth,
    convolve,
    fisher_vector,
    gradient,
    hog,
    kernel,
    magnitude,
    neighborhood,
    resize,
    sparse_sift,
    to_gray,
)  # fmt: skip
from locations import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
RNG = np.random.default_rng(0)
im = RNG.integers(0, 256, (40, 50), np.uint8)
rgb = RNG.integers(0, 256, (64, 48, 3), np.uint8)
f = im.astype(np.float64)
odd, even = RNG.random((3, 5)), RNG.random((2, 4))
sharpen = kernel("sharpen")
upside_down = np.array([[1, 2, 0], [0, 1, 0], [0, 0, 0.0]])
BILINEAR = Image.Resampling.BILINEAR


def filtered_by_pillow(filter):
    return np.asarray(Image.fromarray(im).filter(filter))


def same_by_scipy(kernel, **how):
    return signal.convolve2d(f, kernel, **how)


CALLS = {
    "ndimage.convolve": lambda: (convolve(f, odd), ndimage.convolve(f, odd)),
    "ndimage.convolve, even": lambda: (convolve(f, even), ndimage.convolve(f, even)),
    "ndimage.correlate, even": lambda: (convolve(f, even, correlate=True), ndimage.correlate(f, even)),
    "signal.convolve2d": lambda: (convolve(f, odd, border="clip"), same_by_scipy(odd, mode="same")),
    "signal.convolve2d, even": lambda: (convolve(f, even, border="clip"), same_by_scipy(even)[1:41, 2:52]),
    "ndimage.sobel": lambda: (gradient(f), [ndimage.sobel(f, axis=1), ndimage.sobel(f, axis=0)]),
    "ndimage.gaussian_filter": lambda: (
        convolve(f, kernel("gaussian", sigma=1.5)),
        ndimage.gaussian_filter(f, 1.5),
    ),
    "ndimage.gaussian_filter, order": lambda: (
        gradient(f, operator="gaussian", sigma=1.5)[0],
        ndimage.gaussian_filter(f, 1.5, order=(0, 1)),
    ),
    "ndimage.laplace": lambda: (convolve(f, kernel("laplacian-4")), ndimage.laplace(f)),
    "ndimage.uniform_filter": lambda: (convolve(f, kernel("box", size=5)), ndimage.uniform_filter(f, 5)),
    "ndimage.median_filter": lambda: (neighborhood(im, "median", size=4), ndimage.median_filter(im, 4)),
    "ndimage.minimum_filter": lambda: (neighborhood(im, "minimum", size=4), ndimage.minimum_filter(im, 4)),
    "ndimage.maximum_filter": lambda: (neighborhood(im, "maximum", size=4), ndimage.maximum_filter(im, 4)),
    "feature.hog": lambda: (hog(f, cell=8), skimage_hog(f)),
    "feature.hog, color": lambda: (hog(rgb), skimage_hog(rgb, channel_axis=-1)),
    "filters.sobel_v": lambda: (gradient(f)[0] / 4, skimage.filters.sobel_v(f)),
    "filters.sobel": lambda: (magnitude(*gradient(f)) / (4 * np.sqrt(2)), skimage.filters.sobel(f)),
    "filters.scharr_v": lambda: (gradient(f, operator="scharr")[0] / 16, skimage.filters.scharr_v(f)),
    "filters.prewitt_v": lambda: (gradient(f, operator="prewitt")[0] / 3, skimage.filters.prewitt_v(f)),
    "filters.gaussian": lambda: (
        convolve(f, kernel("gaussian", sigma=1.5), border="copy"),
        skimage.filters.gaussian(f, 1.5),
    ),
    "filters.laplace": lambda: (-convolve(f, kernel("laplacian-4")), skimage.filters.laplace(f)),
    "color.rgb2lab": lambda: (convert(rgb, "lab"), skimage.color.rgb2lab(rgb)),
    "color.rgb2luv": lambda: (convert(rgb, "luv"), skimage.color.rgb2luv(rgb)),
    "color.rgb2hsv": lambda: (convert(rgb, "hsv"), skimage.color.rgb2hsv(rgb)),
    "color.rgb2xyz": lambda: (convert(rgb, "xyz"), skimage.color.rgb2xyz(rgb)),
    "util.img_as_ubyte": lambda: (convert_depth(rgb / 255), skimage.util.img_as_ubyte(rgb / 255)),
    "color.lab2rgb": lambda: (convert(convert(rgb, "lab"), "rgb", source="lab"), rgb / 255),
    "filter2D": lambda: (convolve(f, even, correlate=True, border="mirror"), cv2.filter2D(f, -1, even)),
    "filter2D, 8 bits": lambda: (
        convolve(im, odd, correlate=True, border="mirror", dtype="uint8"),
        cv2.filter2D(im, -1, odd),
    ),
    "Sobel": lambda: (gradient(f, border="mirror")[0], cv2.Sobel(f, cv2.CV_64F, 1, 0)),
    "Scharr": lambda: (gradient(f, operator="scharr", border="mirror")[0], cv2.Scharr(f, cv2.CV_64F, 1, 0)),
    "Laplacian": lambda: (convolve(f, kernel("laplacian-4"), border="mirror"), cv2.Laplacian(f, cv2.CV_64F)),
    "GaussianBlur": lambda: (
        convolve(f, kernel("gaussian", sigma=1.5), border="mirror"),
        cv2.GaussianBlur(f, (13, 13), 1.5),
    ),
    "blur": lambda: (convolve(im, kernel("box", size=5), border="mirror", dtype="uint8"), cv2.blur(im, (5, 5))),
    "medianBlur": lambda: (neighborhood(im, "median", size=5, border="copy"), cv2.medianBlur(im, 5)),
    "erode": lambda: (neighborhood(im, "minimum", size=3), cv2.erode(im, np.ones((3, 3), np.uint8))),
    "dilate": lambda: (neighborhood(im, "maximum", size=3), cv2.dilate(im, np.ones((3, 3), np.uint8))),
    "ImageFilter.Kernel": lambda: (
        convolve(im, upside_down[::-1], correlate=True, dtype="uint8")[1:-1, 1:-1],
        filtered_by_pillow(ImageFilter.Kernel((3, 3), upside_down.ravel().tolist(), 1))[1:-1, 1:-1],
    ),
    "ImageFilter.MedianFilter": lambda: (
        neighborhood(im, "median", border="copy"),
        filtered_by_pillow(ImageFilter.MedianFilter(3)),
    ),
    "resize": lambda: (resize(rgb, 20, 31), np.asarray(Image.fromarray(rgb).resize((31, 20), BILINEAR))),
}


def skimage_hog(image, **how):
    return skimage.feature.hog(image, pixels_per_cell=(8, 8), cells_per_block=(2, 2), feature_vector=False, **how)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_beside_ours_gives_the_same(name):
    actual, expected = CALLS[name]()
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(np.array(actual, float), expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))
    assert name.partition(",")[0].rpartition(".")[2] in PAGE


def test_scipy_wraps_round_where_ours_saturates():
    exact = ndimage.convolve(f, sharpen)
    assert (convolve(im, sharpen, dtype="uint8") == np.rint(exact).clip(0, 255)).all()
    assert (ndimage.convolve(im, sharpen) != convolve(im, sharpen, dtype="uint8"))[
        (exact < 0) | (exact > 255)
    ].mean() > 0.9


def test_the_origin_of_an_even_kernel_is_one_before_ours_in_scipy_signal():
    ours, theirs = convolve(f, even, border="clip"), same_by_scipy(even, mode="same")
    np.testing.assert_allclose(ours[:-1, :-1], theirs[1:, 1:], rtol=1e-12)
    assert not np.allclose(ours, theirs)


def test_flat_areas_give_0_by_our_laplacian_of_gaussian_alone():
    flat = np.full((30, 30), 200.0)
    assert np.abs(convolve(flat, kernel("log", sigma=1.5))).max() < 1e-10
    assert 1e-5 < np.abs(ndimage.gaussian_laplace(flat, 1.5)).max() / 200 < 2e-4
    np.testing.assert_allclose(
        convolve(f, kernel("log", sigma=1.5)), ndimage.gaussian_laplace(f, 1.5), rtol=0, atol=2e-4 * 255
    )


def test_gray_is_within_a_level_of_opencv_and_pillow_and_not_scikit_images():
    ours = to_gray(rgb).astype(int)
    assert np.abs(ours - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).max() <= 1
    assert np.abs(ours - np.asarray(Image.fromarray(rgb).convert("L"))).max() <= 1
    assert np.abs(ours - 255 * skimage.color.rgb2gray(rgb)).max() > 10


def test_bilateral_is_opencvs_and_pillows_gaussian_is_not_ours():
    ours = neighborhood(im, "bilateral", sigma=2, sigma_color=0.1, border="mirror")
    assert ours.dtype == np.float32
    assert np.abs(ours - cv2.bilateralFilter(im, 17, 25.5, 2)).max() < 1
    blurred = convolve(im, kernel("gaussian", sigma=2), border="copy", dtype="uint8").astype(int)
    assert np.abs(blurred - filtered_by_pillow(ImageFilter.GaussianBlur(2))).max() > 3


def test_fisher_vectors_are_scikit_images_but_for_the_weights_and_a_sign():
    mixture = pytest.importorskip("sklearn.mixture", reason="scikit-learn fits the mixture")
    data = RNG.random((300, 8))
    fitted = mixture.GaussianMixture(3, covariance_type="diag", random_state=0).fit(data)
    parts = (fitted.means_, fitted.covariances_, fitted.weights_)
    ours = fisher_vector(data, *parts, square_root=False, normalized=False)
    _, by_mean, by_variance = np.split(skimage.feature.fisher_vector(data, fitted, improved=False), [3, 27])
    np.testing.assert_allclose(ours, np.concatenate([by_mean, -by_variance]), rtol=0, atol=2e-6)


def test_keypoints_are_opencvs():
    gray = to_gray(rgb)
    found, values = cv2.SIFT.create().detectAndCompute(gray, None)
    ours = sparse_sift(gray)
    np.testing.assert_array_equal(ours.frames[:, :2], [each.pt for each in found])
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", ours.values, unit) > 0.99).all()


def test_types_of_results():
    assert convolve(im, odd).dtype == np.float64
    assert convolve(f.astype(np.float32), odd).dtype == np.float32
    assert hog(f).dtype == np.float32
    assert gradient(np.array([[0, 0, 0, 200, 200, 200]] * 3))[0].max() == 800
