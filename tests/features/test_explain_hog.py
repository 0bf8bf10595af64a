"""A cell is explained by the numbers of scikit-image's HoG, and its votes by a count pixel by pixel."""

import math

import numpy as np
import pytest
import skimage.feature
from hypothesis import given, settings
from hypothesis import strategies as st

import imgtool
from imgtool.errors import ImageError, ParameterError


def random_image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def counted(image, top, left, side, orientations):
    """Return a cell's histogram of a gray image, one vote after the other."""
    votes = [0.0] * orientations
    height, width = image.shape
    values = image.astype(float).tolist()
    for y in range(top, top + side):
        for x in range(left, left + side):
            gx = values[y][x + 1] - values[y][x - 1] if 0 < x < width - 1 else 0.0
            gy = values[y + 1][x] - values[y - 1][x] if 0 < y < height - 1 else 0.0
            angle = math.degrees(math.atan2(gy, gx)) % 180.0
            votes[min(int(angle * orientations / 180), orientations - 1)] += math.hypot(gx, gy)
    return [vote / side**2 for vote in votes]


@given(side=st.integers(3, 9), orientations=st.sampled_from([4, 8, 12]), data=st.data())
@settings(max_examples=30)
def test_votes_are_magnitudes_counted_pixel_by_pixel(side, orientations, data):
    image = random_image(40, 50)
    y, x = (data.draw(st.integers(0, length // side * side - 1)) for length in image.shape)
    found = imgtool.explain_hog(image, x, y, cell=side, orientations=orientations)
    top, left = y // side * side, x // side * side
    assert (found.y, found.x) == ((top, top + side - 1), (left, left + side - 1))
    assert (found.row, found.column) == (y // side, x // side)
    np.testing.assert_allclose(found.votes, counted(image, top, left, side, orientations), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.diff(found.degrees), 180 / orientations)


@pytest.mark.parametrize("norm", ["L1", "L1-sqrt", "L2", "L2-Hys"])
@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_numbers_after_normalization_are_scikit_images(norm, block, channels):
    image = random_image(48, 40, *channels)
    expected = skimage.feature.hog(
        image, pixels_per_cell=(8, 8), cells_per_block=block, block_norm=norm, feature_vector=False,
        channel_axis=-1 if channels else None,
    )  # fmt: skip
    for y, x in ((0, 0), (20, 33), (47, 39)):
        found = imgtool.explain_hog(image, x, y, block=block, norm=norm)
        every = [
            (top, left) for top in range(expected.shape[0]) for left in range(expected.shape[1])
            if top <= found.row < top + block[0] and left <= found.column < left + block[1]
        ]  # fmt: skip
        assert list(found.blocks) == every
        for (top, left), numbers in zip(found.blocks, found.normalized, strict=True):
            own = expected[top, left, found.row - top, found.column - left]
            np.testing.assert_allclose(numbers, own, atol=1e-6)


def test_pixels_that_fill_no_cell_are_refused():
    image = random_image(20, 30)
    imgtool.explain_hog(image, 23, 15)
    for place in ((24, 0), (0, 16), (400, 0)):
        with pytest.raises(ImageError, match="30x20 pixels, of which cells fill 24x16"):
            imgtool.explain_hog(image, *place)
    with pytest.raises(ParameterError, match="y must be at least 0"):
        imgtool.explain_hog(image, 0, -1)
    with pytest.raises(ParameterError, match="did you mean L2"):
        imgtool.explain_hog(image, 0, 0, norm="l2")
