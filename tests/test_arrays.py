"""One rule for arrays: what every public function takes, and what it refuses (imgtool/arrays.py)."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imgtool
from imgtool.arrays import cast_rounding, image_array, whole_number, whole_pair
from imgtool.errors import DataError, ImageError, ParameterError
from imgtool.features.encoding import encode as encode_image
from imgtool.features.encoding import encode_sparsely
from imgtool.features.hog import cell_histograms
from imgtool.features.sift import Descriptors
from imgtool.features.sparse import llc_codes
from imgtool.features.uoctti import vlfeat_dalal_triggs
from imgtool.filters.engine.magnitude import magnitude_by
from locations import SAMPLES

KERNEL = np.outer([1.0, 2, 1], [1, 0, -1])
MEANS = np.random.default_rng(1).random((3, 6)) * 4
MIXTURE = (MEANS, np.ones((3, 6)), np.full(3, 1 / 3))
ATOMS = MEANS / np.linalg.norm(MEANS, axis=1, keepdims=True)
BOOK = imgtool.Codebook(
    np.zeros(128),
    np.eye(8, 128),
    np.random.default_rng(0).random((2, 8)),
    np.ones((2, 8)),
    np.array([0.5, 0.5]),
    {"sift": {"step": 4, "bins": [4], "window": "flat", "root": True}},
)
LENET = imgtool.open_model("lenet@cifar10")
DICTIONARY = imgtool.Dictionary(np.eye(3, 128), BOOK.meta)


def local(found):
    return np.column_stack([found.frames, found.values, found.norms])


# Functions of an image whose result does not depend on its type beyond rounding: it is that of the same float64 image.
OF_NUMBERS = {
    "convolve": lambda image: imgtool.convolve(image, KERNEL),
    "convolve to uint8": lambda image: imgtool.convolve(image, KERNEL, dtype=np.uint8),
    "convolve by fft": lambda image: imgtool.convolve(image, KERNEL, method="fft"),
    "magnitude_by": lambda image: magnitude_by(image, KERNEL, KERNEL.T),
    "median": lambda image: imgtool.neighborhood(image, "median", size=np.int64(3)),
    "minimum": lambda image: imgtool.neighborhood(image, "minimum", size=np.uint8(2)),
    "maximum": lambda image: imgtool.neighborhood(image, "maximum"),
    "explain_filter": lambda image: imgtool.explain_filter(image, np.int64(3), 0, KERNEL).sums,
    "gradient": lambda image: np.stack(imgtool.gradient(image, sigma=np.float32(1))),
    "hog": lambda image: imgtool.hog(image, cell=np.int32(8), orientations=np.uint8(9)),
    "explain_hog": lambda image: imgtool.explain_hog(image, 9, np.int64(9)).votes,
    "hog, pairs": lambda image: imgtool.hog(image, cell=np.array([8, 6]), block=(np.int64(1), 2)),
    "hog, root": lambda image: imgtool.hog(image, sqrt=True),
    "cell_histograms": cell_histograms,
    "dalal_triggs": lambda image: imgtool.dalal_triggs(image, cell=np.int16(8), block=np.int64(2)),
    "uoctti": lambda image: imgtool.uoctti(image, cell=np.uint16(8)),
    "vlfeat_dalal_triggs": vlfeat_dalal_triggs,
    "gist": lambda image: imgtool.gist(image, size=np.int64(32), orientations=np.array([4, 2]), blocks=np.uint8(2)),
    "gist in color": lambda image: imgtool.gist(image, size=32, orientations=(4, 2), blocks=2, color=True),
    "dense_sift": lambda image: local(imgtool.dense_sift(image, step=np.int64(5), bin_size=np.int32(3))),
}  # fmt: skip
# Functions that ask the type what white is, or keep it: the result is that of a native array of the same type.
OF_TYPE = {
    "to_gray": imgtool.to_gray,
    "to_gray, mean": lambda image: imgtool.to_gray(image, "mean"),
    "resize": lambda image: imgtool.resize(image, np.int64(7), np.uint8(9)),
    "convert to gray": lambda image: imgtool.convert(image, "gray"),
    "convert to rgb": lambda image: imgtool.convert(image, "rgb"),
    "convert to hsv": lambda image: imgtool.convert(image, "hsv"),
    "convert_depth": lambda image: imgtool.convert_depth(image, "16"),
    "convert_depth, stretched": lambda image: imgtool.convert_depth(image, range="stretch"),
    "flatten": imgtool.flatten,
    "bilateral": lambda image: imgtool.neighborhood(image, "bilateral", sigma=1),
    "filter_sheet": lambda image: imgtool.filter_sheet(image, "box"),
    "gradient_sheet": imgtool.gradient_sheet,
    "phow": lambda image: local(imgtool.phow(image, sizes=(np.int64(4),), step=np.int64(4))),
    "sparse_sift": lambda image: local(imgtool.sparse_sift(image)),
    "fisher": lambda image: encode_image(image, BOOK),
    "scspm": lambda image: encode_sparsely(image, DICTIONARY),
}
# Functions of an array that is no image: 2-D, floats in the end.
OF_ROWS = {
    "convolve's kernel": lambda rows: imgtool.convolve(np.eye(9), rows),
    "magnitude": lambda rows: imgtool.magnitude(rows, rows),
    "phase": lambda rows: imgtool.phase(rows, rows),
    "fisher_vector": lambda rows: imgtool.fisher_vector(rows, *MIXTURE),
    "fisher_vector's means": lambda rows: imgtool.fisher_vector(MEANS, rows, np.ones((7, 6)), np.full(7, 1 / 7)),
    "vlad": lambda rows: imgtool.vlad(rows, MEANS),
    "vlad's means": lambda rows: imgtool.vlad(MEANS, rows),
    "bag_of_words": lambda rows: imgtool.bag_of_words(rows, MEANS),
    "sparse_codes": lambda rows: imgtool.sparse_codes(rows, ATOMS),
    "llc_codes": lambda rows: llc_codes(rows, ATOMS, neighbors=np.int64(2)),
}
INTEGERS = [f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64)]
TYPES = ["bool", *INTEGERS, "float16", "float32", "float64", "longdouble"]
LAYOUTS = {
    "native": lambda image: image,
    "byte-swapped": lambda image: image.astype(image.dtype.newbyteorder()),
    "negative strides": lambda image: image[::-1, ::-1].copy()[::-1, ::-1],
    "columns first": np.asfortranarray,
    "every other": lambda image: np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)[::2, ::2],
    "channels reversed": lambda image: image[..., ::-1].copy()[..., ::-1],
    "read-only": lambda image: np.frombuffer(image.tobytes(), image.dtype).reshape(image.shape),
    "a list": lambda image: image.tolist(),
    "a subclass": lambda image: image.view(np.memmap),
}


def image_of(dtype, shape, top=None):
    numbers = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape)
    return numbers.astype(dtype) if top is None else (numbers * (top / 100)).astype(dtype)


def tolerance(dtype):
    return 2e-5 if dtype in ("float16", "float32", "uint8") else 1e-12


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_images_of_numbers_give_what_native_float64_gives(name, layout):
    function = OF_NUMBERS[name]
    for shape in ((40, 36), (40, 36, 3))[: 1 if name == "dense_sift" else 2]:  # which rounds the gray of integer colors
        for dtype in TYPES:
            image = image_of(dtype, shape)
            before = image.copy()
            actual, expected = function(LAYOUTS[layout](image)), function(image.astype(np.float64))
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(dtype) * max(1, np.abs(expected).max()))
            assert actual.dtype.isnative
            np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("native", "a list")])
@pytest.mark.parametrize("name", OF_TYPE)
def test_images_whose_type_counts_give_what_a_native_one_gives(name, layout):
    function = OF_TYPE[name]
    for shape in ((40, 36), (40, 36, 3)):
        for dtype in TYPES:
            top = np.iinfo(dtype).max if dtype in INTEGERS else 1
            image = image_of(dtype, shape, None if dtype == "bool" else top)
            actual, expected = function(LAYOUTS[layout](image)), function(image)
            np.testing.assert_array_equal(actual, expected)
            assert actual.dtype == expected.dtype
            assert actual.dtype.isnative


@pytest.mark.parametrize("name", OF_TYPE)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_a_list_is_what_numpy_makes_of_it(name, dtype):
    image = image_of(dtype, (40, 36, 3), 1 if dtype == "float64" else np.iinfo(dtype).max)
    np.testing.assert_array_equal(OF_TYPE[name](image.tolist()), OF_TYPE[name](image))


@pytest.mark.parametrize("name", ["convert to hsv", "phow", "sparse_sift", "bilateral"])
@pytest.mark.parametrize("dtype", TYPES)
def test_white_is_the_largest_value_of_an_integer_type_and_1_of_others(name, dtype):
    unit = image_of("bool", (40, 36, 3) if name == "convert to hsv" else (40, 36))
    top = np.iinfo(dtype).max if dtype in INTEGERS else 1
    image = (unit * np.ones(1, dtype if dtype in INTEGERS else "float64") * top).astype(dtype)
    expected, actual = OF_TYPE[name](unit.astype(np.float64)), OF_TYPE[name](image)
    scale = top if name == "bilateral" else 1
    np.testing.assert_allclose(actual / scale, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OF_ROWS)
def test_matrices_give_what_native_float64_gives(name, layout):
    for dtype in TYPES:
        rows = image_of(dtype, (7, 6), None if dtype == "bool" else 4)
        try:
            expected = OF_ROWS[name](rows.astype(np.float64))
        except imgtool.ParameterError:
            pytest.fail("the native array was refused")
        actual = OF_ROWS[name](
            rows if layout == "a list" and name == "fisher_vector's means" else LAYOUTS[layout](rows)
        )
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "float64"])
def test_matches_are_those_of_native_descriptors(layout, dtype):
    values, frames = image_of(dtype, (9, 128)), image_of(dtype, (9, 4))
    laid_out = Descriptors(LAYOUTS[layout](frames), LAYOUTS[layout](values), None)
    native = Descriptors(frames.astype(np.float64), values.astype(np.float32), None)
    actual, expected = imgtool.match(laid_out, laid_out), imgtool.match(native, native)
    assert len(actual.left) == 9
    np.testing.assert_array_equal(actual.left, expected.left)
    np.testing.assert_array_equal(actual.inliers, expected.inliers)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_codebooks_are_those_of_native_descriptors(layout, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn fits the mixture")
    rows = np.random.default_rng(0).random((60, 6))
    fitted, expected = (
        imgtool.fit_codebook(each, components=2, dimensions=3, places=each[:, :2])
        for each in (np.asarray(LAYOUTS[layout](rows)), rows)
    )
    imgtool.save_codebook(tmp_path / "a", fitted)
    imgtool.save_codebook(tmp_path / "b", expected)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    projected = fitted.project(LAYOUTS[layout](rows), LAYOUTS[layout](rows[:, :2]))
    np.testing.assert_array_equal(projected, expected.project(rows, rows[:, :2]))
    np.testing.assert_array_equal(imgtool.Dictionary(LAYOUTS[layout](np.eye(4))).atoms, np.eye(4))


def test_every_public_function_of_arrays_is_tried_here():
    source = Path(__file__).read_text()
    functions = {name: getattr(imgtool, name) for name in imgtool.__all__}
    of_arrays = [name for name, each in functions.items() if ": array_like" in (inspect.getdoc(each) or "")]
    assert {"convolve", "hog", "vlad", "write"} <= set(of_arrays)
    assert [name for name in of_arrays if f"imgtool.{name}" not in source] == []


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("native", "a list")])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int64", "float16", "float32", "float64"])
def test_networks_see_what_the_array_holds(layout, dtype):
    for shape in ((40, 36), (40, 36, 3)):
        image = image_of(dtype, shape, 1 if dtype[0] == "f" else None)
        for seen in (imgtool.embed, imgtool.grad_cam):
            np.testing.assert_array_equal(seen(LAYOUTS[layout](image), model=LENET), seen(image, model=LENET))
        expected = imgtool.embed(image, model=LENET)
        if dtype == "float64":
            np.testing.assert_array_equal(imgtool.embed(image.tolist(), model=LENET), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_files_hold_what_the_array_holds(layout, dtype, tmp_path):
    image = image_of(dtype, (5, 7, 3), np.iinfo(dtype).max if dtype[0] == "u" else 1)
    for name in ("tiff", "npy", *(["png", "pam"] if dtype[0] == "u" else [])):
        if layout == "a list":
            continue  # whose type is int64 or float64
        assert imgtool.encode(LAYOUTS[layout](image), name) == imgtool.encode(image, name)
        imgtool.write(tmp_path / f"a.{name}", LAYOUTS[layout](image), overwrite=True)
        np.testing.assert_array_equal(imgtool.read(tmp_path / f"a.{name}"), image)


def test_a_mask_is_written_in_black_and_white():
    mask = np.array([[True, False, True]])
    assert imgtool.read(imgtool.encode(mask, "png")).tolist() == [[255, 0, 255]]


REFUSED = {
    "complex": np.ones((40, 36), complex),
    "text": np.full((40, 36), "1"),
    "objects": np.full((40, 36), None),
    "dates": np.zeros((40, 36), "M8[s]"),
    "records": np.zeros((40, 36), [("a", "u1")]),
    "one row": np.ones(36),
    "a number": np.float64(3),
    "four dimensions": np.ones((2, 40, 36, 3)),
    "rows of unequal length": [[1, 2], [3]],
    "nothing": None,
}
EMPTY = {"no rows": (0, 36), "no columns": (40, 0), "no channels": (40, 36, 0)}
WRITERS = {"encode": lambda image: imgtool.encode(image, "tiff"), "write": lambda image: imgtool.write("a.tif", image)}
MODELS = {
    "embed": lambda image: imgtool.embed(image, model=LENET),
    "grad_cam": lambda image: imgtool.grad_cam(image, model=LENET),
    "explain_network": lambda image: imgtool.explain_network(image, model=LENET, label="cat").scores,
}
IMAGES = {**OF_NUMBERS, **OF_TYPE, **WRITERS, **MODELS}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", [*IMAGES, *OF_ROWS])
def test_what_is_no_array_of_numbers_is_refused_with_its_shape_and_type(name, kind):
    error = imgtool.ImageError if name in IMAGES else imgtool.ParameterError
    function, refused = {**IMAGES, **OF_ROWS}[name], REFUSED[kind]
    array = np.empty((), object) if kind == "rows of unequal length" else np.asarray(refused)
    with pytest.raises(error) as caught:
        function(refused)
    assert str(array.shape) in str(caught.value)
    assert str(array.dtype) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("name", IMAGES)
def test_images_without_pixels_are_refused_with_their_shape_and_type(name, kind):
    with pytest.raises(imgtool.ImageError, match="float32") as caught:
        IMAGES[name](np.zeros(EMPTY[kind], np.float32))
    assert str(EMPTY[kind]) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in IMAGES if name in OF_TYPE or "sift" in name or "gi" in name])
def test_more_channels_than_colors_have_are_refused_by_what_looks_at_colors(name):
    image = np.ones((40, 36, 5), np.uint8)
    if name in ("resize", "bilateral", "flatten"):
        assert IMAGES[name](image).shape[2] == 5
        return
    with pytest.raises(imgtool.ImageError, match=r"5 channels.*\(40, 36, 5\).*uint8|no numbers"):
        IMAGES[name](image)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.float32, np.float64])
def test_a_native_contiguous_image_is_not_copied(dtype):
    for shape in ((3, 4), (3, 4, 3)):
        image = np.zeros(shape, dtype)
        assert image_array(image) is image


@given(
    st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]),
    st.lists(st.floats(-1e20, 1e20) | st.integers(-(2**65), 2**65).map(float), min_size=1),
    st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=200)
def test_integers_are_rounded_half_to_even_and_saturated(dtype, numbers, source):
    values = np.array(numbers, source)
    limits = np.iinfo(dtype)
    expected = [min(max(round(float(each)), limits.min), limits.max) for each in values]
    assert cast_rounding(values, dtype).tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
def test_gray_and_resize_of_integers_round_half_to_even(dtype):
    pair = np.array([[1, 2], [2, 3], [4, 5]], dtype)
    halves = [2, 3, 5] if dtype == "uint8" else [2, 2, 4]  # 8 bits are Pillow's, which rounds half up
    assert imgtool.resize(pair, 3, 1).ravel().tolist() == halves
    color = np.array([[[1, 2, 2], [1, 1, 2], [90, 0, 100]]], dtype)
    assert imgtool.to_gray(color, "mean").tolist() == [[2, 1, 63]]
    if dtype.startswith("int"):
        assert imgtool.resize(-pair, 3, 1).ravel().tolist() == [-2, -2, -4]
        assert imgtool.to_gray(-color, "mean").tolist() == [[-2, -1, -63]]


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, np.float32(4), np.array([1, 2])])
def test_what_is_no_size_is_refused(value):
    for function in (whole_number, whole_pair):
        if function is whole_pair and isinstance(value, np.ndarray):
            assert whole_pair(value, "cell") == (1, 2)
            continue
        with pytest.raises(imgtool.ParameterError, match="cell must be"):
            function(value, "cell")
    with pytest.raises(imgtool.ParameterError):
        imgtool.hog(np.zeros((64, 64)), orientations=value)
    if not isinstance(value, np.ndarray):  # two numbers are rows and columns
        with pytest.raises(imgtool.ParameterError):
            imgtool.kernel("box", size=value)


PICTURE = np.random.default_rng(0).integers(0, 256, (40, 37, 3), np.uint8)
ROWS = np.random.default_rng(1).random((20, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda value: imgtool.gist(PICTURE, size=32, orientations=value),
        lambda value: imgtool.gist(PICTURE, size=32, prefilter=value),
        lambda value: imgtool.dense_sift(PICTURE, window_size=value),
        lambda value: imgtool.dense_sift(PICTURE, bounds=value),
        lambda value: imgtool.phow(PICTURE, sizes=value),
        lambda value: imgtool.phow(PICTURE, contrast=value),
        lambda value: imgtool.gradient(PICTURE, operator="gaussian", sigma=value),
        lambda value: imgtool.kernel("log", sigma=value),
        lambda value: imgtool.convolve(PICTURE, np.ones((3, 3)), threads=value),
        lambda value: imgtool.convolve(PICTURE, np.ones((3, 3)), dtype=value),
        lambda value: imgtool.sparse_codes(ROWS, np.eye(3), penalty=value),
        lambda value: imgtool.fit_codebook(ROWS, seed=value),
        lambda value: imgtool.fit_codebook(ROWS, starts=value),
        lambda value: imgtool.fit_codebook(ROWS, iterations=value),
        lambda value: imgtool.encode(PICTURE, "jpeg", quality=value),
        lambda value: imgtool.encode(PICTURE, "png", compression=value),
        lambda value: imgtool.encode(PICTURE, "png", metadata=value),
    ],
)
@pytest.mark.parametrize(
    "value",
    ["x", 1j, object(), [1.5, "x"], -1, np.array(-1)],
    ids=["text", "complex", "object", "list", "negative", "0-D"],
)
def test_arguments_that_are_no_such_numbers_are_refused_in_one_line(call, value):
    with pytest.raises(ParameterError) as caught:
        call(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [None, 3, [1, 2], np.zeros((3, 3)), "a\0b"], ids=repr)
@pytest.mark.parametrize("function", [imgtool.read, imgtool.probe])
def test_an_image_is_read_from_a_path_bytes_or_a_file_only(function, source):
    with pytest.raises((ParameterError, ImageError)):
        function(source)


@pytest.mark.parametrize("other", [None, np.zeros((3, 128)), "x"], ids=repr)
def test_only_descriptors_are_matched_and_only_codebooks_saved(other, tmp_path):
    found = imgtool.sparse_sift(np.zeros((64, 64), np.uint8))
    with pytest.raises(ParameterError, match="values and frames"):
        imgtool.match(found, other)
    with pytest.raises(ParameterError, match="Codebook or a Dictionary"):
        imgtool.save_codebook(tmp_path / "book.safetensors", other)


def test_small_integers_of_numpy_do_not_wrap_around():
    image = PICTURE[..., 0]
    assert np.array_equal(imgtool.uoctti(image, orientations=np.uint8(200)), imgtool.uoctti(image, orientations=200))
    narrow, wide = (imgtool.dense_sift(image, window_size=size).values for size in (np.uint8(200), 200))
    assert np.array_equal(narrow, wide)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_codebook_is_fitted_to_moderate_numbers_with_a_place_each(bad):
    rows = ROWS.copy()
    rows[3, 1] = bad
    with pytest.raises(ParameterError, match="without NaN"):
        imgtool.fit_codebook(rows)
    with pytest.raises(ParameterError, match="places must be of the shape"):
        imgtool.fit_codebook(ROWS, places=np.zeros((5, 2)))
    with pytest.raises(DataError, match="length 1"):
        imgtool.Dictionary(np.full((2, 2), bad))


@pytest.mark.parametrize("taps", [[[np.nan]], [[1, np.inf]], [[1e308, 1e308]], [[1j]], [["a"]], 3, None], ids=repr)
def test_taps_that_cannot_be_added_up_are_refused(taps, tmp_path):
    image = np.zeros((4, 4), np.uint8)
    imgtool.write(tmp_path / "image.png", image)
    with pytest.raises(ParameterError):
        imgtool.convolve(image, taps)
    with pytest.raises(ParameterError):
        list(imgtool.filter_images(tmp_path / "image.png", taps, output=f"{tmp_path}/out/"))


@pytest.mark.parametrize("taps", [[[5e-324, 5e-324]], [[1e-18, 0], [0, 1e-18]], [[1e-8, 1e-8], [1e-8, 1e-8]]])
def test_tiny_taps_are_not_taken_for_zeros(taps):
    image = np.full((5, 5), 200, np.uint8)
    expected = np.full((5, 5), 200 * np.sum(taps))
    assert np.allclose(imgtool.convolve(image, taps), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "bmp", "tiff", "jp2", "pnm", "pam"])
def test_one_channel_is_encoded_as_gray(format):
    image = PICTURE[..., :1]
    assert imgtool.encode(image, format) == imgtool.encode(image[..., 0], format)


def test_what_no_format_or_no_float32_holds_is_said():
    with pytest.raises(ImageError, match="no format can"):
        imgtool.encode(np.zeros((2, 2, 5), np.uint8), "npy")
    with pytest.raises(ImageError, match="only float32"):
        imgtool.encode(np.full((2, 2), 1e300), "pfm")
    assert np.isinf(imgtool.read(imgtool.encode(np.full((2, 2), np.inf), "pfm"))).all()


@pytest.mark.parametrize("path", [None, 3, np.zeros(3), "a\0b"], ids=repr)
def test_paths_that_are_none_are_refused(path, tmp_path):
    image, book = np.zeros((4, 4), np.uint8), imgtool.Dictionary(np.eye(4))
    for call in (
        lambda: imgtool.write(path, image),
        lambda: imgtool.load_codebook(path),
        lambda: imgtool.save_codebook(path, book),
        lambda: imgtool.load_dataset(path),
        lambda: [outcome.result() for outcome in imgtool.describe_images([path])],
        lambda: imgtool.filter_images(path, "box", output=f"{tmp_path}/"),
        lambda: imgtool.describe_images(SAMPLES / "coins.png", output=0 if path is None else path),
    ):
        with pytest.raises((ParameterError, ImageError)):
            list(call())
    with pytest.raises((ParameterError, DataError)):
        imgtool.search(path, SAMPLES / "coins.png")
