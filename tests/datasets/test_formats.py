"""Finding labeled images: folders, CSV, MNIST, CIFAR-10."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from imgtool.datasets import feature_file
from imgtool.datasets.feature_file import FeatureTable
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError, ImageError
from imgtool.image.write import encode
from locations import SHARED

DATA = SHARED / "data"


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(np.full((4, 5), value, np.uint8), "png"))


def test_folder_of_class_folders(tmp_path):
    for name, value in (("dog/2.png", 2), ("cat/b.png", 1), ("cat/a.png", 0), ("cat/deep/c.png", 3)):
        write(tmp_path / name, value)
    parts = load_dataset(tmp_path)
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
    parts = load_dataset(tmp_path)
    assert (len(parts.train), len(parts.test)) == (2, 2)
    write(tmp_path / held_out / "c" / "1.png")
    with pytest.raises(DataError, match="'c'"):
        load_dataset(tmp_path)


def test_csv(tmp_path):
    write(tmp_path / "x" / "1.png", 7)
    write(tmp_path / "2.png")
    (tmp_path / "list.csv").write_text("path,label\nx/1.png,zebra\n2.png,ant\n")
    train = load_dataset(tmp_path / "list.csv").train
    assert train.classes == ("ant", "zebra")
    assert train.labels.tolist() == [1, 0]
    assert train.image(0)[0, 0] == 7


@pytest.mark.parametrize("text", ["", "path,label\n", "a.png\n", "a.png,x\nb.png,x\n", "a.png,\n", "a,b,c\n"])
def test_bad_csv_is_refused(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=r"list\.csv"):
        load_dataset(tmp_path / "list.csv")


def test_csv_that_names_a_missing_file_is_refused_before_anything_is_read(tmp_path):
    write(tmp_path / "1.png")
    (tmp_path / "list.csv").write_text("1.png,a\n2.png,b\n")
    with pytest.raises(DataError, match=r"2\.png, which is no file"):
        load_dataset(tmp_path / "list.csv")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".jsonl"])
def test_feature_file(tmp_path, suffix):
    features = np.arange(8, dtype=np.float32).reshape(4, 2)
    path = tmp_path / f"f{suffix}"
    feature_file.save(path, FeatureTable(features, list("abcd"), ["y", "x", "y", "x"]))
    train = load_dataset(path).train
    assert train.classes == ("x", "y")
    assert train.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(train.items, features)
    with pytest.raises(DataError, match="vectors"):
        train.image(0)


def test_feature_files_without_labels_or_of_local_descriptors_are_refused(tmp_path):
    features = np.zeros((2, 3), np.float32)
    local = {"frames": np.zeros((2, 2), np.float32), "offsets": np.array([0, 1, 2])}
    cases = (
        (FeatureTable(features, ["a", "b"], ["x", ""]), "without a label"),
        (FeatureTable(features, ["a", "b"], ["x", "x"]), "two or more"),
        (FeatureTable(features, ["a", "b"], ["x", "y"], **local), "local"),
    )
    for number, (table, reason) in enumerate(cases):
        feature_file.save(tmp_path / f"{number}.npz", table)
        with pytest.raises(DataError, match=reason):
            load_dataset(tmp_path / f"{number}.npz")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx(tmp_path, end):
    pack = gzip.compress if end else bytes
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(np.array([3, 9], np.uint8))))
    parts = load_dataset(tmp_path)
    np.testing.assert_array_equal(parts.train.image(1), images[1])
    assert parts.test.labels.tolist() == [3, 9]
    broken = tmp_path / f"train-images-idx3-ubyte{end}"
    huge = b"\0\0\x08\x03" + b"\xff" * 12 + bytes(100)
    for data in (idx(images)[:-1], idx(images) + b"x", b"\0\0\x0d\x03" + idx(images)[4:], huge, b"\0\0\x08", b""):
        broken.write_bytes(pack(data))
        with pytest.raises(DataError, match="train-images"):
            load_dataset(tmp_path)
    for data in (pack(idx(images))[:-9], idx(images)[:9]):
        broken.write_bytes(data)
        with pytest.raises(DataError, match="train-images"):
            load_dataset(tmp_path)
    broken.unlink()
    with pytest.raises(DataError, match="missing"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("labels", "reason"), [([3, 10], "label 10"), ([1, 2, 3], "2 images have 3"), ([], "2 images")]
)
def test_idx_labels_must_fit(tmp_path, labels, reason):
    for part, each in (("train", [1, 2]), ("t10k", labels)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 3, 3), np.uint8)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(each, np.uint8)))
    with pytest.raises(DataError, match=reason) as caught:
        load_dataset(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_cifar(tmp_path):
    record = np.concatenate([[3], np.arange(3072) % 256]).astype(np.uint8)
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\nbird\ncat\n\n")
    (tmp_path / "data_batch_1.bin").write_bytes(record.tobytes() * 2)
    (tmp_path / "test_batch.bin").write_bytes(record.tobytes())
    parts = load_dataset(tmp_path)
    assert (len(parts.train), len(parts.test)) == (2, 1)
    assert parts.train.counts() == {"plane": 0, "car": 0, "bird": 0, "cat": 2}
    assert parts.train.image(0)[0, 1].tolist() == [1, 1025 % 256, 2049 % 256]
    for data, reason in (
        (record.tobytes()[:-1], "multiple"),
        (b"\4" + record.tobytes()[1:], "label 4"),
        (b"", "multiple"),
    ):
        (tmp_path / "test_batch.bin").write_bytes(data)
        with pytest.raises(DataError, match=rf"test_batch.*{reason}"):
            load_dataset(tmp_path)
    for name in ("test_batch.bin", "batches.meta.txt", "data_batch_1.bin"):
        (tmp_path / "test_batch.bin").write_bytes(record.tobytes())
        (tmp_path / name).rename(tmp_path / "away")
        with pytest.raises(DataError, match=f"{name} is missing"):
            load_dataset(tmp_path)
        (tmp_path / "away").rename(tmp_path / name)


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        load_dataset(tmp_path / "missing")
    with pytest.raises(DataError, match="two or more"):
        load_dataset(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="no images"):
        load_dataset(tmp_path)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match="neither a folder"):
        load_dataset(tmp_path / "notes.txt")


def test_digest_tells_data_sets_apart_and_bad_images_are_named(tmp_path):
    write(tmp_path / "a" / "1.png", 1)
    write(tmp_path / "b" / "1.png", 2)
    first = load_dataset(tmp_path).train.digest()
    assert first == load_dataset(tmp_path).train.digest()
    write(tmp_path / "b" / "1.png", 3)
    assert first != load_dataset(tmp_path).train.digest()
    (tmp_path / "b" / "1.png").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"1\.png"):
        load_dataset(tmp_path).train.image(1)


@pytest.mark.skipif(not DATA.exists(), reason="the data sets are not beside this checkout")
def test_real_mnist():
    parts = load_dataset(DATA)
    assert (len(parts.train), len(parts.test)) == (60_000, 10_000)
    assert parts.test.counts()["0"] == 980
    assert parts.train.items.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


@pytest.mark.skipif(not DATA.exists(), reason="the data sets are not beside this checkout")
def test_real_cifar_as_binary_batches_and_as_folders(tmp_path):
    cv2 = pytest.importorskip("cv2")
    with zipfile.ZipFile(DATA / "cifar10.zip") as archive:
        sheet = cv2.imdecode(np.frombuffer(archive.read("test_00.webp"), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        labels = np.load(io.BytesIO(archive.read("test_labels.npy")))[:20]
    images = sheet.reshape(40, 32, 25, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)[:20]
    table = np.column_stack([labels, images.transpose(0, 3, 1, 2).reshape(20, -1)]).astype(np.uint8)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "batches.meta.txt").write_text("\n".join(names))
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / "bin" / name).write_bytes(table.tobytes())
    for index, label in enumerate(labels):
        path = tmp_path / "folders" / names[label] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.ascontiguousarray(images[index]), "png"))
    batches, folders = load_dataset(tmp_path / "bin").test, load_dataset(tmp_path / "folders").train
    assert batches.classes == folders.classes
    order = np.argsort(batches.labels, kind="stable")
    assert batches.labels[order].tolist() == folders.labels.tolist()
    for index, same in enumerate(order):
        np.testing.assert_array_equal(folders.image(index), batches.image(same))
