"""Sheets hold what they say: padded images are NumPy's, results the filter's, colors those of directions."""

import numpy as np
import pytest

import imgtool
from imgtool.errors import ParameterError
from imgtool.filters.borders import BORDERS
from imgtool.filters.drawing import FRAME_PIXELS, color_wheel, kernel_picture, padded_picture, signed_picture
from imgtool.image.sheet import FRAME_COLOR, GAP_PIXELS, SHEET_PIXELS, Panel, fitted, panel_pixels, panel_sheet

SIDE = panel_pixels(5)


def random_image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def holds(sheet, picture):
    """Tell whether a sheet shows a picture somewhere."""
    height, width = picture.shape[:2]
    places = (0, 0), (height - 1, width - 1), (height // 2, width // 2), (height // 3, width - 1)
    rows, columns = len(sheet) - height + 1, sheet.shape[1] - width + 1
    fits = [(sheet[y : y + rows, x : x + columns] == picture[y, x]).all(axis=2) for y, x in places]
    corners = np.argwhere(np.logical_and.reduce(fits))
    return any(np.array_equal(sheet[y : y + height, x : x + width], picture) for y, x in corners)


def as_panel(image, side=SIDE):
    return fitted(np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image, side)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(10, 10), (7, 12), (10, 10, 3)])
def test_a_padded_image_is_numpys_but_for_the_frame_which_lies_outside(border, shape):
    image, down, across = random_image(*shape), 4, 5
    picture = padded_picture(image, border, 220, reach=(down, across))
    margins = [(down, down), (across, across)] + [(0, 0)] * (len(shape) - 2)
    expected = as_panel(np.pad(image, margins, mode=BORDERS[border].numpy), 220)
    assert picture.shape == expected.shape
    changed = (picture != expected).any(axis=2)
    assert (picture[changed] == FRAME_COLOR).all()
    scale = len(picture) // (shape[0] + 2 * down)
    top, left, bottom, right = down * scale, across * scale, (down + shape[0]) * scale, (across + shape[1]) * scale
    assert not changed[top:bottom, left:right].any()
    ring = np.ones_like(changed)
    ring[top:bottom, left:right] = False
    ring[: top - FRAME_PIXELS] = ring[bottom + FRAME_PIXELS :] = False
    ring[:, : left - FRAME_PIXELS] = ring[:, right + FRAME_PIXELS :] = False
    assert (picture[ring] == FRAME_COLOR).all()
    np.testing.assert_array_equal(changed & ~ring, False)


@pytest.mark.parametrize("shape", [(9, 10), (9, 10, 3)])
@pytest.mark.parametrize("kernel", ["box", "sobel-x", "median", [[1, 2], [3, -6]]])
def test_a_sheet_of_borders_holds_each_padded_image_and_each_result(shape, kernel):
    image = random_image(*shape)
    sheet = imgtool.filter_sheet(image, kernel)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] <= SHEET_PIXELS
    for border in BORDERS:
        assert holds(sheet, padded_picture(image, border, SIDE, reach=(1, 1)))
        assert holds(sheet, as_panel(imgtool.filter_image(image, kernel, border=border)))


def test_a_border_of_another_value_is_seen_in_its_panel():
    image = random_image(9, 9)
    sheet = imgtool.filter_sheet(image, "box", border_value=200)
    assert holds(sheet, padded_picture(image, "clip", SIDE, reach=(1, 1), value=200))
    assert holds(sheet, as_panel(imgtool.filter_image(image, "box", border="clip", border_value=200)))


