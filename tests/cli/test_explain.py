"""What is explained in numbers, through the whole program: text, JSON, and what cannot be explained."""

import re
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool.cli.matrices import Matrix, beside, short
from imgtool.image import encode, read
from locations import SAMPLES

TEXTBOOK = str(SAMPLES / "textbook_10x10.png")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, shape in (("a", (20, 30, 3)), ("b", (30, 20)), ("clear", (20, 20, 4))):
        Path(f"{name}.png").write_bytes(encode(rng.integers(0, 256, shape, dtype=np.uint8), "png"))


def numbers(text):
    """Return the numbers in lines of text, brackets and other words left out."""
    return [[float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", line)] for line in text.splitlines()]


def test_a_pixel_is_told_as_window_kernel_products_and_sum(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    done = run("filter", "--kernel", "sobel-x", "--explain", "3,2", TEXTBOOK)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"{TEXTBOOK}: sobel-x at x=3, y=2"
    assert lines[2].split("   ")[0].strip() == "window"
    window, kernel, products = np.split(np.array(numbers("\n".join(lines[3:6]))), 3, axis=1)
    image = read(TEXTBOOK)
    np.testing.assert_array_equal(window, image[1:4, 2:5])
    np.testing.assert_array_equal(kernel, imgtool.kernel("sobel-x")[::-1, ::-1])
    np.testing.assert_array_equal(products, window * kernel)
    total = int(products.sum())
    pixel = int(imgtool.filter_image(image, "sobel-x")[2, 3])
    assert lines[6] == f"gray: the sum is {total}, the pixel by --range auto {pixel}"
    assert len(lines) == 7


def test_what_lies_outside_stands_in_brackets(run):
    done = run("filter", "--kernel", "box", "--explain", "0,0", "--border", "copy", "b.png")
    corner = read("b.png")[0, 0]
    assert done.out.count("[") == 5 + 1  # of a corner's window, and in the note
    assert f"[{corner}] [{corner}]" in done.out
    assert done.out.splitlines()[-1] == "[ ] lies outside the image; its value is that of --border copy"


@pytest.mark.parametrize("settings", [
    ("--kernel", "gaussian", "--sigma", "0.5"), ("--matrix", "1 2; 3 4", "--correlate", "--border", "wrap"),
    ("--kernel", "sobel-y", "--range", "center", "--normalize", "abs"),
])  # fmt: skip
def test_json_holds_what_the_filter_gives(settings, run):
    (row,) = run("filter", *settings, "--explain", "7,3", "--json", "a.png").rows
    assert run("filter", *settings, "a.png", "-o", "out.png").status == 0
    assert run("filter", *settings, "--range", "raw", "a.png", "-o", "out.npy").status == 0
    assert [each["channel"] for each in row["channels"]] == ["red", "green", "blue"]
    assert [each["pixel"] for each in row["channels"]] == read("out.png")[3, 7].tolist()
    np.testing.assert_allclose([each["sum"] for each in row["channels"]], np.load("out.npy")[3, 7], rtol=1e-12)
    for each in row["channels"]:
        np.testing.assert_allclose(each["products"], np.multiply(each["window"], row["taps"]))
    assert (row["path"], row["x"], row["y"]) == ("a.png", 7, 3)


def test_several_images_are_explained_and_one_that_has_no_such_pixel_is_one_line(run):
    done = run("filter", "--kernel", "box", "--explain", "25,0", "a.png", "b.png")
    assert done.status == 1
    assert done.out.startswith("a.png: box at x=25, y=0\n")
    assert done.err == "imgtool: b.png: is 20x30 pixels; 25,0 lies outside (columns and rows count from 0)\n"


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("filter --kernel median --explain 1,1 a.png", 2, "only convolutions are sums of products; median is none"),
        ("filter --kernel box --explain 1,1 a.png -o x.png", 2, "-o does not go with --explain"),
        ("filter --kernel box --explain 1,1 a.png --force", 2, "--force does not go with --explain"),
        ("filter --kernel box --explain 1,1 a.png --nodata 3", 2, "--nodata does not go with --explain"),
        ("filter --kernel box --explain 1,1 a.png --method fft", 2, "--method does not go with --explain"),
        ("filter --kernel box --explain 1,1 a.png --border all", 2, "one kernel, at one border"),
        ("filter --kernel box --kernel log --explain 1,1 a.png", 2, "one kernel, at one border"),
        ("filter --kernel box --explain 1 a.png", 2, "'1' must be 2 numbers"),
        ("filter --kernel box --explain 1,-1 a.png", 2, "below 0"),
        ("filter --kernel box --explain 1,1 clear.png", 1, "an opaque image is explained; or --background COLOR"),
    ],
)
def test_what_cannot_be_explained_is_one_line(line, status, said, run):
    done = run(*line.split())
    assert (done.status, done.err.count("\n"), done.out) == (status, 1, "")
    assert said in done.err


def test_the_advice_for_transparent_images_helps(run):
    assert run("filter", "--kernel", "box", "--explain", "1,1", "clear.png", "--background", "red").status == 0


def test_a_cell_is_told_as_bars_before_and_after_normalization(run):
    done = run("hog", "--explain", "13,9", "--format", "table", "a.png", "--cell", "4", "--orientations", "6")
    found = imgtool.explain_hog(read("a.png"), 13, 9, cell=4, orientations=6)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "a.png: cell in row 2, column 3 (x 12 to 15, y 8 to 11)"
    votes = [line.split() for line in lines[3:9]]
    assert [row[1] for row in votes] == ["0-30", "30-60", "60-90", "90-120", "120-150", "150-180"]
    np.testing.assert_allclose([float(row[2]) for row in votes], found.votes, rtol=1e-3)
    lengths = [len(row[3]) if len(row) > 3 else 0 for row in votes]
    np.testing.assert_allclose(lengths, 40 * found.votes / found.votes.max(), atol=1)
    assert lines[10] == "after L2-Hys in the blocks of 2x2 cells that hold it (row,column):"
    assert lines[11].split()[1:] == [f"{row},{column}" for row, column in found.blocks]
    after = [re.findall(r"\d\.\d{4}", line) for line in lines[12:18]]
    np.testing.assert_allclose(np.array(after, float).T, found.normalized, atol=1e-4)
    marks = [re.findall(r"\d\.\d{4} *(#*)", line) for line in lines[12:18]]
    lengths = np.array([[len(mark) for mark in row] for row in marks]).T
    np.testing.assert_allclose(lengths, 8 * found.normalized / found.normalized.max(), atol=1)
    assert len(lines) == 18


@pytest.mark.parametrize("settings", [[], ["--cell", "4,6", "--block", "1,3", "--norm", "L1", "--sqrt"]])
@pytest.mark.parametrize("resize", [[], ["--resize", "40x30"]])
def test_a_cell_in_rows_holds_what_hog_gives(settings, resize, run):
    (row,) = run("hog", *settings, *resize, "--explain", "9,10", "clear.png", "--format", "jsonl").rows
    (whole,) = run("hog", *settings, *resize, "clear.png", "--format", "jsonl").rows
    values = np.array(whole["values"]).reshape(whole["shape"])
    for (top, left), numbers in zip(row["blocks"], row["normalized"], strict=True):
        assert values[top, left, row["row"] - top, row["column"] - left].tolist() == numbers
    assert row["path"] == "clear.png"


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("hog --explain 1,1 a.png -o x.npz", 2, "-o does not go with --explain"),
        ("hog --explain 1,1 a.png --visualize x.png", 2, "--visualize does not go with --explain"),
        ("hog --explain 1,1 a.png --format csv", 2, "--format table and jsonl, not csv"),
        ("hog --explain 1,1 a.png --variant uoctti", 2, "--variant skimage, not uoctti"),
        ("hog --explain 29,1 a.png", 1, "a.png: is 30x20 pixels, of which cells fill 24x16; 29,1 lies in none"),
        ("hog --explain 1,1 a.png --cell 30", 1, "one block of HoG needs"),
    ],
)
def test_what_no_cell_is_explained_by_is_one_line(line, status, said, run):
    done = run(*line.split())
    assert (done.status, done.err.count("\n"), done.out) == (status, 1, "")
    assert said in done.err


