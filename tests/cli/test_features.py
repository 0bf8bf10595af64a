"""`imgtool features search`, `merge` and `convert`."""

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.datasets.feature_file import FeatureTable
from imgtool.features.gist import gist

RNG = np.random.default_rng(0)
IMAGES = {f"in/{label}/{n}.png": cv2.GaussianBlur(RNG.integers(0, 256, (48, 56), dtype=np.uint8), (0, 0), sigma)
          for label, sigma in (("fine", 0.8), ("coarse", 3.0)) for n in range(3)}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, image in IMAGES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(path, image)
    (tmp_path / "bad.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.parametrize(
    "describe",
    [["gist", "--size", "64"], ["hog"], ["hog", "--variant", "uoctti"], ["hog", "--cell", "6,8", "--sqrt"],
     ["fisher"], ["fisher", "--encoding", "vlad", "--pyramid", "1x1,3x1"],
     ["embed", "--model", "lenet"], ["embed", "--model", "lenet", "--layer", "conv2"]],
    ids=" ".join,
)  # fmt: skip
def test_an_image_is_found_by_its_own_description(describe, rows_of):
    assert execute([*describe, "-q", "in", "-o", "f.npz"]) == 0
    cv2.imwrite("copy.png", IMAGES["in/fine/1.png"])  # not in the file: it is described anew
    rows = rows_of("features", "search", "--query", "copy.png", "--top", "3", "f.npz")
    assert (rows[0]["path"], rows[0]["label"], rows[0]["rank"]) == ("in/fine/1.png", "fine", 1)
    assert rows[0]["score"] == pytest.approx(1, abs=1e-5)
    assert len(rows) == 3
    same = rows_of("features", "search", "--query", "in/fine/1.png", "--top", "3", "f.npz")
    assert [row["path"] for row in same] == [row["path"] for row in rows]


