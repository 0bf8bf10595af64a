"""Layouts of data sets: the same classes, parts and labels for every command, or the same line of refusal."""

import gzip
import json
import shutil
import unicodedata
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError
from imgtool.image.write import encode
from locations import SHARED

DATA = SHARED / "data"
CLASSES = ("circle", "square")


def draw(path, number):
    """Write an image that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (64, 64), dtype=np.uint8)
    path.write_bytes(encode(pixels, "png"))


def class_folders(folder, count, classes=CLASSES, start=0):
    for number, name in enumerate(classes):
        for index in range(count):
            draw(folder / name / f"{index}.png", start + 1000 * number + index)


@dataclass(frozen=True)
class Layout:
    """What is written, by path and number of images in each class folder; what is to be found."""

    folders: dict[str, int]
    train: int = 0
    test: int | None = None
    validation: int | None = None
    classes: tuple[str, ...] = CLASSES
    more: dict[str, int] = field(default_factory=dict)  # single images

    def write(self, place):
        for number, (name, count) in enumerate(self.folders.items()):
            class_folders(place / name, count, self.classes, start=100_000 * number)
        for number, name in enumerate(self.more):
            draw(place / name, 5_000_000 + number)
        return place


GOOD = {
    "classes": Layout({"": 6}, train=12),
    "train-val": Layout({"train": 6, "val": 2}, train=12, test=4),
    "train-test": Layout({"train": 6, "test": 2}, train=12, test=4),
    "all-three": Layout({"train": 6, "val": 2, "test": 3}, train=12, test=6, validation=4),
    "Training-Testing": Layout({"Training": 6, "Testing": 2}, train=12, test=4),
    "TRAIN-VALID": Layout({"TRAIN": 6, "VALID": 2}, train=12, test=4),
    "train-validation": Layout({"train": 6, "validation": 2}, train=12, test=4),
    "train-dev-Test": Layout({"train": 6, "dev": 1, "Test": 2}, train=12, test=4, validation=2),
    "train-eval": Layout({"train": 6, "eval": 2}, train=12, test=4),
    "train alone": Layout({"train": 6}, train=12),
    "test alone": Layout({"test": 6}, test=12),
    "deeper": Layout({"set-160/train": 6, "set-160/val": 2}, train=12, test=4),
    "deeper classes": Layout({"all": 6}, train=12),
    "a class called train": Layout({"": 6}, train=18, classes=("bus", "plane", "train")),
    "classes called train and test": Layout({"": 6}, train=18, classes=("bus", "test", "train")),
    "images beside": Layout({"": 6}, train=12, more={"cover.png": 1}),
    "images deeper": Layout({"": 6}, train=13, more={"circle/old/x.png": 1}),
    "folders of another program": Layout({"": 6}, train=12, more={"@eaDir/circle.png": 1}),
    "folders of another program in parts": Layout({"train": 6, "val": 2}, train=12, test=4,
                                                  more={"train/@eaDir/a.png": 1, "__MACOSX/x.png": 1}),
}  # fmt: skip


def labels_by_hog(place, tmp_path):
    """Return how often each label stands in a feature file of the images in a folder."""
    path = str(tmp_path / "features.npz")
    assert execute(["hog", str(place), "-o", path, "--force", "-q"]) == 0
    return Counter(feature_file.load(path).labels)


@pytest.mark.parametrize("name", GOOD)
def test_D7_a_layout_gives_its_classes_parts_and_labels(name, tmp_path):
    layout = GOOD[name]
    place = layout.write(tmp_path / "data")
    parts = load_dataset(place)
    assert parts.train.classes == tuple(sorted(layout.classes))
    found = [len(parts.train), parts.test and len(parts.test), parts.validation and len(parts.validation)]
    assert found == [layout.train, layout.test, layout.validation]
    for part in (parts.train, parts.test or parts.train, parts.validation or parts.train):
        for index in range(len(part)):
            assert part.classes[part.labels[index]] in Path(part.name(index)).parts
    expected = Counter()
    for part in (parts.train, parts.test, parts.validation):
        expected += Counter() if part is None else Counter(part.counts())
    labels = labels_by_hog(place, tmp_path)
    assert labels - Counter({"": labels[""]}) == expected


BAD = {
    "equal folders": (Layout({"one": 2, "two": 2}), "one and two both hold circle, square and no images"),
    "a stranger among parts": (Layout({"train": 2, "test": 2}, more={"extra/x.png": 1}), "beside them lies extra"),
    "a part without classes": (Layout({"train": 2}, more={"test/x.png": 1}), "test holds images and no class folders"),
    "images in a part": (Layout({"train": 2, "val": 2}, more={"val/x.png": 1}), "val holds images beside class"),
    "two names of a part": (Layout({"train": 2, "val": 2, "valid": 2}), "both val and valid"),
    "equal folders in a part": (Layout({"train/one": 2, "train/two": 2, "val/one": 1, "val/two": 1}), "both hold"),
}  # fmt: skip
COMMANDS = {
    "train": ["train", "{data}", "--model", "two-layer", "-o", "{out}/model", "-q"],
    "evaluate": ["evaluate", "{data}", "--model", "alexnet", "-q"],
    "compare": ["compare", "{data}", "--model", "two-layer", "-q"],
    "hog": ["hog", "{data}", "-o", "{out}/f.npz", "-q"],
    "gist": ["gist", "{data}", "-o", "{out}/g.npz", "-q"],
}


@pytest.mark.parametrize("name", BAD)
def test_D7_what_can_be_read_in_two_ways_is_refused_by_every_command_with_the_same_line(name, tmp_path, capsys):
    layout, reason = BAD[name]
    place = layout.write(tmp_path / "data")
    (tmp_path / "out").mkdir()
    lines = set()
    for arguments in COMMANDS.values():
        assert execute([each.format(data=place, out=tmp_path / "out") for each in arguments]) == 1
        lines.add(capsys.readouterr().err)
    (line,) = lines
    assert line.count("\n") == 1
    assert reason in line
    assert "taken are DATA/CLASS/image and DATA/PART/CLASS/image" in line
    assert not list((tmp_path / "out").iterdir())


def test_F18_what_was_found_is_one_remark_and_quiet_leaves_it_out(tmp_path, capsys):
    layout = Layout({"train": 6, "val": 2}, more={"train/@eaDir/a.png": 1, "cover.png": 1})
    data = str(layout.write(tmp_path / "data"))
    files("train/circle/a.jxl", "train/square/b.jxl", "train/circle/notes.txt", "logs/x.txt")(tmp_path / "data")
    expected = (
        f"imgtool: {data}: 16 images of 2 classes: 12 in train, 4 in val; "
        "left out: 1 image (in no class folder, such as cover.png), 1 folder (without images, such as logs), "
        "2 files (JPEG XL)\n"
    )
    for command in (["train", data, "--model", "two-layer", "--epochs", "1", "-o", str(tmp_path / "m")],
                    ["compare", data, "--model", "two-layer", "--epochs", "1", "--format", "csv"],
                    ["evaluate", data, "--model", f"{tmp_path / 'm'}/", "--format", "csv"]):  # fmt: skip
        for quiet in ([], ["-q", "--force"] if command[0] == "train" else ["-q"]):
            assert execute([*command, *quiet]) == 0
            found = capsys.readouterr().err
            assert (expected in found) == (not quiet)
    command = ["train", data, "--model", "two-layer", "--epochs", "1", "-o", str(tmp_path / "m"), "--force", "-v"]
    assert execute(command) == 0
    assert "1 file (not named as images)" in capsys.readouterr().err
    assert execute(["evaluate", data, "--model", f"{tmp_path / 'm'}/", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"images": 1, "folders": 1, "files": 3}


def test_a_class_may_be_missing_in_the_test_part_and_not_in_training(tmp_path, capsys):
    class_folders(tmp_path / "data" / "train", 6, ("a", "b", "c"))
    class_folders(tmp_path / "data" / "test", 3, ("a", "b"), start=70)
    (tmp_path / "data" / "test" / "c").mkdir()
    command = ["train", str(tmp_path / "data"), "--model", "two-layer", "--epochs", "2", "--json"]
    assert execute([*command, "-o", str(tmp_path / "m")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["accuracy"]["n"] == 6
    assert "test has none of c" in captured.err
    shutil.rmtree(tmp_path / "data" / "test" / "c")
    assert (
        execute(["compare", str(tmp_path / "data"), "--model", "two-layer", "--epochs", "2", "--format", "json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["models"][0]["n"] == 6
    for image in (tmp_path / "data" / "train" / "c").iterdir():
        image.unlink()
    assert execute([*command, "-o", str(tmp_path / "n")]) == 1
    assert "train/c: holds no images" in capsys.readouterr().err
    class_folders(tmp_path / "data" / "test", 1, ("d",), start=90)
    draw(tmp_path / "data" / "train" / "c" / "x.png", 99)
    with pytest.raises(DataError, match="class 'd' of test is not in train"):
        load_dataset(tmp_path / "data")


def test_where_there_is_only_a_test_part_it_is_measured_on_and_nothing_is_trained(tmp_path, capsys):
    class_folders(tmp_path / "data" / "test", 3)
    class_folders(tmp_path / "learn", 3)
    assert execute(["train", str(tmp_path / "learn"), "--model", "two-layer", "-o", str(tmp_path / "m"), "-q"]) == 0
    command = [str(tmp_path / "data"), "-q", "--model"]
    assert execute(["evaluate", *command, f"{tmp_path / 'm'}/", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    for more in (["train", *command, "two-layer", "-o", str(tmp_path / "n")], ["compare", *command, "two-layer"]):
        assert execute(more) == 1
        assert "holds a part called test and none to train on" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_classes_are_compared_in_one_form_of_unicode(form, tmp_path, capsys):
    other = "NFD" if form == "NFC" else "NFC"
    for place, written in (("learn", form), ("data", other)):
        class_folders(tmp_path / place, 4, [unicodedata.normalize(written, name) for name in ("Äpfel", "Birnen")])
    model = f"{tmp_path / 'm'}/"
    assert execute(["train", str(tmp_path / "learn"), "--model", "two-layer", "-o", model, "-q"]) == 0
    errors = []
    for place in ("learn", "data"):  # the same images
        assert execute(["evaluate", str(tmp_path / place), "--model", model, "--format", "json", "-q"]) == 0
        errors.append(json.loads(capsys.readouterr().out)["models"][0]["top1_error"])
    assert errors[0] == errors[1]
    assert set(labels_by_hog(tmp_path / "data", tmp_path)) == {"Äpfel", "Birnen"}


def test_D7_class_folders_that_are_links_count_for_every_command(tmp_path):
    class_folders(tmp_path / "real", 4)
    (tmp_path / "data").mkdir()
    for name in CLASSES:
        (tmp_path / "data" / name).symlink_to(tmp_path / "real" / name)
    assert load_dataset(tmp_path / "data").train.counts() == {"circle": 4, "square": 4}
    assert labels_by_hog(tmp_path / "data", tmp_path) == {"circle": 4, "square": 4}


@pytest.mark.parametrize("link", ["loop", "circle/loop", "itself"])
def test_D7_links_that_lead_back_or_nowhere_are_no_classes(link, tmp_path):
    class_folders(tmp_path / "data", 4)
    target = Path(link).name if link == "itself" else tmp_path / "data"
    (tmp_path / "data" / link).symlink_to(target)
    (tmp_path / "data" / "gone").symlink_to(tmp_path / "nowhere")
    assert load_dataset(tmp_path / "data").train.counts() == {"circle": 4, "square": 4}
    assert labels_by_hog(tmp_path / "data", tmp_path) == {"circle": 4, "square": 4}


# Data sets that come as files of their own.


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder, names, labels=(0, 1, 0, 1)):
    """Write training and test part under names with places for part, kind and dimensions."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.array(labels, np.uint8)
    images = np.arange(len(labels) * 28 * 28).reshape(-1, 28, 28).astype(np.uint8)
    for name in names:
        array = images if "images" in name else labels
        (folder / name).write_bytes(gzip.compress(idx(array)) if name.endswith(".gz") else idx(array))
    return images