@pytest.mark.parametrize("count", [2, 4, 6])
def test_a_sheet_of_kernels_holds_the_image_each_kernel_and_each_result(count):
    image, names = random_image(20, 30), ["box", "gaussian", "sobel-x", "median", "gabor", "laplacian-8"][:count]
    sheet = imgtool.filter_sheet(image, names, border="copy", sigma=2, size=5)
    lines = -(-(count + 1) // 5)
    side = panel_pixels(-(-(count + 1) // lines))
    assert holds(sheet, as_panel(image, side))
    for name in names:
        own = {key: value for key, value in (("sigma", 2), ("size", 5)) if key in PARAMETERS[name]}
        assert holds(sheet, as_panel(imgtool.filter_image(image, name, border="copy", **own), side))
        if name != "median":
            assert holds(sheet, kernel_picture(imgtool.kernel(name, **own), side))


PARAMETERS = {"box": {"size"}, "gaussian": {"sigma"}, "sobel-x": {"size"}, "median": {"size"}, "gabor": {"sigma"},
              "laplacian-8": set()}  # fmt: skip


@pytest.mark.parametrize(
    ("kernel", "settings", "said"),
    [
        ("box", {"border": "wrap"}, "all borders, or several kernels"), (["box", "log"], {}, "takes one kernel, got 2"),
        (["box", "bxo"], {"border": "wrap"}, "did you mean box"), ("bxo", {}, "did you mean box"),
        (["box", "median"], {"border": "wrap", "sigma": 2}, "sigma goes with none"), ("box", {"range": "raw"}, "raw"),
        ("box", {"sigma": 2}, "sigma does not go with kernel box"), (["box", "log"], {"border": "wrpa"}, "wrap"),
    ],
)  # fmt: skip
def test_what_no_sheet_shows_is_refused_before_the_image_is_looked_at(kernel, settings, said):
    with pytest.raises(ParameterError, match=said):
        imgtool.filter_sheet(None, kernel, **settings)


def test_transparent_images_are_seen_on_their_background():
    image = random_image(9, 9, 4)
    flat = imgtool.flatten(image, "blue")
    assert np.array_equal(imgtool.filter_sheet(image, "box", background="blue"), imgtool.filter_sheet(flat, "box"))
    assert np.array_equal(imgtool.gradient_sheet(image, background="blue"), imgtool.gradient_sheet(flat))


def test_shades_of_signed_numbers_are_in_proportion_and_0_is_mid_gray():
    picture, top = signed_picture(np.array([[-2.0, 0.0, 1.0, 4.0]]))
    assert top == 4
    assert picture[0, :, 0].tolist() == [64, 128, 159, 255]
    assert signed_picture(np.zeros((2, 2)))[0].tolist() == [[[128] * 3] * 2] * 2


@pytest.mark.parametrize("show", ["sobel", "gaussian"])
def test_a_sheet_of_a_gradient_holds_its_numbers_as_shades_and_hues(show):
    image = random_image(12, 10)
    gx, gy = imgtool.gradient(image, operator=show)
    sheet, side = imgtool.gradient_sheet(image, operator=show), panel_pixels(3)
    length, angle = imgtool.magnitude(gx, gy), imgtool.phase(gx, gy)
    for numbers in (gx, gy):
        assert holds(sheet, fitted(signed_picture(numbers)[0], side))
    assert holds(sheet, as_panel(np.rint(length / length.max() * 255).astype(np.uint8), side))
    hsv = np.stack([angle / (2 * np.pi) % 1, np.ones_like(angle), np.ones_like(angle)], axis=2)
    assert holds(sheet, fitted(np.rint(imgtool.convert(hsv, "rgb", source="hsv") * 255).astype(np.uint8), side))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_leave_the_rest_of_a_sheet(value):
    image = np.random.default_rng(0).random((20, 20))
    sheet, side = imgtool.gradient_sheet(image), panel_pixels(3)
    image[3, 4] = value
    odd = imgtool.gradient_sheet(image)
    below = slice(8 + side + 16 + 8 + side // 2, None)  # the lower half of the phase
    np.testing.assert_array_equal(odd[below, side + 16 : 2 * side], sheet[below, side + 16 : 2 * side])
    assert imgtool.filter_sheet(image, "box").dtype == np.uint8


def test_where_there_is_no_gradient_the_phase_is_black():
    flat = np.full((9, 9), 77, np.uint8)
    sheet = imgtool.gradient_sheet(flat)
    assert holds(sheet, np.zeros((234, 234, 3), np.uint8))


def test_the_color_wheel_has_the_colors_of_the_phases_that_it_names():
    wheel = color_wheel(201)
    for degrees in (10, 45, 100, 170, -30, -120):
        x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        hue = imgtool.convert(wheel[round(100 + 60 * y) :, round(100 + 60 * x) :][:1, :1], "hsv")[0, 0, 0]
        assert abs((hue * 360 - degrees + 180) % 360 - 180) < 2
    assert wheel[0, 0].tolist() == [255] * 3


def test_panels_stand_in_rows_and_columns_with_white_between_them():
    black, gray = np.zeros((20, 40, 3), np.uint8), np.full((30, 60, 3), 90, np.uint8)
    sheet = panel_sheet([[Panel(black, "a"), Panel(gray)], [None, Panel(black, "two\nlines")]])
    assert sheet.shape[1] == 40 + 60 + 3 * GAP_PIXELS
    ys, xs = np.nonzero((sheet == 90).all(axis=2))
    assert (ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1) == (GAP_PIXELS, 40 + 2 * GAP_PIXELS, 30, 60)
    assert holds(sheet[:, : 40 + GAP_PIXELS], black)
    assert holds(sheet[40:, 40 + GAP_PIXELS :], black)
    assert (sheet[55:, : 40 + GAP_PIXELS] == 255).all()


@pytest.mark.parametrize(
    ("shape", "expected"), [((10, 20), (40, 80)), ((200, 100), (90, 45)), ((90, 90), (90, 90)), ((20, 30), (60, 90))]
)
def test_pictures_are_fitted_small_ones_by_whole_numbers(shape, expected):
    assert fitted(random_image(*shape), 90).shape == expected


@pytest.mark.parametrize("name", ["sobel-x", "box", "gaussian", "laplacian-8"])
def test_a_tap_has_a_square_whose_shade_is_its_share_of_the_largest(name):
    taps = imgtool.kernel(name)
    picture = kernel_picture(taps, 180)
    cell = len(picture) // len(taps)
    seen = picture[cell // 4 :: cell, cell // 4 :: cell, 0]  # beside lines and numbers
    np.testing.assert_allclose(seen, 127.5 + 127.5 * taps / np.abs(taps).max(), atol=0.51)
