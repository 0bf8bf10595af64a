"""Reading: every format and depth comes back as it was written, odd files come right or are refused."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import probe, read
from imgtool.image.codecs.orientation import upright
from imgtool.image.write import CAPACITY, encode

LOSSLESS = [
    (name, dtype, channels)
    for name, (types, counts) in CAPACITY.items()
    for dtype in types
    for channels in counts
    if name not in ("jpeg", "webp")
]


def picture(dtype, channels, shape=(23, 31), seed=0):
    rng = np.random.default_rng(seed)
    size = shape + ((channels,) if channels > 1 else ())
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(size).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, size, dtype=dtype, endpoint=True)


@pytest.mark.parametrize(("name", "dtype", "channels"), LOSSLESS)
def test_lossless_formats_give_back_what_was_written(name, dtype, channels):
    image = picture(dtype, channels, (40, 35))
    data = encode(image, name)
    back = read(data)
    np.testing.assert_array_equal(back, image)
    assert back.dtype == image.dtype
    header = probe(data)
    assert (header.height, header.width, header.channels, header.dtype) == (40, 35, channels, image.dtype.name)


@pytest.mark.parametrize(("name", "channels"), [("jpeg", 1), ("jpeg", 3), ("webp", 3), ("webp", 4)])
def test_lossy_formats_come_close(name, channels):
    y, x = np.mgrid[:40, :60]
    planes = np.stack([x * 4, y * 6, x * 2 + y * 3, 255 - x * 4], axis=2)[:, :, :channels].astype(np.uint8)
    image = planes[:, :, 0] if channels == 1 else planes
    back = read(encode(image, name, quality=95))
    back = back[:, :, 0] if channels == 1 and back.ndim == 3 else back
    assert np.abs(back.astype(int) - image).mean() < 3


@pytest.mark.parametrize("source", [str, Path, lambda path: path.read_bytes(), lambda path: path.open("rb")])
def test_paths_bytes_and_files_are_one(tmp_path, source):
    image = picture("uint8", 3)
    (tmp_path / "a.ppm").write_bytes(encode(image, "ppm"))
    given_source = source(tmp_path / "a.ppm")
    np.testing.assert_array_equal(read(given_source), image)
    if isinstance(given_source, io.IOBase):
        given_source.close()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "webp"])
def test_orientation_is_applied(name, orientation):
    stored = np.zeros((16, 24), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    if name == "tiff":
        tifffile.imwrite(stream, stored, extratags=[(274, 3, 1, orientation, True)], metadata=None)
    else:
        Image.fromarray(stored).convert("RGB").save(stream, name, exif=exif, quality=95)
    back = read(stream.getvalue())
    back = back if back.ndim == 2 else back[:, :, 0]
    np.testing.assert_array_equal(back > 127, upright(stored, orientation) > 127)
    assert probe(stream.getvalue()).orientation == orientation


def test_upright_is_what_exif_says():
    corner = np.array([[1, 2, 3], [4, 5, 6]])  # as stored; where row 0, column 0 goes, after CIPA DC-008
    expected = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    for orientation, (row, column) in expected.items():
        assert upright(corner, orientation)[row, column] == 1
        assert upright(corner, orientation).shape == ((2, 3) if orientation < 5 else (3, 2))


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_an_image_or_one_error(data):
    for start in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM",
        b"II*\x00",
        b"P5\n",
        b"P7\n",
        b"\x93NUMPY",
    ):
        with contextlib.suppress(ImageError):  # any other exception fails the test
            assert read(start + data, max_pixels=10_000).size <= 40_000


def test_palette_and_transparent_color():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=1)
    np.testing.assert_array_equal(read(stream.getvalue()), [[[255, 0, 0, 255], [0, 255, 0, 0]]])


def gif(pixels, palette, *, canvas, left=0, top=0, key=None):
    """Return a GIF whose only frame holds these indices at (left, top) of a canvas (width, height)."""
    image = Image.fromarray(pixels.astype(np.uint8), "P")
    image.putpalette(bytes(palette))
    stream = io.BytesIO()
    image.save(stream, "GIF", optimize=False, **({} if key is None else {"transparency": key}))
    data = bytearray(stream.getvalue())
    data[6:10] = struct.pack("<HH", *canvas)
    descriptor = data.index(b",", 13 + 3 * (2 << (data[10] & 7)))
    data[descriptor + 1 : descriptor + 5] = struct.pack("<HH", left, top)
    return bytes(data)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("key", [None, 1])
def test_gif_frame_is_shown_on_its_canvas(gray, key):
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    palette = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3] if gray else [9, 8, 7, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    data = gif(indices, palette, canvas=(6, 5), left=2, top=1, key=key)
    colors = np.array(palette).reshape(-1, 3)
    expected = np.zeros((5, 6, 4), int)
    if key is None:
        expected[:] = [*colors[0], 255]  # the background color
    expected[1:3, 2:5, :3] = colors[indices]
    expected[1:3, 2:5, 3] = 255 if key is None else np.where(indices == key, 0, 255)
    image = read(data)
    assert probe(data).channels == (1 if image.ndim == 2 else image.shape[2])
    found = rgba(image)
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    np.testing.assert_array_equal(found[found[..., 3] > 0], expected[expected[..., 3] > 0])


def rgba(image):
    """Return any uint8 image as RGBA."""
    planes = image[:, :, None] if image.ndim == 2 else image
    color, alpha = (planes[:, :, :-1], planes[:, :, -1:]) if planes.shape[2] in (2, 4) else (planes, None)
    color = np.repeat(color, 3, axis=2) if color.shape[2] == 1 else color
    return np.dstack([color, np.full_like(color[:, :, :1], 255) if alpha is None else alpha])


def test_gif_frame_that_reaches_past_its_canvas_makes_it_larger():
    data = gif(np.ones((4, 7)), [0, 0, 0, 5, 6, 7], canvas=(2, 2), left=1, top=3)
    assert read(data).shape[:2] == (7, 8)
    assert (probe(data).height, probe(data).width) == (7, 8)


@pytest.mark.parametrize("rest", [b"", b"\xf0\0\0", b"\xf0\0\0" + bytes(6) + b"!\xf9\4", b"\xf0\0\0" + bytes(6) + b";"])
def test_gif_without_a_frame_is_refused(rest):
    with pytest.raises(ImageError, match=r"header|no frame"):
        read(b"GIF89a" + struct.pack("<HH", 3, 3) + rest)


def test_gif_whose_frame_is_far_larger_than_its_canvas_is_refused_without_allocating_it():
    frame = b"," + struct.pack("<HHHH", 60000, 60000, 5000, 5000) + b"\x00\x02\x02\x44\x01\x00;"
    data = b"GIF89a" + struct.pack("<HH", 16, 16) + b"\xf0\x00\x00" + bytes(6) + frame
    with pytest.raises(ImageError, match="65000x65000 pixels"):
        read(data)
