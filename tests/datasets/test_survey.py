"""What a data set's images are found to be before anything is trained: bad, equal, of two labels, of wide types."""

import json
import shutil

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.equal_images import across_line, equal_images, equal_pairs, named_twice, repeated, two_labels
from imgtool.datasets.formats import Parts, load_dataset
from imgtool.datasets.survey import BadFilesError, checked
from imgtool.errors import DataError, ImageError
from imgtool.image import read
from imgtool.image.levels import as_levels
from imgtool.image.write import encode
from locations import SAMPLES, SHARED

TEXTURES = SAMPLES / "textures"
COMMANDS = {
    "train": ["train", "{data}", "--model", "two-layer", "--epochs", "1", "-o", "{out}/new", "--json"],
    "compare": ["compare", "{data}", "--model", "two-layer", "--epochs", "1", "--format", "json"],
    "evaluate": ["evaluate", "{data}", "--model", "{out}/known/", "--format", "json"],
}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A folder with a model that knows the textures."""
    place = tmp_path_factory.mktemp("models")
    command = ["train", str(TEXTURES), "--model", "two-layer", "--epochs", "1", "-o", str(place / "known"), "-q"]
    assert execute(command) == 0
    return place


@pytest.fixture
def out(known, tmp_path):
    shutil.copytree(known, tmp_path / "out")
    return tmp_path / "out"


def spoil(data):
    """Make some images unusable; return their names with a word of the reason."""
    bad = {"brick/brick_01.png": "is no image", "grass/grass_02.png": "is empty", "gravel/gravel_03.png": "is cut",
           "grass/nan.npy": "holds NaN", "brick/wide.npy": "float32 with values up to 255",
           "brick/five.npy": "has 5 samples a pixel", "gravel/far.npy": "int64 with values up to 70000"}  # fmt: skip
    (data / "brick/brick_01.png").write_text("<html>not found</html>")
    (data / "grass/grass_02.png").write_bytes(b"")
    whole = (data / "gravel/gravel_03.png").read_bytes()
    (data / "gravel/gravel_03.png").write_bytes(whole[: len(whole) // 2])
    np.save(data / "grass/nan.npy", np.full((9, 9), np.nan, np.float32))
    np.save(data / "brick/wide.npy", np.full((9, 9), 255, np.float32))
    np.save(data / "brick/five.npy", np.zeros((9, 9, 5), np.uint8))
    np.save(data / "gravel/far.npy", np.full((9, 9), 70_000))
    return bad


@pytest.mark.parametrize("name", COMMANDS)
def test_F18_all_bad_files_are_named_at_once_and_skip_bad_goes_on_without_them(name, out, tmp_path, capsys):
    shutil.copytree(TEXTURES, tmp_path / "data")
    bad = spoil(tmp_path / "data")
    command = [each.format(data=tmp_path / "data", out=out) for each in COMMANDS[name]]
    assert execute(command) == 1
    captured = capsys.readouterr()
    *lines, last = captured.err.splitlines()
    assert captured.out == ""
    assert last == f"imgtool: {len(bad)} of 52 images cannot be used; --skip-bad goes on without them"
    for file, reason in bad.items():
        (line,) = [each for each in lines if each.startswith(f"imgtool: {tmp_path / 'data' / file}: ")]
        assert reason in line
        assert not any(advice in line for advice in ("--allow-truncated", "bands picks"))  # what these do not have
    assert len(lines) == len(bad)
    assert not (out / "new").exists()
    assert execute([*command, "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["left_out"] == {"files": len(bad)}
    assert f"45 images of 3 classes; left out: {len(bad)} files (cannot be used: " in captured.err


@pytest.mark.parametrize("name", ["train", "compare"])
def test_a_class_that_loses_all_its_images_cannot_be_trained(name, out, tmp_path, capsys):
    shutil.copytree(TEXTURES, tmp_path / "data")
    for image in (tmp_path / "data" / "grass").iterdir():
        image.write_bytes(b"text")
    command = [each.format(data=tmp_path / "data", out=out) for each in COMMANDS[name]]
    assert execute([*command, "--skip-bad"]) == 1
    assert "class 'grass' has no image that can be used" in capsys.readouterr().err


def test_where_every_image_is_bad_no_way_out_is_promised(out, tmp_path, capsys):
    for index in range(4):
        path = tmp_path / "data" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    for command in COMMANDS.values():
        arguments = [each.format(data=tmp_path / "data", out=out) for each in command]
        assert execute([*arguments, "--skip-bad"]) == 1
        assert capsys.readouterr().err.splitlines()[-1] == "imgtool: 4 of 4 images cannot be used"


def test_a_bad_file_in_any_part_is_found_before_training_and_only_what_is_measured_matters_to_evaluate(
    out, tmp_path, capsys
):
    for part in ("train", "test", "val"):
        shutil.copytree(TEXTURES, tmp_path / "data" / part)
    for part, status in (("train", 0), ("val", 0), ("test", 1)):
        image = tmp_path / "data" / part / "brick" / "brick_00.png"
        content = image.read_bytes()
        image.write_bytes(b"")
        for name, expected in (("train", 1), ("compare", 1), ("evaluate", status)):
            command = [each.format(data=tmp_path / "data", out=out) for each in COMMANDS[name]]
            assert execute(command) == expected
            assert (f"{image}: is empty" in capsys.readouterr().err) == (expected == 1)
        image.write_bytes(content)


def test_a_class_of_one_image_that_is_to_be_divided_names_the_file(tmp_path, capsys):
    shutil.copytree(TEXTURES, tmp_path / "data")
    for image in sorted((tmp_path / "data" / "grass").iterdir())[1:]:
        image.unlink()
    assert execute(["compare", str(tmp_path / "data"), "--model", "two-layer"]) == 1
    assert (
        f"class 'grass' has a single image, {tmp_path / 'data' / 'grass' / 'grass_00.png'};" in capsys.readouterr().err
    )


def arrays(*groups):
    """Return a data set of gray images, one class for each group of levels."""
    images = np.stack([np.full((4, 4), level, np.uint8) for group in groups for level in group])
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return Dataset(images, labels, tuple("abc"[: len(groups)]))


def test_C4_equal_images_within_a_part_and_images_of_two_labels():
    data = checked(Parts(arrays([1, 2, 1, 1], [3, 4]), arrays([5], [5]))).all()
    assert repeated(data["train"]) == [("#0", "#2"), ("#0", "#3")]
    assert two_labels([*data.values()]) == [("#0", "a", "#1", "b")]
    assert equal_images(data) == [
        "1 image has two labels: #0 is 'a' and #1 is 'b'",
        "2 images stand more than once in train: #0 equals #2",
    ]


@pytest.mark.parametrize("command", ["train", "compare", "evaluate"])
def test_C4_two_labels_and_repeated_images_are_remarks_of_every_command(command, out, tmp_path, capsys):
    lines = ["path,label"]
    for name in ("brick", "grass", "gravel"):
        lines += [f"{TEXTURES / name / f'{name}_{index:02}.png'},{name}" for index in range(8)]
    again = [lines[1].replace(",brick", ",grass"), lines[2]]
    (tmp_path / "list.csv").write_text("\n".join([*lines, *again]))
    shutil.copy(TEXTURES / "gravel" / "gravel_04.png", tmp_path / "copy.png")
    (tmp_path / "list.csv").write_text("\n".join([*lines, *again, "copy.png,gravel"]))
    assert execute([each.format(data=tmp_path / "list.csv", out=out) for each in COMMANDS[command]]) == 0
    found = capsys.readouterr().err
    assert "1 image has two labels: " in found
    if command != "compare":  # which divides it: equal images come to lie in both parts
        part = "test" if command == "evaluate" and "more than once in test" in found else "train"
        assert f"1 file is named more than once in {part}: {lines[2].partition(',')[0]}\n" in found
        assert f"1 image stands more than once in {part}: " in found
    else:
        assert "more than once in" in found or "in both parts" in found


def test_C4_a_file_that_a_list_names_more_than_once_is_one_image(tmp_path):
    names = [TEXTURES / "brick" / f"brick_{index:02}.png" for index in range(2)]
    shutil.copy(names[0], tmp_path / "copy.png")
    part = Dataset([*names, names[0], tmp_path / "copy.png", names[0], names[1]], np.zeros(6, int), ("brick",))
    assert named_twice(part) == [str(name) for name in names]
    assert repeated(part) == [(str(names[0]), str(tmp_path / "copy.png"))]
    assert equal_images({"train": part}) == [
        f"2 files are named more than once in train: {names[0]}",
        f"1 image stands more than once in train: {names[0]} equals {tmp_path / 'copy.png'}",
    ]
    assert across_line([*equal_pairs(part.subset(np.arange(1)), part.subset(np.arange(2, 3)))]) == [
        f"1 pair of equal images stands in both parts, such as {names[0]}, one file"
    ]


WIDE = [np.int8, np.int16, np.int32, np.int64, np.uint32, np.uint64]


@pytest.mark.parametrize("dtype", WIDE)
def test_integers_of_wide_types_are_taken_by_their_largest_value(dtype):
    small = np.array([[0, 7], [100, 127]], dtype)
    np.testing.assert_array_equal(as_levels(small), small.astype(np.uint8))
    assert as_levels(small).dtype == np.uint8
    if dtype != np.int8:
        large = np.array([[0, 300], [31_000, 5]], dtype)
        np.testing.assert_array_equal(as_levels(large), large.astype(np.uint16))
        assert as_levels(large).dtype == np.uint16
    if np.dtype(dtype).kind == "i":
        remarks = []
        assert as_levels(np.array([[-5, 9]], dtype), remarks).tolist() == [[0, 9]]
        assert [(each.kind, each.count) for each in remarks] == [("wide", 1), ("negative", 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
def test_images_of_plain_types_are_what_they_are(dtype):
    image = np.ones((3, 3), dtype)
    assert as_levels(image) is image


@pytest.mark.parametrize(
    ("values", "reason"),
    [([0, 1.6], "up to 1.6; models take floats from 0 to 1"), ([0, 255.0], "up to 255"), ([-2.0, 1], "down to -2"),
     ([0, np.nan], "NaN"), ([0, np.inf], "NaN or infinity")],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_beyond_0_to_1_are_refused(values, reason, dtype):
    with pytest.raises(ImageError, match=reason):
        as_levels(np.array([values], dtype))
    inside = np.array([[0, 1.2]], dtype)
    assert as_levels(inside) is inside


@pytest.mark.parametrize("command", [*COMMANDS, "classify"])
def test_wide_types_give_the_same_answer_in_every_command(command, out, tmp_path, capsys):
    found = {}
    for kind in ("png", "int64"):
        for name in ("brick", "grass", "gravel"):
            for image in sorted((TEXTURES / name).iterdir())[:6]:
                place = tmp_path / kind / name / image.stem
                place.parent.mkdir(parents=True, exist_ok=True)
                _write(place, image, kind)
        data = tmp_path / kind
        arguments = COMMANDS.get(command, ["classify", "{data}", "--model", "{out}/known", "--format", "jsonl"])
        assert execute([*(each.format(data=data, out=out) for each in arguments), "-q"]) == 0
        printed = capsys.readouterr().out
        shutil.rmtree(out / "new", ignore_errors=True)
        if command == "classify":
            found[kind] = [json.loads(line)["score"] for line in printed.splitlines()]
        else:
            record = json.loads(printed)
            found[kind] = record.get("models", [record])[0].get("top1_error", record.get("images"))
    assert found["png"] == found["int64"]


def _write(place, image, kind):
    pixels = read(image)
    if kind == "png":
        place.with_suffix(".png").write_bytes(encode(pixels, "png"))
    else:
        np.save(place.with_suffix(".npy"), pixels.astype(np.int64))


def test_where_images_are_taken_as_8_and_as_16_bits_there_is_a_remark(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for index in range(12):
        path = tmp_path / "data" / "ab"[index % 2] / f"{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.integers(0, 256 if index else 4096, (9, 9)))
    command = ["train", str(tmp_path / "data"), "--model", "two-layer", "--epochs", "1", "-o", str(tmp_path / "m")]
    assert execute(command) == 0
    assert "12 images are taken by their largest values, 11 as 8 bits and 1 as 16 bits" in capsys.readouterr().err
    classify = ["classify", str(tmp_path / "data"), "--model", f"{tmp_path / 'm'}/", "--format", "jsonl"]
    assert execute(classify) == 0
    captured = capsys.readouterr()
    assert "12 images were taken by the largest value, whatever the type (1 as 16 bits, 11 as 8 bits)" in captured.err
    assert json.loads(captured.out.splitlines()[0])["left_out"] == {"wide": 1}
    (tmp_path / "data" / "a" / "0.npy").unlink()
    for again in ([*command, "--force"], classify):
        assert execute(again) == 0
        assert "largest value" not in capsys.readouterr().err
    np.save(tmp_path / "data" / "a" / "0.npy", rng.integers(-5, 256, (9, 9)))
    for again, line in (
        ([*command, "--force"], "negative pixels are shown black"),
        (classify, "negative: shown black"),
    ):
        assert execute(again) == 0
        assert line in capsys.readouterr().err


@pytest.mark.skipif(not (SHARED / "cases").exists(), reason="the cases are not beside this checkout")
@pytest.mark.parametrize("model", ["alexnet", "sift-fv-svm"])
def test_the_photograph_of_floats_to_255_is_refused_and_the_advice_helps(model, tmp_path, capsys):
    path = str(SHARED / "cases" / "float255.npy")
    assert execute(["classify", path, "--model", model, "-q"]) == 1
    assert "models take floats from 0 to 1; imgtool convert --depth 8 --range stretch" in capsys.readouterr().err
    assert execute(["convert", path, "--depth", "8", "--range", "stretch", "-o", str(tmp_path / "x.png"), "-q"]) == 0
    assert execute(["classify", str(tmp_path / "x.png"), "--model", model, "-q"]) == 0


def test_what_is_wrong_is_one_error_in_python_too(tmp_path):
    shutil.copytree(TEXTURES, tmp_path / "data")
    bad = spoil(tmp_path / "data")
    parts = load_dataset(tmp_path / "data")
    with pytest.raises(BadFilesError, match=r"7 of 52 images cannot be used: .*brick_01\.png: is no image") as caught:
        checked(parts)
    assert isinstance(caught.value, DataError)
    assert {name.removeprefix(f"{tmp_path / 'data'}/") for name, _ in caught.value.files} == set(bad)
    assert len(checked(parts, skip_bad=True).train) == 45
