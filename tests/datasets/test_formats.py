"""Finding labelled images: folders, CSV, MNIST, CIFAR-10."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from imgtool.datasets.formats import load
from imgtool.errors import DataError, ImageError
from imgtool.image.write import encode

DATA = Path(__file__).parents[3] / "shared" / "data"


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(np.full((4, 5), value, np.uint8), "png"))


def test_folder_of_class_folders(tmp_path):
    for name, value in (("dog/2.png", 2), ("cat/b.png", 1), ("cat/a.png", 0), ("cat/deep/c.png", 3)):
        write(tmp_path / name, value)
    parts = load(tmp_path)
    assert parts.test is None
    assert parts.train.classes == ("cat", "dog")
    assert parts.train.labels.tolist() == [0, 0, 0, 1]
    assert [parts.train.image(i)[0, 0] for i in range(4)] == [0, 1, 3, 2]
    assert parts.train.counts() == {"cat": 3, "dog": 1}


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_folders_of_parts(tmp_path, held_out):
    for part in ("train", held_out):
        write(tmp_path / part / "a" / "1.png")
        write(tmp_path / part / "b" / "1.png")
    parts = load(tmp_path)
    assert (len(parts.train), len(parts.test)) == (2, 2)
    write(tmp_path / held_out / "c" / "1.png")
    with pytest.raises(DataError, match="'c'"):
        load(tmp_path)


def test_csv(tmp_path):
    write(tmp_path / "x" / "1.png", 7)
    write(tmp_path / "2.png")
    (tmp_path / "list.csv").write_text("path,label\nx/1.png,zebra\n2.png,ant\n")
    train = load(tmp_path / "list.csv").train
    assert train.classes == ("ant", "zebra")
    assert train.labels.tolist() == [1, 0]
    assert train.image(0)[0, 0] == 7


@pytest.mark.parametrize("text", ["", "path,label\n", "a.png\n", "a.png,x\nb.png,x\n", "a.png,\n", "a,b,c\n"])
def test_bad_csv_is_refused(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=r"list\.csv"):
        load(tmp_path / "list.csv")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx(tmp_path, end):
    pack = gzip.compress if end else bytes
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(np.array([3, 9], np.uint8))))
    parts = load(tmp_path)
    np.testing.assert_array_equal(parts.train.image(1), images[1])
    assert parts.test.labels.tolist() == [3, 9]
    broken = tmp_path / f"train-images-idx3-ubyte{end}"
    for data in (idx(images)[:-1], b"\0\0\x0d\x03" + idx(images)[4:], b""):
        broken.write_bytes(pack(data))
        with pytest.raises(DataError, match="train-images"):
            load(tmp_path)
    broken.unlink()
    with pytest.raises(DataError, match="missing"):
        load(tmp_path)


def test_cifar(tmp_path):
    record = np.concatenate([[3], np.arange(3072) % 256]).astype(np.uint8)
    (tmp_path / "data_batch_1.bin").write_bytes(record.tobytes() * 2)
    (tmp_path / "test_batch.bin").write_bytes(record.tobytes())
    parts = load(tmp_path)
    assert (len(parts.train), len(parts.test)) == (2, 1)
    assert parts.train.image(0)[0, 1].tolist() == [1, 1025 % 256, 2049 % 256]
    (tmp_path / "test_batch.bin").write_bytes(record.tobytes()[:-1])
    with pytest.raises(DataError, match="multiple"):
        load(tmp_path)


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="no data set"):
        load(tmp_path / "missing")
    with pytest.raises(DataError, match="two or more"):
        load(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="no images"):
        load(tmp_path)


def test_digest_tells_data_sets_apart_and_bad_images_are_named(tmp_path):
    write(tmp_path / "a" / "1.png", 1)
    write(tmp_path / "b" / "1.png", 2)
    first = load(tmp_path).train.digest()
    assert first == load(tmp_path).train.digest()
    write(tmp_path / "b" / "1.png", 3)
    assert first != load(tmp_path).train.digest()
    (tmp_path / "b" / "1.png").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"1\.png"):
        load(tmp_path).train.image(1)


@pytest.mark.skipif(not DATA.exists(), reason="the data sets are not beside this checkout")
def test_real_mnist():
    parts = load(DATA)
    assert (len(parts.train), len(parts.test)) == (60_000, 10_000)
    assert parts.test.counts()["0"] == 980
    assert parts.train.items.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
