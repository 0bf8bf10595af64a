"""Pictures of descriptors: measured on synthetic edges and gratings whose directions are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.features.drawing import GAP_PIXELS, ROSETTE_PIXELS, gist_picture, hog_picture, sectors, strokes
from imgtool.features.gist import gist
from imgtool.features.hog import cell_histograms


def edge(degrees, side=72):
    """Return a smooth step from black to white whose edge runs in this direction, clockwise from the right."""
    angle = np.radians(degrees + 90)  # of the gradient
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return (255 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle))))).astype(np.uint8)


def axis_of(brightness):
    """Return the direction along which a patch's brightness spreads most, degrees clockwise from the right, 0..180."""
    y, x = (np.indices(brightness.shape) - (np.array(brightness.shape) - 1).reshape(2, 1, 1) / 2).astype(float)
    w = brightness / brightness.sum()
    xx, yy, xy = (w * x * x).sum(), (w * y * y).sum(), (w * x * y).sum()
    return np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180


def between(a, b):
    """Return the angle between two undirected lines, in degrees."""
    return abs((a - b + 90) % 180 - 90)


def right_half(picture):
    return picture[:, (picture.shape[1] + GAP_PIXELS) // 2 :].astype(float).mean(axis=2)


@pytest.mark.parametrize("degrees", [0, 45, 90, 135, 20, 70, 110, 160])
@pytest.mark.parametrize("orientations", [4, 9, 18])
def test_strokes_run_along_the_edge(degrees, orientations):
    image = edge(degrees)
    stars = right_half(hog_picture(cell_histograms(image, orientations=orientations), (8, 8), image))
    middle = stars[64:80, 64:80]  # the cell in the middle, magnified to 16 pixels
    assert middle.max() > 200
    assert between(axis_of(middle), degrees) <= 90 / orientations + 1  # the middle of a bin stands for all of it


def test_strokes_lie_where_the_edge_is():
    image = np.zeros((64, 64), np.uint8)
    image[:, 44:] = 200
    stars = right_half(hog_picture(cell_histograms(image), (8, 8), image))
    lit = np.flatnonzero(stars.max(axis=0) > 0)
    assert lit.min() >= 80
    assert lit.max() < 96


@pytest.mark.parametrize("orientations", [1, 2, 4, 9])
def test_each_bin_has_the_stroke_across_its_middle(orientations):
    angles = [np.pi * (k + 0.5) / orientations for k in range(orientations)]
    for angle, stroke in zip(angles, strokes(angles, 17, 17), strict=True):
        assert between(axis_of(stroke), np.degrees(angle) + 90) < 0.5


@given(
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]), st.sampled_from([(), (1,), (2,), (3,), (4,)]),
    st.integers(1, 40), st.integers(1, 40), st.tuples(st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
@settings(max_examples=60)
def test_any_image_gives_an_rgb_picture(dtype, channels, height, width, cell):
    image = (np.random.default_rng(0).random((height, width, *channels)) * 200).astype(dtype)
    picture = hog_picture(cell_histograms(image, cell=cell), cell, image)
    factor = len(picture) // height
    assert picture.dtype == np.uint8
    assert picture.shape == (factor * height, 2 * factor * width + GAP_PIXELS, 3)


@pytest.mark.parametrize(("shape", "factor"), [((64, 64), 2), ((1200, 800), 1)])
def test_small_images_are_magnified_and_large_ones_not(shape, factor):
    image = np.zeros(shape, np.uint8)
    picture = hog_picture(cell_histograms(image), (8, 8), image)
    assert picture.shape == (factor * shape[0], 2 * factor * shape[1] + GAP_PIXELS, 3)
    assert not right_half(picture).any()


def test_the_image_stands_at_the_left_with_its_colors():
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    picture = hog_picture(cell_histograms(image, cell=16), (16, 16), image)
    np.testing.assert_array_equal(picture[:, :40], image)


def grating(degrees, frequency, side=128):
    """Return waves whose brightness changes in this direction, in cycles per pixel."""
    angle = np.radians(degrees)
    y, x = np.mgrid[:side, :side]
    return np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))


@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
@pytest.mark.parametrize("orientations", [4, 8, 12])
def test_brightest_sector_points_along_the_gradient(degrees, orientations):
    energies = gist(grating(degrees, 0.3), size=128, orientations=(orientations,), blocks=1)
    rosette = right_half(gist_picture(energies.reshape(-1, 1, 1), (orientations,), np.zeros((128, 128))))[1:, 1:]
    rosette[rosette < 0.95 * rosette.max()] = 0
    assert between(axis_of(rosette), degrees) < 2


def test_rings_run_from_the_coarsest_scale_inside_to_the_finest_outside():
    radii = []
    for scale in range(3):
        energies = np.zeros((9, 1, 1))
        energies[3 * scale : 3 * scale + 3] = 1
        rosette = right_half(gist_picture(energies, (3, 3, 3), np.zeros((64, 64))))[1:, 1:]
        y, x = np.nonzero(rosette) - np.full((2, 1), (ROSETTE_PIXELS - 2) / 2)
        radii.append((np.hypot(x, y).min(), np.hypot(x, y).max()))
    (inside, outside), (middle_inside, middle_outside), (coarse_inside, coarse_outside) = radii
    assert outside > inside > middle_outside - 3 > middle_inside > coarse_outside - 3 > coarse_inside > 0
    assert inside > middle_inside + 10 > coarse_inside + 20


def test_windows_of_the_picture_are_those_of_the_image():
    image = np.zeros((128, 128))
    image[96:, :32] = np.random.default_rng(0).random((32, 32))  # bottom left
    energies = gist(image, size=128).reshape(32, 4, 4).transpose(0, 2, 1)
    picture = right_half(gist_picture(energies, (8, 8, 8, 8), image))
    windows = picture.reshape(4, ROSETTE_PIXELS, 4, ROSETTE_PIXELS).mean(axis=(1, 3))
    assert np.unravel_index(windows.argmax(), windows.shape) == (3, 0)


def test_sectors_do_not_overlap():
    shapes = sectors((8, 6, 1), 64)
    assert shapes.shape == (15, 64, 64)
    assert shapes.sum(axis=0).max() <= 1
    assert (shapes.max(axis=(1, 2)) == 1).all()


def test_constant_image_gives_a_dark_rosette():
    picture = gist_picture(np.zeros((4, 2, 2)), (4,), np.full((16, 16), 9, np.uint8))
    assert picture.shape == (2 * ROSETTE_PIXELS, 4 * ROSETTE_PIXELS + GAP_PIXELS, 3)
    assert right_half(picture).max() < 100
