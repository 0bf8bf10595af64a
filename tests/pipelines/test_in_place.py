"""A large image that is in memory becomes its own result, strip by strip, where that has its shape and type."""

from contextlib import contextmanager

import numpy as np
import pytest

from imgtool.filters import strip_filter
from imgtool.image import encode, read
from imgtool.image.write import encode_and_spoil
from imgtool.pipelines.filter_images import filter_images
from imgtool.pipelines.kernel_filter import filter_of
from imgtool.pipelines.strips import filter_in_strips

FILTERS = {
    "gaussian": {"sigma": 2},
    "gaussian of long reach": {"sigma": 30},
    "sobel-x": {},
    "sharpen": {},
    "median": {"size": 5},
    "box stretched": {"size": 5, "range": "stretch"},
    "box of 16 bits": {"size": 5, "depth": "16"},
}


@pytest.fixture(params=[1, 400, 20_000], ids="{} bytes a strip".format, autouse=True)
def strips(request, monkeypatch):
    monkeypatch.setattr(strip_filter, "LARGE_PIXELS", 1)
    monkeypatch.setattr(strip_filter, "SHORT_REACH_STRIP_BYTES", request.param)
    monkeypatch.setattr(strip_filter, "STRIP_BYTES", 1)


def target_of(opened):
    @contextmanager
    def open_target(shape, dtype, spare):
        opened.append(np.empty(shape, dtype) if spare is None else spare)
        yield opened[-1]

    return open_target


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("border", ["reflect", "clip", "wrap"])
@pytest.mark.parametrize(("threads", "channels"), [(1, ()), (3, (3,)), (2, (4,))])
def test_the_result_is_that_of_the_whole_image(name, border, threads, channels):
    image = np.random.default_rng(0).integers(0, 256, (203, 31, *channels), dtype=np.uint8)
    local = filter_of(name.split()[0], border, **FILTERS[name])
    expected, opened, used = local(image), [], image.copy()
    filter_in_strips(local, used, target_of(opened), threads=threads, events=None)
    np.testing.assert_array_equal(opened[0], expected.pixels)
    in_place = border != "wrap" and (expected.pixels.shape, expected.pixels.dtype) == (image.shape, image.dtype)
    assert (opened[0] is used) == in_place


def test_what_may_not_be_overwritten_is_left():
    image = np.random.default_rng(0).integers(0, 256, (203, 31), dtype=np.uint8)
    before = image.copy()
    image.flags.writeable = False
    opened = []
    filter_in_strips(filter_of("gaussian"), image, target_of(opened), threads=2, events=None)
    assert opened[0] is not image
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "bmp", "tiff", "npy"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_encoding_that_spoils_the_image_gives_the_same_file(format, channels):
    if (format, channels) == ("jpeg", (4,)):
        pytest.skip("JPEG has no alpha")
    image = np.random.default_rng(0).integers(0, 256, (200, 700, *channels), dtype=np.uint8)
    expected, fixed = encode(image, format), image.copy()
    fixed.flags.writeable = False
    assert encode_and_spoil(fixed, format) == expected
    assert encode_and_spoil(image, format) == expected


def test_files_are_those_of_whole_images(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (203, 31, 3), dtype=np.uint8)
    (tmp_path / "a.jpg").write_bytes(encode(image, "jpeg"))
    results = []
    for large in (10**9, 1):
        monkeypatch.setattr(strip_filter, "LARGE_PIXELS", large)
        (outcome,) = filter_images(tmp_path / "a.jpg", "gaussian", sigma=2, output=tmp_path / f"{large}.png")
        results.append(read(outcome.result().output))
    np.testing.assert_array_equal(*results)