def test_matrices_stand_side_by_side_where_they_fit(monkeypatch):
    parts = [Matrix("one", [["1", "20"], ["300", "4"]]), Matrix("two", [["5"]])]
    monkeypatch.setenv("COLUMNS", "80")
    assert beside(parts) == "one      two\n  1 20   5\n300  4\n"
    monkeypatch.setenv("COLUMNS", "8")
    assert beside(parts) == "one\n  1 20\n300  4\n\ntwo\n5\n"


@pytest.mark.parametrize(
    ("number", "text"),
    [(3.0, "3"), (-0.0, "0"), (0.00012345, "0.0001234"), (1e300, "1e+300"), (255, "255"), (float("nan"), "nan")],
)
def test_numbers_are_short(number, text):
    assert short(number) == text


def test_a_convolution_is_told_with_its_matrices_and_times(run):
    done = run(
        "explain", "conv", "--input", "2x4x5", "--kernel", "2", "--outputs", "2", "--stride", "2", "--padding", "1"
    )
    assert (done.status, done.err) == (0, "")
    found = imgtool.explain_convolution((2, 4, 5), kernel=2, outputs=2, stride=2, padding=1)
    lines = done.out.splitlines()
    assert lines[0] == "image 2x4x5, 2 kernels of 2x2x2, stride 2, padding 1"
    assert lines[1:3] == ["rows     floor((4 + 2 * 1 - 2) / 2) + 1 = 3", "columns  floor((5 + 2 * 1 - 2) / 2) + 1 = 3"]
    assert lines[3] == "multiply-adds  2 * 9 results * 8 taps = 144"

    def below(title, count):
        begin = next(index for index, line in enumerate(lines) if line.startswith(title)) + 1
        return np.array(numbers("\n".join(lines[begin : begin + count])))

    padded = np.pad(found.image, ((0, 0), (1, 1), (1, 1)))
    np.testing.assert_array_equal(below("image, channel 1", 6), np.hstack(padded))
    np.testing.assert_array_equal(below("kernel 2, channel 1", 2), np.hstack(found.weights[1]))
    np.testing.assert_array_equal(below("windows as columns", 8), found.columns)
    np.testing.assert_array_equal(below("weights as rows", 2), found.weights.reshape(2, -1))
    np.testing.assert_array_equal(below("their product", 2), found.product)
    np.testing.assert_array_equal(below("result, output 1", 3), np.hstack(found.result))
    assert [line.split()[0] for line in lines[-5:-1]] == ["method", "direct", "im2col", "fft"]
    (row,) = run("explain", "conv", "--input", "2x4x5", "--kernel", "2", "--outputs", "2", "--json").rows
    np.testing.assert_array_equal(row["result"], imgtool.explain_convolution((2, 4, 5), kernel=2, outputs=2).result)


