"""Files that are read once."""

import hashlib
import threading

import numpy as np
import pytest

from imgtool.datasets import cache
from imgtool.datasets.cache import ImageCache, default_budget
from imgtool.datasets.dataset import Dataset
from imgtool.errors import ImageError
from imgtool.image.write import encode


@pytest.fixture
def files(tmp_path):
    paths = []
    for index in range(6):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(encode(np.full((10, 10), index, np.uint8), "png"))
    return paths


@pytest.fixture
def decoded(monkeypatch):
    found, read = [], cache.read
    monkeypatch.setattr(cache, "read", lambda data, **told: found.append(data) or read(data, **told))
    return found


def test_images_stay_until_the_budget_is_spent_and_the_others_are_decoded_again(files, decoded):
    some = ImageCache(budget_bytes=450)  # four images of 100 bytes
    for _ in range(3):
        assert [int(some.image(path)[0, 0]) for path in files] == list(range(6))
    assert len(decoded) == 4 + 3 * 2
    none = ImageCache(budget_bytes=0)
    none.image(files[0])
    none.image(files[0])
    assert len(decoded) == 12


def test_hashes_come_with_reading_whatever_the_budget(files, decoded, monkeypatch):
    some = ImageCache(budget_bytes=0)
    for path in files[:3]:
        some.image(path)
    expected = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    for path in files[:3]:
        path.unlink()
    assert [some.sha256(path) for path in files] == expected


def test_what_is_kept_cannot_be_changed(files):
    some = ImageCache()
    with pytest.raises(ValueError, match="read-only"):
        some.image(files[0])[0, 0] = 9


def test_several_threads_get_the_same_images(files):
    some, wrong = ImageCache(budget_bytes=250), []

    def look():
        for _ in range(20):
            wrong.extend(path for index, path in enumerate(files) if some.image(path)[0, 0] != index)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_errors_name_the_file(files, tmp_path):
    files[0].write_bytes(b"text")
    for path in (files[0], tmp_path / "missing.png"):
        with pytest.raises(ImageError, match=path.name):
            ImageCache().image(path)


def test_the_budget_is_a_part_of_the_memory():
    assert 0 < default_budget() <= cache.CACHE_BYTES


def test_a_data_set_and_its_parts_share_a_cache_and_give_what_they_gave_without(files, decoded):
    plain = Dataset(files, np.arange(6) % 2, ("a", "b"))
    kept = plain.with_cache(ImageCache())
    part = kept.subset(np.array([4, 1]))
    for index in range(2):
        np.testing.assert_array_equal(part.image(index), plain.subset(np.array([4, 1])).image(index))
    assert kept.image(4) is part.image(0)
    assert len(decoded) == 4  # two of them without the cache
    assert kept.digest() == plain.digest()
    assert part.digest() == plain.subset(np.array([4, 1])).digest() != kept.digest()


def test_arrays_are_hashed_once_for_a_data_set_and_its_parts(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4), dtype=np.uint8)
    data = Dataset(images, np.arange(8) % 2, ("a", "b"))
    part = np.array([6, 3, 1])
    expected = (data.digest(), Dataset(images[part], np.array([0, 1, 1]), ("a", "b")).digest())
    monkeypatch.setattr(Dataset, "_hash", lambda *_: pytest.fail("hashed again"))
    assert (data.digest(), data.subset(part).digest()) == expected