def test_contact_sheet_and_duplicates(rows_of):
    cv2.imwrite("in/fine/again.png", IMAGES["in/fine/1.png"])
    assert execute(["gist", "-q", "in", "-o", "f.npz"]) == 0
    rows_of("features", "search", "--query", "in/fine/1.png", "--show", "sheet.png", "f.npz")
    assert cv2.imread("sheet.png").shape == (3 * 168 + 8, 3 * 168 + 8, 3)
    (pair,) = rows_of("features", "search", "--duplicates", "--threshold", "0.999", "f.npz")
    assert (pair["path"], pair["other"]) == ("in/fine/1.png", "in/fine/again.png")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["f.npz"], 2, "name one"),
        (["f.npz", "--query", "x.png", "--duplicates"], 2, "name one"),
        (["f.npz", "--duplicates", "--show", "x.png"], 2, "name one"),
        (["f.npz", "--query", "gone.png"], 1, "gone.png"),
        (["f.npz", "--query", "bad.png"], 1, "bad.png: is no image"),
        (["gone.npz", "--query", "in/fine/0.png"], 1, "gone.npz"),
        (["sift.npz", "--duplicates"], 1, "local descriptors"),
        (["plain.npz", "--query", "in/fine/0.png"], 1, "does not say how"),
        (["odd.npz", "--query", "in/fine/0.png"], 1, "odd.npz: "),
        (["odder.npz", "--query", "in/fine/0.png"], 1, "odder.npz: "),
        (["other.npz", "--query", "in/fine/0.png"], 1, "other.npz: the query has 512 numbers"),
        (["large.npz", "--query", "a"], 1, "large.npz: there are numbers too large"),
        (["large.npz", "--duplicates"], 1, "large.npz: there are numbers too large"),
        (["f.npz", "--query", "-"], 1, "standard input: is empty"),
        (["f.npz", "--query", "in/fine/0.png", "--show", "in/fine/0.png", "--force"], 2, "0.png: is an input"),
        (["f.npz", "--query", "in/fine/0.png", "--show", "in/coarse/1.png", "--force"], 2, "1.png: is an input"),
    ],
)
def test_search_refuses_in_one_line(arguments, status, message, capsys, monkeypatch):
    one = np.ones((1, 512), np.float32)
    feature_file.save("plain.npz", FeatureTable(one, ["a"], [""]))
    meta = {"descriptor": "gist", "parameters": {"size": 64, "colour": 3}}
    feature_file.save("odd.npz", FeatureTable(one, ["a"], [""], meta))
    feature_file.save("other.npz", FeatureTable(one[:, :9], ["a"], [""], {"descriptor": "gist", "parameters": {}}))
    feature_file.save("large.npz", FeatureTable(one * 1e30, ["a"], [""]))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    feature_file.save("odder.npz", FeatureTable(one, ["a"], [""], {**meta, "parameters": [1]}))
    assert execute(["gist", "-q", "in", "-o", "f.npz"]) == 0
    assert execute(["sift", "-q", "in", "-o", "sift.npz"]) == 0
    assert execute(["features", "search", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_the_query_from_standard_input_is_shown(monkeypatch, rows_of):
    assert execute(["gist", "-q", "in", "-o", "f.npz"]) == 0
    content = cv2.imencode(".png", IMAGES["in/fine/1.png"])[1].tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    rows = rows_of("features", "search", "--query", "-", "--show", "sheet.png", "--top", "1", "f.npz")
    assert [row["path"] for row in rows] == ["in/fine/1.png"]
    sheet = cv2.imread("sheet.png")
    left, right = sheet[8:168, 8:168], sheet[8:168, 176:336]
    assert cv2.absdiff(left[20:-20, 20:-20], right[20:-20, 20:-20]).max() == 0


@pytest.mark.parametrize("command", [["gist", "--size", "64"], ["sift", "--step", "8"]])
def test_merged_parts_are_the_whole(command, capsys):
    for name, path in (("whole", "in"), ("a", "in/coarse"), ("b", "in/fine")):
        assert execute([*command, "-q", path, "-o", f"{name}.npz"]) == 0
    assert execute(["features", "merge", "a.npz", "b.npz", "-o", "merged.npz"]) == 0
    whole, merged = feature_file.load("whole.npz"), feature_file.load("merged.npz")
    assert list(merged.paths) == list(whole.paths)
    np.testing.assert_array_equal(merged.features, whole.features)
    if whole.offsets is not None:
        np.testing.assert_array_equal(merged.offsets, whole.offsets)
        np.testing.assert_array_equal(merged.frames, whole.frames)
    assert merged.meta == whole.meta


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A folder with a feature file of 200 MB."""
    folder = tmp_path_factory.mktemp("large")
    numbers = np.random.default_rng(0).random((50_000, 1024), np.float32)
    names = [f"{index}.png" for index in range(len(numbers))]
    feature_file.save(folder / "f.npz", FeatureTable(numbers, names, names))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command", ["merge f.npz -o g.npz", "convert f.npz -o h.npy", "info f.npz"])
def test_memory_does_not_grow_with_feature_files(command, large, measured):
    done, peak = measured("features", *command.split(), cwd=large)
    assert done.returncode == 0, done.stderr
    assert peak < 100


def test_files_that_were_made_otherwise_are_not_merged(capsys):
    assert execute(["gist", "-q", "in", "-o", "a.npz"]) == 0
    assert execute(["gist", "-q", "--prefilter", "8", "in", "-o", "b.npz"]) == 0
    assert execute(["features", "merge", "a.npz", "b.npz", "-o", "c.npz"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "b.npz: was not made as a.npz was" in err


@pytest.mark.parametrize("suffix", ["npy", "csv", "jsonl", "parquet"])
def test_converted_files_hold_the_same_vectors(suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra 'parquet'")
    assert execute(["gist", "-q", "--size", "64", "in", "-o", "f.npz"]) == 0
    assert execute(["features", "convert", "f.npz", "-o", f"g.{suffix}"]) == 0
    assert execute(["features", "convert", f"g.{suffix}", "-o", "h.npz"]) == 0
    expected = np.stack([gist(IMAGES[path], size=64) for path in sorted(IMAGES)])
    np.testing.assert_allclose(feature_file.load("h.npz").features, expected, rtol=1e-6)


def test_what_is_read_or_there_is_not_overwritten(capsys):
    assert execute(["gist", "-q", "in", "-o", "f.npz"]) == 0
    assert execute(["gist", "-q", "in", "-o", "g.npz"]) == 0
    assert execute(["features", "merge", "f.npz", "g.npz", "-o", "./f.npz", "--force"]) == 2
    assert execute(["features", "convert", "f.npz", "-o", "g.npz"]) == 1
    assert execute(["features", "convert", "f.npz", "-o", "g.npz", "--force"]) == 0
    assert execute(["features", "convert", "f.npz", "-o", "g.xyz"]) == 2
    Path("d.npz").mkdir()
    for command in (["gist", "in"], ["features", "merge", "f.npz"]):
        capsys.readouterr()
        assert execute([*command, "-o", "d.npz", "--force"]) == 1
        assert capsys.readouterr().err == "imgtool: d.npz: is a folder\n"
