"""The bank is the formula of docs/gist.md, in the order of the descriptor, and its picture shows it."""

import numpy as np
import pytest

import imgtool
from imgtool.errors import ParameterError
from imgtool.features.drawing import bank_picture
from imgtool.image.sheet import SHEET_PIXELS, fitted, panel_pixels


@pytest.mark.parametrize(("size", "orientations"), [(16, (3, 2)), (17, (4,)), (32, (8, 8, 4))])
def test_each_filter_is_the_formula(size, orientations):
    bank, side = imgtool.gist_filters(size=size, orientations=orientations), size + 64
    assert bank.shape == (sum(orientations), side, side)
    filters = [(i, j, count) for i, count in enumerate(orientations) for j in range(count)]
    rng = np.random.default_rng(0)
    for (i, j, count), passes in zip(filters, bank, strict=True):
        for y, x in rng.integers(0, side, (20, 2)):
            fx, fy = int(x) - side // 2, int(y) - side // 2
            angle = (np.arctan2(fy, fx) + np.pi * j / count) % (2 * np.pi)
            angle -= 2 * np.pi * (angle > np.pi)
            radius = np.hypot(fx, fy) / side / (0.3 / 1.85**i)
            expected = np.exp(-3.5 * (radius - 1) ** 2 - 2 * np.pi * 16 * count**2 / 1024 * angle**2)
            np.testing.assert_allclose(passes[y, x], expected, rtol=1e-9, atol=1e-12)


def test_the_filter_that_passes_a_wave_best_is_the_one_that_the_descriptor_finds():
    bank = imgtool.gist_filters(size=64, orientations=(4, 4))
    for number, passes in enumerate(bank):
        y, x = np.array(np.unravel_index(passes.argmax(), passes.shape)) - 64
        rows, columns = np.mgrid[:64, :64]
        wave = 100 + 50 * np.cos(2 * np.pi * (y * rows + x * columns) / 128)
        values = imgtool.gist(wave, size=64, orientations=(4, 4), blocks=1)
        assert values.argmax() == number


def test_the_picture_has_a_panel_for_each_filter_brightest_where_it_passes_most():
    orientations = (4, 2)
    bank = imgtool.gist_filters(size=16, orientations=orientations)
    sheet = bank_picture(bank, orientations)
    above, side = 8 + panel_pixels(3) + 2 * 16 + 8 + 8, panel_pixels(8)  # the row of large panels
    centers = iter(bank)
    for row, count in enumerate(orientations):
        for column in range(count):
            top, left = above + row * (side + 16 + 8), 8 + column * (side + 8)
            panel = sheet[top : top + side, left : left + side].astype(int).max(axis=2)
            expected = fitted(np.rint(255 * next(centers)).astype(np.uint8), side)
            np.testing.assert_allclose(panel, expected, atol=1)
    assert sheet.shape[1] <= SHEET_PIXELS


@pytest.mark.parametrize("wrong", [{"size": 0}, {"orientations": ()}, {"orientations": (0,)}, {"size": 4000}])
def test_filters_that_there_are_not_are_refused(wrong):
    with pytest.raises(ParameterError):
        imgtool.gist_filters(**wrong)
