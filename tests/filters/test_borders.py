"""Borders are what SciPy, NumPy, OpenCV and PyTorch do under the names that the table gives."""

import cv2
import numpy as np
import pytest
import scipy.ndimage

from imgtool.filters.borders import BORDERS, border_table, pad

IMAGE = np.random.default_rng(0).random((5, 6))
MARGINS = (2, 3), (4, 1)


@pytest.mark.parametrize("name", BORDERS)
def test_borders_are_those_of_other_libraries(name):
    border, padded = BORDERS[name], pad(IMAGE, *MARGINS, name)
    np.testing.assert_array_equal(padded, np.pad(IMAGE, MARGINS, mode=border.numpy))
    np.testing.assert_array_equal(
        padded, cv2.copyMakeBorder(IMAGE, *MARGINS[0], *MARGINS[1], getattr(cv2, f"BORDER_{border.opencv}"))
    )
    for row, column in np.ndindex(5, 5):
        tap = np.zeros((5, 5))
        tap[row, column] = 1
        shifted = scipy.ndimage.correlate(IMAGE, tap, mode=border.scipy)
        np.testing.assert_array_equal(shifted, pad(IMAGE, (2, 2), (2, 2), name)[row : row + 5, column : column + 6])


@pytest.mark.parametrize("name", [name for name, border in BORDERS.items() if border.torch])
def test_borders_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    padding = (*MARGINS[1], *MARGINS[0])
    theirs = torch.nn.functional.pad(torch.from_numpy(IMAGE)[None, None], padding, mode=BORDERS[name].torch)
    np.testing.assert_array_equal(pad(IMAGE, *MARGINS, name), theirs[0, 0].numpy())


@pytest.mark.parametrize("name", BORDERS)
def test_letters_say_what_the_border_does(name):
    before, row, after = BORDERS[name].letters.split("|")
    values = np.array([[ord(letter) for letter in row]], np.uint8)
    padded = pad(values, (0, 0), (len(before), len(after)), name)[0]
    assert "".join(chr(value) if value else "0" for value in padded) == before + row + after


def test_the_table_fits_a_terminal_of_80_columns():
    lines = border_table().splitlines()
    assert max(map(len, lines)) <= 78
    assert [line.split()[0] for line in lines[1:]] == list(BORDERS)
    assert all(border.letters in border_table() for border in BORDERS.values())
