"""JPEG: what OpenCV decodes comes out as by Pillow, and what Pillow refuses is refused."""

import io
import itertools
import os

import numpy as np
import pytest
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import read
from imgtool.image.codecs import jpeg, opencv, pillow
from locations import SAMPLES

SAMPLE = SAMPLES / "astronaut.jpg"
KINDS = list(itertools.product(("RGB", "L"), (20, 75, 95), (0, 1, 2), (False, True)))


@pytest.fixture(params=["copied", "own memory"], autouse=True)
def where(request, monkeypatch):
    """Decode as small images are, and as large ones are."""
    monkeypatch.setattr(opencv, "LARGE_BYTES", 1 if request.param == "own memory" else 1 << 40)


def encoded(size, mode, quality, subsampling, progressive, **settings):
    with Image.open(SAMPLE) as image:
        small = image.convert(mode).resize(size)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive, **settings)
    return file.getvalue()


def outcome(decode, data):
    """Return what decoding gives, or the kind of the error."""
    try:
        return decode(data)
    except ImageError:
        return ImageError
    except Exception as error:  # read() makes one line of any
        return type(error)


def by_pillow(data):
    return pillow.decode(data, allow_truncated=False)


@pytest.mark.parametrize(("mode", "quality", "subsampling", "progressive"), KINDS)
def test_pixels_are_pillows(mode, quality, subsampling, progressive):
    for size in ((160, 120), (33, 25), (17, 9), (1, 1), (8, 100)):
        data = encoded(size, mode, quality, subsampling, progressive)
        assert jpeg._by_opencv(data) is not None
        np.testing.assert_array_equal(read(data), by_pillow(data))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("fault", [None, "no memory", "limited", "no file", "nothing read"])
def test_where_large_images_have_no_memory_of_their_own_they_are_copied(mode, fault, monkeypatch):
    def fails(*_):
        raise OSError(24, "Too many open files")

    if fault == "no memory":
        monkeypatch.setattr("os.memfd_create", fails, raising=False)
    elif fault == "limited":
        monkeypatch.setattr("os.write", fails)
    elif fault == "no file":
        monkeypatch.setattr("cv2.imread", lambda *_: None)
    elif fault == "nothing read":
        monkeypatch.setattr("cv2.imread", lambda _, image, __: image)
    data = encoded((160, 120), mode, 90, 0, False)
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    np.testing.assert_array_equal(jpeg._by_opencv(data), by_pillow(data))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded((33, 25), "RGB", 90, 0, False, exif=exif)
    assert jpeg._by_opencv(data) is not None
    np.testing.assert_array_equal(read(data), by_pillow(data))


@pytest.mark.parametrize("kind", range(4))
def test_damaged_files_fare_as_with_pillow(kind):
    rng = np.random.default_rng(kind)
    settings = [("RGB", 90, 0, False), ("RGB", 75, 2, True), ("L", 50, 0, False), ("RGB", 60, 1, True)]
    originals = [encoded((80, 60), *each, restart_marker_rows=rows) for each in settings for rows in (0, 1)]
    refused = decoded = 0
    for data in originals * 12:
        damaged = bytearray(data)
        begin, end = sorted(int(each) for each in rng.integers(2, len(data) - 2, 2))
        if kind == 0:  # bytes changed
            for place in rng.integers(2, len(data), 4):
                damaged[place] = rng.integers(256)
        elif kind == 1:  # a part left out
            del damaged[begin:end]
        elif kind == 2:  # a part doubled
            damaged[begin:begin] = damaged[begin:end]
        else:  # cut
            del damaged[end:]
        try:
            plain = jpeg._plain(bytes(damaged))
        except ImageError:
            refused += 1
            continue
        expected = outcome(by_pillow, plain)
        actual = outcome(lambda data: jpeg.decode(data, allow_truncated=False), plain)
        if isinstance(expected, type):
            assert actual is expected
            refused += 1
        else:
            np.testing.assert_array_equal(actual, expected)
            decoded += 1
    assert refused > 5
    assert decoded > 5 or kind == 3