def idx_names(prefix="", test="t10k", mark="-", end=""):
    kinds = (f"images{mark}idx3-ubyte{end}", f"labels{mark}idx1-ubyte{end}")
    return [f"{prefix}{part}-{kind}" for part in ("train", test) for kind in kinds]


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_under_dash_and_dot_names(mark, end, tmp_path):
    images = write_idx(tmp_path, idx_names(mark=mark, end=end))
    parts = load_dataset(tmp_path)
    assert parts.train.classes == tuple("0123456789")
    np.testing.assert_array_equal(parts.test.image(1), images[1])


@pytest.mark.parametrize(
    ("name", "labels", "classes"),
    [("letters", [1, 26, 1, 2], "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ("digits", [0, 9, 0, 1], "0123456789"),
     ("balanced", [0, 46, 10, 36], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")],
)  # fmt: skip
def test_emnist_is_upright_and_its_labels_are_characters(name, labels, classes, tmp_path):
    images = write_idx(tmp_path, idx_names(f"emnist-{name}-", "test", end=".gz"), labels)
    parts = load_dataset(tmp_path)
    assert parts.train.classes == tuple(classes)
    np.testing.assert_array_equal(parts.train.image(1), images[1].T)
    assert parts.train.classes[parts.train.labels[1]] == classes[labels[1] - (name == "letters")]
    write_idx(tmp_path, idx_names("emnist-mnist-", "test"))
    with pytest.raises(DataError, match="holds 2 sets of IDX files"):
        load_dataset(tmp_path)


def test_cifar_100(tmp_path):
    record = np.concatenate([[1, 2], np.arange(3072) % 256]).astype(np.uint8)
    (tmp_path / "fine_label_names.txt").write_text("apple\nbear\ncrab\n")
    (tmp_path / "train.bin").write_bytes(record.tobytes() * 3)
    (tmp_path / "test.bin").write_bytes(record.tobytes())
    parts = load_dataset(tmp_path)
    assert (len(parts.train), len(parts.test)) == (3, 1)
    assert parts.train.counts() == {"apple": 0, "bear": 0, "crab": 3}
    assert parts.train.image(0)[0, 1].tolist() == [1, 1025 % 256, 2049 % 256]
    (tmp_path / "fine_label_names.txt").unlink()
    with pytest.raises(DataError, match=r"of CIFAR-100's files fine_label_names\.txt is missing"):
        load_dataset(tmp_path)


def files(*names):
    def write(place):
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(b"\x80\x04x")
        return place

    return write


REFUSED = {
    "CIFAR-10 pickled": (files("data_batch_1", "batches.meta"), "", "cifar-10-binary.tar.gz"),
    "CIFAR-100 pickled": (files("train", "test", "meta"), "", "cifar-100-binary.tar.gz"),
    "a parent of MNIST": (files(*(f"MNIST/raw/{name}" for name in idx_names())), "",
                          "IDX files lie in {data}/MNIST/raw, which is taken"),
    "a parent of CIFAR": (files("x/cifar-10-batches-py/data_batch_1", "x/cifar-10-batches-py/batches.meta"), "",
                          "batches lie in {data}/x/cifar-10-batches-py, which is not read; the binary version is"),
    "a parent of binary CIFAR": (files("x/test.bin", "x/train.bin", "y/readme"), "", "CIFAR's batches lie in"),
    "tar.gz": (files("set.tar.gz"), "set.tar.gz", "is an archive; unpack it first"),
    "tar": (files("set.tar"), "set.tar", "is an archive; unpack it first"),
    "zip": (files("set.ZIP"), "set.ZIP", "is an archive; unpack it first"),
    "a folder of archives": (files("imagenette2.tgz"), "", "1 archives"),
    "one IDX file": (files(*idx_names()), idx_names()[0], "the folder that holds them is taken"),
    "one of CIFAR's": (files("test_batch.bin"), "test_batch.bin", "the folder that holds them is taken"),
    "a pickle": (files("set.pkl"), "set.pkl", "is a pickle, which is not read"),
    "a MATLAB file": (files("svhn.mat"), "svhn.mat", "is a file of MATLAB"),
    "a flat folder": (files("a.png", "b.png"), "", "0 class folders, 2 images"),
    "one class": (files("a/a.png", "a/b.png"), "", "1 class folder"),
    "nothing": (files(), "gone", "no such file or folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_things_are_refused_saying_what_they_are_and_what_would_be_taken(name, tmp_path, capsys):
    write, file, reason = REFUSED[name]
    (tmp_path / "data").mkdir()
    place = write(tmp_path / "data") / file
    lines = set()
    for command in ("train", "evaluate", "compare"):
        (tmp_path / "out").mkdir(exist_ok=True)
        assert execute([each.format(data=place, out=tmp_path / "out") for each in COMMANDS[command]]) == 1
        lines.add(capsys.readouterr().err)
    (line,) = lines
    assert reason.format(data=tmp_path / "data") in line
    assert line.count("\n") == 1


# Lists.

LISTS = {
    "plain": "{0},a\n{1},b\n{2},a\n{3},b\n",
    "header": "path,label\n{0},a\n{1},b\n{2},a\n{3},b\n",
    "other names": "id;class;Filename\n1;a;{0}\n2;b;{1}\n3;a;{2}\n4;b;{3}\n",
    "tabs": "image\tlabel\n{0}\ta\n{1}\tb\n{2}\ta\n{3}\tb\n",
    "mark and CRLF": "\ufefffile,label\r\n{0},a\r\n{1},b\r\n{2},a\r\n{3},b\r\n",
    "quoted": '"path","label"\n"{0}","a"\n"{1}","b"\n"{2}","a"\n"{3}","b"\n',
    "split": "path,label,split\n{0},a,train\n{1},b,Training\n{2},a,test\n{3},b,eval\n",
    **{
        f"split called {name}": f"path,label,{name}\n{{0}},a,train\n{{1}},b,train\n{{2}},a,test\n{{3}},b,test\n"
        for name in ("part", "Subset", "set")
    },
    "split first": "split,path,label\ntrain,{0},a\ntrain,{1},b\nvalid,{2},a\ndev,{3},b\n",
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_lists_of_images(name, suffix, tmp_path):
    names = [f"x/{index}.png" for index in range(4)]
    for number, each in enumerate(names):
        draw(tmp_path / each, number)
    path = tmp_path / f"list{suffix}"
    path.write_bytes(LISTS[name].format(*names).encode())
    parts = load_dataset(path)
    assert parts.train.classes == ("a", "b")
    if name.startswith("split"):
        assert [parts.train.name(0), parts.test.name(1)] == [str(tmp_path / names[0]), str(tmp_path / names[3])]
    else:
        assert parts.train.labels.tolist() == [0, 1, 0, 1]
        assert parts.test is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("path,label,split\n0.png,a,train\n1.png,b,later\n", "row 3: no part is called 'later'"),
     ("path,label\n0.png,a\n1.png\n", "row 3 has 1 cell "),
     ("path,label,label\n0.png,a,b\n", "two columns for the label"),
     ("path,label\n0.png,a\n8.png,b\n9.png,b\n", "2 of the 3 files that it names do not exist: .*8.png"),
     ("path,label,usage\n0.png,a,Train\n1.png,b,Test\n", "column 'usage' holds names of parts: call it split"),
     ("path,label\n0.png,\n", "row 2: each line must hold a path and a label")],
)  # fmt: skip
def test_lists_that_are_wrong_are_refused_in_a_line(text, reason, tmp_path):
    draw(tmp_path / "0.png", 0)
    draw(tmp_path / "1.png", 1)
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        load_dataset(tmp_path / "list.csv")


def test_without_the_listed_files_that_are_missing(tmp_path, capsys):
    for number in range(8):
        draw(tmp_path / f"{number}.png", number)
    lines = [f"{number}.png,{'ab'[number % 2]}" for number in range(10)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    command = ["train", str(tmp_path / "list.csv"), "--model", "two-layer", "-o", str(tmp_path / "m"), "--json"]
    assert execute(command) == 1
    assert capsys.readouterr().err.endswith("; --skip-bad goes on without them\n")
    assert execute([*command, "--skip-bad"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"files": 2}


@pytest.mark.skipif(not DATA.exists(), reason="the data sets are not beside this checkout")
def test_imagenette_as_it_is_published_meets_the_models_that_know_it(tmp_path, capsys):
    names = json.loads((Path("imgtool/classifiers/models/alexnet@imagenette/model.json")).read_text())["classes"]
    with zipfile.ZipFile(DATA / "imagenette_val.zip") as archive:
        for each in names:
            found = [name for name in archive.namelist() if f"/{each['id']}/" in name and name.endswith(".jpg")]
            for name in found[:3]:
                path = tmp_path / "set" / "imagenette2-160" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    models = ["--model", "alexnet@imagenette", "--model", "sift-fv-svm@imagenette"]
    assert execute(["evaluate", str(tmp_path / "set"), *models, "--format", "json", "-q"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert all(row["n"] == 30 and row["top1_error"] < 0.4 for row in rows)