def test_large_matrices_are_not_printed(run):
    done = run("explain", "conv", "--input", "3x32x32", "--kernel", "5", "--outputs", "6")
    assert "windows as columns 75x784, weights as rows 6x75: too large to be printed" in done.out
    assert len(done.out.splitlines()) == 12


def test_a_network_is_told_forward_backward_and_after_a_step(run):
    text = str(SAMPLES / "text.png")
    done = run("explain", "network", "lenet@mnist", text, "--label", "8")
    assert (done.status, done.err) == (0, "")
    found = imgtool.explain_network(read(text), model="lenet@mnist", label="8")
    lines = done.out.splitlines()
    assert lines[0] == f"{text} in lenet@mnist, label 8"
    classes = np.array(numbers("\n".join(line for line in lines if re.match(r" +\d  ", line))))
    columns = (np.arange(10), found.scores, found.probabilities, np.arange(10) == 8, found.slopes)
    np.testing.assert_allclose(classes, np.stack(columns, axis=1), rtol=1e-3)
    gradients = [line.split()[-3:] for line in lines if re.match(r"fc\d\.\w+\[[\d, ]+\] +-?\d", line)]
    expected = [[row["by_hand"], row["numeric"], row["difference"]] for row in found.gradients]
    np.testing.assert_allclose(np.array(gradients, float), expected, rtol=1e-5, atol=1e-9)
    assert f"loss = -log y^[8] = -log {short(float(found.probabilities[8]))} = {short(found.loss)}" in lines
    assert any(line.startswith(f"loss {short(found.loss)} -> {short(found.loss_after)} (") for line in lines)
    (row,) = run("explain", "network", "lenet@mnist", text, "--label", "8", "--json").rows
    assert (row["path"], row["model"], row["label"], row["loss"]) == (text, "lenet@mnist", "8", found.loss)
    np.testing.assert_allclose(row["slopes"], found.slopes, rtol=1e-12)


def test_of_many_classes_the_best_and_the_label_are_shown(run):
    done = run("explain", "network", "efficientnet-lite0", "a.png", "--label", "n01440764")
    (row,) = [line.split() for line in done.out.splitlines() if line.startswith("tench")]
    assert row[-2] == "1"
    assert len(re.findall(r"(?m)^.*  [01]  +-?[\d.e-]+$", done.out)) == 12


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("conv --kernel 6", 2, "a window of 6 does not fit into 5"), ("conv --input 5x5", 2, "such as 3x224x224"),
        ("conv --input 64x999x999 --outputs 64", 2, "multiply-adds"), ("conv --stride 0", 2, "x>=1"),
        ("cnv", 2, "did you mean conv?"), ("network lenet@mnist a.png", 2, "Missing option '--label'"),
        ("network lenet@mnist a.png --label 11", 2, "no label '11' in lenet; did you mean 1?"),
        ("network lenet@mnist none.png --label 1", 1, "none.png: no such file"),
        ("network lenet@mnist . --label 1", 2, "one image is followed; . holds 3"),
        ("network two-layer a.png --label 1", 2, "no trained 'two-layer'"),
        ("network sift-fv-svm a.png --label church", 2, "is no network, so it has no gradients"),
        ("network lenet@mnist a.png --label 1 --rate 0", 2, "--rate"),
    ],
)  # fmt: skip
def test_what_no_network_is_explained_by_is_one_line(line, status, said, run):
    done = run("explain", *line.split())
    assert (done.status, done.err.count("\n"), done.out) == (status, 1, "")
    assert said in done.err
