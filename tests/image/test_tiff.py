"""TIFF: every way to lay down samples gives them back; what they mean; what a strip may hold."""

import io
import lzma
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import probe, read

NONE, LZW, ADOBE_DEFLATE, PACKBITS, DEFLATE, LZMA = 1, 5, 8, 32773, 32946, 34925
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def file(strips, order, entries):
    """Return a TIFF of these strips or tiles; entries: tag -> number or numbers."""
    offsets, data = [], b""
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip
    tiled = 322 in entries
    entries = {**entries, (324 if tiled else 273): offsets, (325 if tiled else 279): list(map(len, strips))}
    directory, tail = 8 + len(data), b""
    place = directory + 2 + 12 * len(entries) + 4
    head = struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        kind = "H" if tag in (258, 320, 338, 339, 530) else "I"
        body = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        head += struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(numbers))
        if len(body) <= 4:
            head += body.ljust(4, b"\0")
        else:
            head += struct.pack(f"{order}I", place + len(tail))
            tail += body + bytes(len(body) % 2)
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, directory) + data + head + bytes(4) + tail


def lzw(data):
    """Encode without any compression: codes of 9 bits, cleared before they would grow."""
    codes = []
    for begin in range(0, max(1, len(data)), 200):
        codes += [256, *data[begin : begin + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data):
    return b"".join(bytes([0, byte]) if n % 3 else bytes([128, 0, byte]) for n, byte in enumerate(data))


COMPRESS = {NONE: bytes, LZW: lzw, ADOBE_DEFLATE: zlib.compress, PACKBITS: packbits, DEFLATE: zlib.compress,
            LZMA: lzma.compress}  # fmt: skip


def predicted(block, predictor):
    """Return the bytes of samples (rows, columns, count) after prediction; the block is in the file's byte order."""
    if predictor == 2:
        whole = block.view(block.dtype.str.replace("f", "u").replace("i", "u"))
        native = whole.astype(whole.dtype.newbyteorder("="))
        return np.diff(native, axis=1, prepend=np.zeros_like(native[:, :1])).astype(whole.dtype).tobytes()
    rows, columns, count = block.shape
    planes = block.astype(block.dtype.newbyteorder(">")).view(np.uint8).reshape(rows, columns * count, -1)
    line = planes.transpose(0, 2, 1).reshape(rows, -1, count)
    return np.diff(line, axis=1, prepend=np.zeros_like(line[:, :1])).tobytes()


@st.composite
def layouts(draw):
    """Draw samples, and the file that holds them in some layout."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    count = draw(st.sampled_from([1, 2, 3, 4, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = rng.integers(0, 100, (height, width, count)).astype(dtype)
    if dtype.itemsize > 1:
        image = image * dtype.type(113)
    order, planar = draw(st.sampled_from("<>")), draw(st.booleans()) and count > 1
    compression = draw(st.sampled_from(sorted(COMPRESS)))
    allowed = [1] + [2] * (dtype != "f2") + [3] * (dtype.kind == "f")
    predictor = draw(st.sampled_from(allowed if compression not in (NONE, PACKBITS) else [1]))
    tile = draw(st.sampled_from([None, (16, 16), (16, 32), (48, 16)]))
    rows, columns = tile or (draw(st.integers(1, height)), width)
    strips = []
    for plane in np.moveaxis(image, 2, 0)[..., None] if planar else [image]:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                block = plane[top : top + rows, left : left + columns].astype(dtype.newbyteorder(order))
                if tile:
                    space = ((0, rows - block.shape[0]), (0, columns - block.shape[1]), (0, 0))
                    block = np.pad(block, space).astype(block.dtype)
                raw = block.tobytes() if predictor == 1 else predicted(block, predictor)
                strips.append(COMPRESS[compression](raw))
    fill_order = draw(st.sampled_from([1, 2]))
    strips = [strip.translate(REVERSED) for strip in strips] if fill_order == 2 else strips
    alpha = {} if count in (1, 3) else {338: [2] + [0] * (count == 5)}
    entries = {256: width, 257: height, 258: [dtype.itemsize * 8] * count, 259: compression, 266: fill_order, **alpha}
    entries |= {262: RGB if count >= 3 else BLACK_IS_ZERO, 277: count, 284: 2 if planar else 1, 317: predictor}
    entries |= {322: columns, 323: rows} if tile else {278: rows}
    entries[339] = [{"u": 1, "i": 2, "f": 3}[dtype.kind]] * count
    return image, file(strips, order, entries)


@given(layouts())
def test_samples_come_back_from_every_layout(case):
    image, data = case
    shown = image[:, :, :4] if image.shape[2] > 4 else image
    back = read(data)
    assert back.dtype == (np.float32 if image.dtype == np.float16 else image.dtype)
    np.testing.assert_array_equal(back.reshape(shown.shape), shown)
    header = probe(data)
    assert (header.height, header.width, header.channels, header.dtype) == (*shown.shape, back.dtype.name)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15])
@pytest.mark.parametrize("compression", [NONE, LZW, ADOBE_DEFLATE, PACKBITS])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_odd_depths_are_scaled_to_all_of_8_or_16_bits(bits, compression, tile):
    top = 255 if bits < 8 else 65535
    for count in (1, 3):
        values = np.random.default_rng(bits).integers(0, 1 << bits, (21, 13, count))
        rows, columns = tile or (4, 13)
        padded = np.pad(values, ((0, -21 % rows), (0, columns - 13), (0, 0)))
        single = (padded[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        packed = np.packbits(single.reshape(len(padded), -1).astype(np.uint8), axis=1)
        packed = packed if tile else packed[:21]
        strips = [COMPRESS[compression](packed[top_ : top_ + rows].tobytes()) for top_ in range(0, 21, rows)]
        entries = {256: 13, 257: 21, 258: [bits] * count, 259: compression, 262: RGB if count == 3 else 1, 277: count}
        data = file(strips, "<", entries | ({322: columns, 323: rows} if tile else {278: rows}))
        expected = (values * top + ((1 << bits) - 1) // 2) // ((1 << bits) - 1)
        np.testing.assert_array_equal(read(data).reshape(values.shape), expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [17, 24, 31])
def test_integers_between_16_and_32_bits_are_numbers(bits, order):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (3, 8))
    single = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(single.reshape(3, -1).astype(np.uint8), axis=1)
    if bits == 24 and order == "<":  # whole bytes follow the order of the file
        packed = packed.reshape(3, -1, 3)[:, :, ::-1]
    data = file([packed.tobytes()], order, {256: 8, 257: 3, 258: bits, 259: 1, 262: 1, 277: 1, 278: 3})
    np.testing.assert_array_equal(read(data), values)


def plain(image, photometric, **entries):
    """Return an uncompressed TIFF of 8 or 16 bits."""
    height, width, count = image.shape
    tags = {256: width, 257: height, 258: [image.itemsize * 8] * count, 259: 1, 262: photometric, 277: count}
    tags |= {278: height, **{int(tag.strip("t")): value for tag, value in entries.items()}}
    return file([image.tobytes()], "<", tags)


NOISE = np.random.default_rng(5).integers(0, 256, (9, 10, 4), dtype=np.uint8)


def test_white_may_be_zero():
    np.testing.assert_array_equal(read(plain(NOISE[:, :, :1], WHITE_IS_ZERO)), 255 - NOISE[:, :, 0])
    deep = NOISE[:, :, :1].astype(np.uint16) * 257
    np.testing.assert_array_equal(read(plain(deep, WHITE_IS_ZERO)), 65535 - deep[:, :, 0])


@pytest.mark.parametrize("scale", [1, 257])
def test_cmyk_becomes_rgb_by_the_plain_formula(scale):
    inks = np.array([[[0, 255, 0, 0], [0, 0, 0, 128]]], np.uint16) * scale
    expected = [[[255, 0, 255], [127, 127, 127]]]
    np.testing.assert_array_equal(
        read(plain(inks.astype("u1" if scale == 1 else "u2"), CMYK)), np.array(expected) * scale
    )


def test_palette_with_alpha_and_with_samples_that_mean_nothing():
    colors = np.random.default_rng(6).integers(0, 256, (3, 256))
    indices = NOISE[:, :, :2]
    table = [int(value) * 257 for value in colors.reshape(-1)]
    shown = colors.T[indices[:, :, 0]]
    np.testing.assert_array_equal(read(plain(indices, PALETTE, t320=table, t338=0)), shown)
    np.testing.assert_array_equal(
        read(plain(indices, PALETTE, t320=table, t338=2)), np.dstack([shown, indices[:, :, 1]])
    )
    small = [int(value) for value in colors.reshape(-1)]
    np.testing.assert_array_equal(read(plain(indices[:, :, :1].copy(), PALETTE, t320=small)), shown)


def test_associated_alpha_is_divided_out():
    stored = np.array([[[50, 100, 20, 100], [0, 0, 0, 0], [7, 8, 9, 255]]], np.uint8)
    expected = [[[128, 255, 51, 100], [0, 0, 0, 0], [7, 8, 9, 255]]]
    np.testing.assert_array_equal(read(plain(stored, RGB, t338=1)), expected)


def test_sample_that_is_not_said_to_be_alpha_is_none():
    np.testing.assert_array_equal(read(plain(NOISE, RGB, t338=0)), NOISE[:, :, :3])
    np.testing.assert_array_equal(read(plain(NOISE, RGB)), NOISE[:, :, :3])


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (1, 2)])
def test_subsampled_ycbcr_equals_pillows(across, down):
    height, width = 11, 14
    rng = np.random.default_rng(across + down)
    units = (-(-height // down), -(-width // across))
    blocks = rng.integers(0, 256, (*units, across * down + 2), dtype=np.uint8)
    entries = {256: width, 257: height, 258: [8] * 3, 259: 1, 262: YCBCR, 277: 3, 278: height, 530: [across, down]}
    luma = blocks[:, :, :-2].reshape(*units, down, across).transpose(0, 2, 1, 3).reshape(units[0] * down, -1)
    chroma = blocks[:, :, -2:].repeat(down, axis=0).repeat(across, axis=1)
    ycbcr = np.dstack([luma, chroma])[:height, :width]
    expected = np.asarray(Image.fromarray(np.ascontiguousarray(ycbcr), "YCbCr").convert("RGB")).astype(int)
    assert np.abs(read(file([blocks.tobytes()], "<", entries)) - expected).max() <= 1


def test_cielab_is_scikit_images():
    peer = pytest.importorskip("skimage.color", reason="scikit-image is the reference")
    stored = NOISE[:, :, :3] // np.uint8(3) + np.array([80, 0, 200], np.uint8)  # a* 0 to 85, b* -56 to 29
    numbers = np.dstack([stored[:, :, :1] / 2.55, stored[:, :, 1:].view(np.int8)]).astype(float)
    expected = np.clip(peer.lab2rgb(numbers), 0, 1) * 255
    assert np.abs(read(plain(stored, CIELAB)) - expected).max() <= 0.51


@pytest.mark.parametrize("name", ["group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw"])
def test_bilevel_compressions(name):
    bits = np.kron(np.random.default_rng(7).integers(0, 2, (5, 9)), np.ones((4, 3), int)).astype(bool)
    stream = io.BytesIO()
    Image.fromarray(bits).save(stream, "TIFF", compression=name)
    np.testing.assert_array_equal(read(stream.getvalue()), bits * np.uint8(255))


@pytest.mark.parametrize("name", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_compressions_of_libtiff(name):
    stream = io.BytesIO()
    Image.fromarray(NOISE).save(stream, "TIFF", compression=name)
    np.testing.assert_array_equal(read(stream.getvalue()), NOISE)


@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_strips_equal_pillows(gray):
    blocks = np.kron(NOISE[:, :, 0] if gray else NOISE[:, :, :3], np.ones((8, 8) if gray else (8, 8, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(blocks).save(stream, "TIFF", compression="jpeg", quality=95)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        expected = np.asarray(image).astype(int)
    assert np.abs(read(stream.getvalue()) - expected).max() <= 2


def test_strips_that_are_files_of_their_own():
    from imgtool.image import encode

    image = NOISE[:, :, :3]
    webp = io.BytesIO()
    Image.fromarray(image).save(webp, "WEBP", lossless=True)
    tags = {256: 10, 257: 9, 258: [8] * 3, 262: RGB, 277: 3, 278: 9}
    for kind, strip in ((50001, webp.getvalue()), (34933, encode(image, "png")), (34712, encode(image, "jp2"))):
        np.testing.assert_array_equal(read(file([strip], "<", {**tags, 259: kind})), image)
        with pytest.raises(ImageError):
            read(file([strip[: len(strip) // 2]], "<", {**tags, 259: kind}))


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("uint16", 3), ("float32", 1), ("uint8", 3)])
def test_tiff_with_lzw(dtype, channels):
    image = np.random.default_rng(8).integers(0, 256, (23, 31, channels)).astype(dtype)
    image = image[:, :, 0] if channels == 1 else image
    stored = image[:, :, ::-1] if channels == 3 else image
    _, data = cv2.imencode(".tif", np.ascontiguousarray(stored), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(read(data.tobytes()), image)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"t259": 34887}, "LERC"), ({"t262": 32845}, "photometric"), ({"t262": 4}, "photometric"),
        ({"t339": 6}, "samples of 8 bits"), ({"t258": 64, "t339": 6}, "samples of 64 bits"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(entries, reason):
    with pytest.raises(ImageError, match=reason):
        read(plain(NOISE[:, :, :1].copy(), BLACK_IS_ZERO, **entries))


def test_predictor_that_is_not_read_is_named():
    tags = {256: 10, 257: 9, 258: 8, 259: LZW, 262: 1, 277: 1, 278: 9, 317: 7}
    with pytest.raises(ImageError, match="the predictor 7"):
        read(file([lzw(NOISE[:, :, 0].tobytes())], "<", tags))


def test_predictor_is_not_heeded_where_nothing_is_predicted():
    np.testing.assert_array_equal(read(plain(NOISE[:, :, :3].copy(), RGB, t317=2)), NOISE[:, :, :3])


def test_old_style_jpeg_equals_the_jpeg_inside():
    blocks = np.kron(NOISE[:, :, :3], np.ones((8, 8, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(blocks).save(stream, "JPEG", quality=95, subsampling=0)
    jpeg = stream.getvalue()
    tags = {256: 80, 257: 72, 258: [8] * 3, 259: 6, 262: YCBCR, 277: 3, 278: 72, 512: 1, 513: 8, 514: len(jpeg)}
    np.testing.assert_array_equal(read(file([jpeg], "<", {**tags, 530: [1, 1]})), read(jpeg))


def test_samples_without_photometry_are_refused():
    tags = {256: 10, 257: 9, 258: 8, 259: 1, 277: 1, 278: 9}
    with pytest.raises(ImageError, match="photometric"):
        read(file([NOISE[:, :, 0].tobytes()], "<", tags))


def test_cut_strip_is_left_blank_when_allowed():
    tags = {256: 10, 257: 9, 258: 8, 259: 8, 262: 1, 277: 1, 278: 3}
    strips = [zlib.compress(NOISE[top : top + 3, :, 0].tobytes()) for top in (0, 3, 6)]
    strips[1] = strips[1][:20]
    data = file(strips, "<", tags)
    with pytest.raises(ImageError, match="cut"):
        read(data)
    shown = read(data, allow_truncated=True)
    np.testing.assert_array_equal(shown[[0, 1, 2, 6, 7, 8]], NOISE[[0, 1, 2, 6, 7, 8], :, 0])


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
