"""Rows of uncompressed files are those of the whole image; files written by rows are those written at once."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import ImageError
from imgtool.image import encode, read
from imgtool.image.strips import ROW_FORMATS, NewRows, open_rows
from imgtool.image.write import CAPACITY, storage_type

MANY = 10**9


def example(shape, dtype, seed=0):
    values = np.random.default_rng(seed).random(shape) * 65536
    return values.astype(dtype) if np.dtype(dtype).kind == "u" else (values - 30000).astype(dtype)


CASES = [
    (name, channels, dtype) for name in ROW_FORMATS for dtype in CAPACITY[name][0] for channels in CAPACITY[name][1]
]


@pytest.mark.parametrize(("name", "channels", "dtype"), CASES)
def test_rows_are_those_of_the_whole_image(tmp_path, name, channels, dtype):
    path = tmp_path / "image"
    path.write_bytes(encode(example((23, 7) + ((channels,) if channels > 1 else ()), dtype), name))
    whole = read(path)
    with open_rows(path, max_pixels=MANY) as rows:
        assert rows.shape == whole.shape
        assert rows.dtype == whole.dtype
        for begin, end in [(0, 23), (0, 1), (22, 23), (5, 19), (4, 4)]:
            np.testing.assert_array_equal(rows[begin:end], whole[begin:end])
            assert rows[begin:end].dtype == whole.dtype


@pytest.mark.parametrize(("name", "channels", "dtype"), CASES)
@pytest.mark.parametrize("order", [1, -1])
def test_a_file_written_by_rows_is_the_one_written_at_once(name, channels, dtype, order):
    image = example((23, 7) + ((channels,) if channels > 1 else ()), dtype)
    file = io.BytesIO()
    target = NewRows(file, name, image.shape, storage_type(name, image.shape, image.dtype))
    for begin in range(0, 23, 5)[::order]:
        target[begin : begin + 5] = image[begin : begin + 5]
    assert file.getvalue() == encode(image, name)


@settings(max_examples=60)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 12),
    channels=st.sampled_from([1, 2, 3, 4]),
    dtype=st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    byteorder=st.sampled_from("<>"),
    big=st.booleans(),
    rows_per_strip=st.integers(1, 50),
    cuts=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_any_plain_tiff(tmp_path_factory, height, width, channels, dtype, byteorder, big, rows_per_strip, cuts):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    image = example((height, width) + ((channels,) if channels > 1 else ()), dtype)
    kinds = {"photometric": "rgb" if channels > 2 else "minisblack", "metadata": None}
    kinds |= {"planarconfig": "contig"} if channels > 1 else {}
    kinds |= {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
    tifffile.imwrite(path, image, byteorder=byteorder, bigtiff=big, rowsperstrip=rows_per_strip, **kinds)
    begin, end = sorted(min(cut, height) for cut in cuts)
    with open_rows(path, max_pixels=MANY) as rows:
        np.testing.assert_array_equal(rows[begin:end], image[begin:end])


def tiff(path, **options):
    image = example(options.pop("shape", (20, 20)), options.pop("dtype", "uint8"))
    tifffile.imwrite(path, image, **{"photometric": "minisblack", "metadata": None, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"tile": (16, 16)},
        {"photometric": "miniswhite"},
        {"extratags": [(274, "H", 1, 6, True)]},
        {"shape": (3, 20, 20), "photometric": "rgb", "planarconfig": "separate"},
        {"shape": (20, 20, 4), "photometric": "rgb", "extrasamples": ["assocalpha"]},
        {"shape": (20, 20, 4), "photometric": "rgb", "extrasamples": ["unspecified"]},
        {"shape": (20, 20, 4), "photometric": "separated"},
        {"dtype": "float16"},
    ],
    ids=str,
)
def test_a_tiff_that_is_not_plain_is_left_to_be_read_whole(tmp_path, options):
    tiff(tmp_path / "a.tif", **options)
    assert open_rows(tmp_path / "a.tif", max_pixels=MANY) is None


def test_strips_that_lie_apart_are_left_to_be_read_whole(tmp_path):
    path = tmp_path / "a.tif"
    tiff(path, rowsperstrip=10)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[273].valueoffset
        offsets = file.pages[0].dataoffsets
    struct.pack_into("<II", data, place, *offsets[::-1])
    path.write_bytes(data)
    assert open_rows(path, max_pixels=MANY) is None
    assert read(path).shape == (20, 20)


@pytest.mark.parametrize(
    "content",
    [
        b"P5 2 2 254\n" + bytes(4),
        b"P2 2 2 255\n1 2 3 4",
        b"P4 8 2\n" + bytes(2),
        b"P5 2 2 255\n" + bytes(3),
        b"P5 0 2 255\n",
        b"P5\n#" + b"x" * 100_000 + b"\n2 2 255\n" + bytes(4),
        b"P5\n#" + b"x" * 99_988 + b"\n2 2 255\n" + bytes(4),
        b"",
        b"GIF89a",
        encode(example((9, 9), "uint8"), "png"),
        encode(example((9, 9), "uint16"), "tiff")[:-1],
        encode(example((9, 9), "uint16"), "tiff")[:60],
        encode(example((9, 9), "float32"), "npy")[:-1],
    ],
)
def test_other_files_are_left_to_be_read_whole(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert open_rows(tmp_path / "a", max_pixels=MANY) is None


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(example((9, 8), "float32")),
        np.zeros((9, 8), bool),
        np.zeros((9, 8), np.float16),
        np.zeros((9, 8, 5), np.uint8),
        np.array([[None]]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_left_to_be_read_whole(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert open_rows(tmp_path / "a.npy", max_pixels=MANY) is None


def test_big_endian_arrays(tmp_path):
    image = example((9, 8, 3), ">f8")
    np.save(tmp_path / "a.npy", image)
    with open_rows(tmp_path / "a.npy", max_pixels=MANY) as rows:
        np.testing.assert_array_equal(rows[2:7], image[2:7])
        assert rows[2:7].dtype.isnative


def test_too_many_pixels_are_refused(tmp_path):
    tiff(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="20x20 pixels, more than the 399 that are allowed"):
        open_rows(tmp_path / "a.tif", max_pixels=399)


def test_a_missing_file_is_left_to_whoever_reads_it_whole(tmp_path):
    assert open_rows(tmp_path / "none.tif", max_pixels=MANY) is None


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, example((40, 40), "uint8"))
    with open_rows(path, max_pixels=MANY) as rows:
        path.write_bytes(path.read_bytes()[:1000])
        np.testing.assert_array_equal(rows[0:10], example((40, 40), "uint8")[0:10])
        with pytest.raises(ImageError, match="cut"):
            rows[30:40]


def test_threads_read_at_the_same_time(tmp_path):
    image = example((400, 50), "uint16")
    np.save(tmp_path / "a.npy", image)
    with open_rows(tmp_path / "a.npy", max_pixels=MANY) as rows, ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda begin: rows[begin : begin + 7], range(394)))
    for begin, part in enumerate(parts):
        np.testing.assert_array_equal(part, image[begin : begin + 7])


def test_more_than_four_gigabytes_are_a_bigtiff(tmp_path):
    path, side = tmp_path / "big.tif", 66_000
    with path.open("x+b") as file:
        NewRows(file, "tiff", (side, side), np.dtype(np.uint8))[side - 1 : side] = np.full((1, side), 7, np.uint8)
    with path.open("rb") as file:
        assert file.read(4) == b"II+\0"
    with open_rows(path, max_pixels=side**2) as rows:
        assert rows.shape == (side, side)
        assert (rows[side - 1 : side] == 7).all()
        assert (rows[side - 2 : side - 1] == 0).all()
