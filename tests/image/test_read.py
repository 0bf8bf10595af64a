"""Reading: every format and depth comes back as it was written, odd files come right or are refused."""

import contextlib
import io
import lzma
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import probe, read
from imgtool.image.orientation import upright
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
@settings(max_examples=200, deadline=None)
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


def test_cmyk_becomes_rgb_by_the_plain_formula():
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, np.array([[[0, 255, 0, 0], [0, 0, 0, 128]]], np.uint8), photometric="separated", metadata=None
    )
    np.testing.assert_array_equal(read(stream.getvalue()), [[[255, 0, 255], [127, 127, 127]]])


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 7, 10, 12, 14])
@pytest.mark.parametrize("compression", [1, 8, 32773])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_of_odd_depths_is_scaled_to_all_of_8_or_16_bits(bits, compression, channels):
    rng = np.random.default_rng(bits)
    height, width, rows = 11, 13, 4
    values = rng.integers(0, 1 << bits, (height, width * channels))
    planes = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(planes.reshape(height, -1).astype(np.uint8), axis=1)
    strips = [packed[begin : begin + rows].tobytes() for begin in range(0, height, rows)]
    if compression == 8:
        strips = [zlib.compress(strip) for strip in strips]
    if compression == 32773:  # runs of one byte each, some as repetitions
        strips = [b"".join(bytes([0, b]) if i % 3 else bytes([128, 0, b]) for i, b in enumerate(s)) for s in strips]
    data, offset = b"", 8
    places = []
    for strip in strips:
        places.append(offset + len(data))
        data += strip
    entries = {
        256: width,
        257: height,
        258: bits,
        259: compression,
        262: 2 if channels == 3 else 1,
        277: channels,
        278: rows,
    }
    directory = offset + len(data)
    count = len(entries) + 2
    tail = directory + 2 + 12 * count + 4
    body = [(tag, struct.pack("<HHII", tag, 4, 1, value)) for tag, value in entries.items()]
    body.append((273, struct.pack("<HHII", 273, 4, len(strips), tail)))
    body.append((279, struct.pack("<HHII", 279, 4, len(strips), tail + 4 * len(strips))))
    file = struct.pack("<2sHI", b"II", 42, directory) + data + struct.pack("<H", count)
    file += b"".join(entry for _, entry in sorted(body)) + bytes(4)
    file += struct.pack(f"<{len(strips)}I", *places) + struct.pack(f"<{len(strips)}I", *map(len, strips))
    top = 255 if bits < 8 else 65535
    expected = (values * top + ((1 << bits) - 1) // 2) // ((1 << bits) - 1)
    shape = (height, width, 3) if channels == 3 else (height, width)
    np.testing.assert_array_equal(read(file), expected.reshape(shape))
    with pytest.raises(ImageError):
        read(file[:60] + file[60:][: len(data) // 2])


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("uint16", 3), ("float32", 1), ("uint8", 3)])
def test_tiff_with_lzw(dtype, channels):
    import cv2

    image = picture(dtype, channels)
    stored = image[:, :, ::-1] if channels == 3 else image
    _, data = cv2.imencode(".tif", np.ascontiguousarray(stored), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(read(data.tobytes()), image)


def bmp(pixels, bits, masks, height=None):
    """A BMP with a V4 header and these masks of red, green, blue, alpha; rows lowest first."""
    rows, columns = pixels.shape
    stored = pixels.astype("<u2" if bits == 16 else "<u4")
    stored = np.pad(stored, ((0, 0), (0, columns * bits // 16 % 2 if bits == 16 else 0)))
    body = stored[::-1].tobytes() if height is None else stored.tobytes()
    info = struct.pack("<IiiHHIIiiII4I", 108, columns, height or rows, 1, bits, 3, len(body), 0, 0, 0, 0, *masks)
    info = info.ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 122 + len(body), 0, 0, 122) + info + body


@pytest.mark.parametrize(
    ("bits", "widths"),
    [
        (16, (5, 5, 5, 0)),
        (16, (5, 6, 5, 0)),
        (16, (4, 4, 4, 4)),
        (16, (2, 3, 1, 0)),
        (32, (10, 10, 10, 2)),
        (32, (8, 8, 8, 8)),
    ],
)
@pytest.mark.parametrize("upside_down", [False, True])
def test_bmp_with_bit_fields_of_any_width(bits, widths, upside_down):
    rng = np.random.default_rng(sum(widths))
    shape, place, pixels, masks, channels = (7, 5), 0, np.zeros((7, 5), np.int64), [], []
    for width in widths:
        values = rng.integers(0, 1 << width, shape)
        masks.append(((1 << width) - 1) << place)
        pixels |= values << place
        place += width
        if width:
            channels.append((values * 255 + ((1 << width) - 1) // 2) // ((1 << width) - 1))
    data = bmp(pixels, bits, masks, height=-7 if upside_down else None)
    np.testing.assert_array_equal(read(data), np.stack(channels, axis=2))
    assert probe(data).channels == len(channels)
    with pytest.raises(ImageError, match="cut"):
        read(data[:-1])
    assert read(data[:-1], allow_truncated=True).shape[:2] == shape


def test_bmp_with_masks_that_mean_nothing_or_two_things_is_refused():
    with pytest.raises(ImageError, match="one bit of alpha"):
        read(bmp(np.zeros((2, 2), np.int64), 16, (0x7C00, 0x3E0, 0x1F, 0x8000)))
    for masks in ((0, 0, 0, 0), (1 << 20, 2, 4, 0), (0b101, 2, 8, 0)):
        with pytest.raises(ImageError, match="mask"):
            read(bmp(np.zeros((2, 2), np.int64), 16, masks))


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


@pytest.mark.parametrize("compress", [zlib.compress, lzma.compress])
def test_tiff_strip_that_holds_far_more_than_its_pixels_is_unpacked_no_further(compress):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((64, 64), np.uint8), compression="zlib", bigtiff=True)
    with tifffile.TiffFile(io.BytesIO(stream.getvalue())) as file:
        kind, offset, count = (file.pages[0].tags[code] for code in ("Compression", "StripOffsets", "StripByteCounts"))
    bomb, crafted = compress(b"\7" * (300 << 20)), bytearray(stream.getvalue())
    struct.pack_into("<H", crafted, kind.valueoffset, 8 if compress == zlib.compress else 34925)
    struct.pack_into("<Q", crafted, offset.valueoffset, len(crafted))
    struct.pack_into({4: "<I", 16: "<Q"}[count.dtype], crafted, count.valueoffset, len(bomb))
    tracemalloc.start()
    image = read(bytes(crafted + bomb))
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    np.testing.assert_array_equal(image, np.full((64, 64), 7))
