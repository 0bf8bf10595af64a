"""Writing: options, profiles, what a format cannot hold. That what was written reads back is in test_read.py."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from imgtool.cli.main import execute
from imgtool.errors import ImageError, ParameterError
from imgtool.image import encode, probe, read, read_metadata
from imgtool.image.metadata import Metadata
from imgtool.image.write import CAPACITY

RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]  # all that imgtool looks at
WITH_PROFILE = {"png": "png", "jpg": "jpeg", "tif": "tiff", "webp": "webp"}
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
SMOOTH = (np.add.outer(np.arange(60) * 3, np.arange(50) * 2)[:, :, None] % 256 * [1, 0.5, 0.25]).astype(np.uint8)


@pytest.mark.parametrize("name", ["jpeg", "webp", "jp2"])
def test_quality_trades_size_for_likeness(name):
    sizes = [len(encode(NOISE, name, quality=quality)) for quality in (10, 50, 90, 100)]
    errors = [np.abs(read(encode(NOISE, name, quality=q)).astype(int) - NOISE).mean() for q in (10, 50, 90, 100)]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_bmp_is_read_by_others_too(channels, width):
    image = np.random.default_rng(4).integers(0, 256, (6, width, channels), dtype=np.uint8)
    image = image[:, :, 0] if channels == 1 else image
    with Image.open(io.BytesIO(encode(image, "bmp"))) as other:
        np.testing.assert_array_equal(np.asarray(other), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_compression_changes_the_size_and_no_pixel(dtype, channels):
    ramp = np.add.outer(np.arange(64), np.arange(64))
    image = np.stack([ramp] * channels, axis=2).astype(dtype)
    image = image[:, :, 0] if channels == 1 else image
    files = [encode(image, "png", compression=level) for level in (0, 1, 9)]
    assert len(files[0]) > len(files[1]) >= len(files[2])
    for data in files:
        np.testing.assert_array_equal(read(data), image)


@pytest.mark.parametrize(("quality", "sampling"), [(None, 0), (90, 0), (89, 2), (50, 2)])
def test_jpeg_keeps_all_colors_from_quality_90_on(quality, sampling):
    from PIL import JpegImagePlugin

    with Image.open(io.BytesIO(encode(NOISE, "jpeg", quality=quality))) as image:
        assert JpegImagePlugin.get_sampling(image) == sampling


def test_options_that_mean_nothing_to_a_format_are_refused():
    with pytest.raises(ParameterError, match="quality is for"):
        encode(NOISE, "png", quality=90)
    with pytest.raises(ParameterError, match="compression is for"):
        encode(NOISE, "jpeg", compression=9)


def test_what_a_format_cannot_hold_names_those_that_can():
    with pytest.raises(ImageError, match=r"jpeg cannot hold 3 channels of uint16; png, tiff, .* can"):
        encode(NOISE.astype(np.uint16), "jpeg")
    with pytest.raises(ImageError, match="32 pixels a side"):
        encode(NOISE[:20].astype(np.uint16), "jp2")
    with pytest.raises(ImageError, match="lossless"):
        encode(NOISE.astype(np.uint16), "jp2", quality=50)


@given(
    case=st.sampled_from([(n, t, c) for n, (ts, cs) in CAPACITY.items() if n not in ("jpeg", "webp", "jp2")
                          for t in ts for c in cs]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    data=st.data(),
)  # fmt: skip
def test_lossless_formats_give_back_images_of_every_size(case, shape, data):
    name, dtype, channels = case
    elements = st.floats(-1e6, 1e6, width=32) if dtype.startswith("f") else None
    image = data.draw(hnp.arrays(dtype, (*shape, channels) if channels > 1 else shape, elements=elements))
    back = read(encode(image, name))
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


PAIRS = [(source, target, False) for source in WITH_PROFILE for target in WITH_PROFILE]
PAIRS += [(source, target, True) for source, target, _ in PAIRS if "webp" not in (source, target)]  # it has no gray


@pytest.mark.parametrize(("source", "target", "gray"), PAIRS)
def test_profile_is_kept_from_file_to_file(source, target, gray, tmp_path):
    icc, pixels = (GRAY_PROFILE, SMOOTH[:, :, 0]) if gray else (RGB_PROFILE, SMOOTH)
    made, plain = tmp_path / f"a.{source}", tmp_path / f"plain.{source}"
    # a large profile takes several segments of a JPEG
    icc += np.random.default_rng(1).bytes(150_000)
    options = {"icc_profile": icc} | ({"lossless": True} if source == "webp" else {})
    Image.fromarray(pixels).save(made, **options)
    Image.fromarray(pixels).save(plain, **{**options, "icc_profile": None})
    for path in (made, plain):
        assert execute(["convert", str(path), "-o", str(path.with_name(f"{path.stem}-out.{target}"))]) == 0
    result = tmp_path / f"a-out.{target}"
    assert read_metadata(result).profile == icc
    with Image.open(result) as image:
        assert image.info["icc_profile"] == icc
        np.testing.assert_array_equal(np.asarray(image), read(result))
    np.testing.assert_array_equal(read(result), read(tmp_path / f"plain-out.{target}"))
    assert read_metadata(tmp_path / f"plain-out.{target}").profile is None


KINDS = [
    (n, t, c) for n in WITH_PROFILE.values() for t in CAPACITY[n][0] if t in ("uint8", "uint16") for c in CAPACITY[n][1]
]


@pytest.mark.parametrize(("name", "dtype", "channels"), KINDS)
def test_profile_changes_no_pixel_of_any_kind(name, dtype, channels):
    image = np.random.default_rng(2).integers(0, 60000, (11, 13, channels)).astype(dtype)
    image = image[:, :, 0] if channels == 1 else image
    icc = GRAY_PROFILE if channels < 3 else RGB_PROFILE
    data = encode(image, name, metadata=Metadata(profile=icc))
    assert read_metadata(data).profile == (None if (name, channels) == ("webp", 1) else icc)  # WebP stores gray as RGB
    np.testing.assert_array_equal(read(data), read(encode(image, name)))


@pytest.mark.parametrize(
    ("options", "kept"),
    [([], True), (["--size", "10x"], True), (["--depth", "16"], True), (["--color", "rgb"], True),
     (["--color", "gray"], False), (["--depth", "float", "--to", "tif"], False)],
)  # fmt: skip
def test_profile_goes_when_the_colors_become_others(options, kept, tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png", icc_profile=RGB_PROFILE)
    suffix = "tif" if "tif" in options else "png"
    result = tmp_path / f"b.{suffix}"
    assert execute(["convert", *options, str(tmp_path / "a.png"), "-o", str(result)]) == 0
    assert read_metadata(result).profile == (RGB_PROFILE if kept else None)


def test_profile_of_inks_goes_when_they_become_rgb(tmp_path):
    inks = RGB_PROFILE[:16] + b"CMYK" + RGB_PROFILE[20:]
    Image.fromarray(NOISE).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=inks)
    assert read_metadata(tmp_path / "a.jpg").profile == inks
    assert execute(["convert", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "b.png")]) == 0
    assert read_metadata(tmp_path / "b.png").profile is None


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2), (5, 4, 3), (5, 4, 4)])
@pytest.mark.parametrize("name", ["tiff", "npy"])
def test_numbers_come_back_in_their_type(name, shape, dtype):
    kind = np.dtype(dtype)
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    image = np.resize(np.array([limits.min, limits.max, 0, 1, limits.max // 3], kind), shape)
    data = encode(image, name)
    back = read(data)
    assert back.dtype == kind
    np.testing.assert_array_equal(back, image)
    assert probe(data).dtype == dtype


@pytest.mark.parametrize("dtype", ["bool", "float16", ">i4", ">u8", ">f8"])
def test_headers_name_the_type_that_is_read(dtype):
    stream = io.BytesIO()
    np.save(stream, np.ones((3, 2), dtype))
    assert probe(stream.getvalue()).dtype == read(stream.getvalue()).dtype.name


@pytest.mark.parametrize("dtype", ["int16", "uint32"])
def test_numbers_that_a_format_cannot_hold_are_refused_naming_those_that_can(dtype):
    with pytest.raises(ImageError, match=f"png cannot hold 1 channel of {dtype}; tiff, npy can"):
        encode(np.zeros((2, 2), dtype), "png")
