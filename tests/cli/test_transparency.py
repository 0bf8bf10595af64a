"""Color under alpha 0 counts in no command: two images that look the same give the same result."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool import read, write
from imgtool.datasets.dataset import Dataset
from imgtool.image.alpha import flatten
from locations import IMGTOOL

DESCRIBING = {
    "hog": ("hog",),
    "hog dalal-triggs": ("hog", "--variant", "dalal-triggs"),
    "hog uoctti": ("hog", "--variant", "uoctti"),
    "gist": ("gist",),
    "gist color": ("gist", "--color"),
    "sift": ("sift", "--values"),
    "sift sparse": ("sift", "--sparse", "--values"),
    "fisher": ("fisher",),
    "embed": ("embed", "--model", "lenet"),
    "classify": ("classify", "--model", "alexnet", "--model", "sift-fv-svm"),
}


def make_pair(hidden_seed=1):
    """Write a.png and b.png, which look the same: what is under alpha 0 differs."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.dstack([rng.integers(0, 256, (64, 64, 3)), np.where(x**2 + y**2 < 600, 255, 0)]).astype(np.uint8)
    image[20:24, :, 3] //= 2
    write("a.png", image, overwrite=True)
    clear = image[..., 3] == 0
    image[clear, :3] = np.random.default_rng(hidden_seed).integers(0, 256, (int(clear.sum()), 3))
    write("b.png", image, overwrite=True)


@pytest.fixture(autouse=True)
def pair(tmp_path, monkeypatch):
    """a.png and b.png in an empty folder."""
    monkeypatch.chdir(tmp_path)
    make_pair()


def _without_path(row):
    return {key: value for key, value in row.items() if key != "path"}


@pytest.mark.parametrize("command", DESCRIBING.values(), ids=list(DESCRIBING))
def test_F19_images_that_look_the_same_are_described_the_same(run, command):
    done = run(*command, "--format", "jsonl", "a.png", "b.png")
    rows = [_without_path(row) for row in done.rows]
    half = len(rows) // 2
    assert done.status == 0
    assert rows[:half] == rows[half:]
    assert rows[0]["left_out"] == {"alpha": 1}
    assert "2 transparent images were shown on a background; white unless --background COLOR sets it" in done.err


@pytest.mark.parametrize("command", DESCRIBING.values(), ids=list(DESCRIBING))
def test_the_background_can_be_chosen(run, command):
    write("flat.png", flatten(read("a.png"), "black"))
    done = run(*command, "--format", "jsonl", "--background", "#000", "a.png", "flat.png")
    rows = [_without_path(row) for row in done.rows]
    half = len(rows) // 2
    assert rows[0].pop("left_out") == {"alpha": 1}
    assert "transparent" not in done.err
    for row in rows[:half]:
        row.pop("left_out", None)
    assert rows[:half] == rows[half:]


def test_an_opaque_alpha_is_no_remark(run):
    image = read("a.png")
    image[..., 3] = 255
    write("opaque.png", image)
    assert run("gist", "opaque.png").rows[0].get("left_out") is None


def test_a_feature_file_holds_a_background_that_is_not_white(run):
    assert run("gist", "a.png", "-o", "white.npz", "--background", "white").status == 0
    assert run("gist", "a.png", "-o", "default.npz").status == 0
    assert Path("white.npz").read_bytes() == Path("default.npz").read_bytes()
    assert run("gist", "a.png", "-o", "black.npz", "--background", "black").status == 0
    meta = json.loads(str(np.load("black.npz")["meta"]))
    assert meta["parameters"]["background"] == "#000000"
    found = run("features", "search", "--query", "b.png", "--format", "jsonl", "--metric", "euclidean", "black.npz")
    assert found.rows[0]["score"] == 0
    found = run("features", "search", "--query", "b.png", "--format", "jsonl", "--metric", "euclidean", "default.npz")
    assert found.rows[0]["score"] == 0


def test_arrays_and_worker_processes_see_the_same(run):
    images = [read("a.png"), read("b.png")]
    here = [each.result() for each in imgtool.describe_images(images, "gist", background=(0, 0, 0))]
    np.testing.assert_array_equal(*here)
    files = [each.result() for each in imgtool.describe_images(["a.png"] * 200, "gist", background="black", jobs=2)]
    np.testing.assert_array_equal(here[0], files[-1])


@pytest.mark.parametrize("command", [("--match", "a.png"), ("--match", "b.png")])
def test_matches_count_no_hidden_color(run, command):
    rows = [_without_path(row) for row in run("sift", *command, "--format", "jsonl", "a.png", "b.png").rows]
    assert rows[0]["keypoints"] == rows[1]["keypoints"]
    assert rows[0]["matches"] == rows[1]["matches"]


def test_F19_data_sets_are_seen_on_white():
    stack = np.stack([read("a.png"), read("b.png")])
    for items in (stack, [Path("a.png"), Path("b.png")]):
        dataset = Dataset(items, np.array([0, 1]), ("x", "y"))
        np.testing.assert_array_equal(dataset.image(0), flatten(stack[0]))
        np.testing.assert_array_equal(dataset.image(0), dataset.image(1))


def make_data_sets(background):
    """Write a folder of cut-outs, dark and light ones on transparent noise, and the same flattened on a color."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(["dark", "light"]):
        for number in range(12):
            image = rng.integers(0, 256, (32, 32, 4), dtype=np.uint8)
            image[..., :3] = image[..., :3] // 2 + 128 * index
            image[..., 3] = 255 * (np.hypot(*np.mgrid[-16:16, -16:16]) < 12)
            for folder, shown in (("cut", image), ("flat", flatten(image, background))):
                path = Path(folder, name, f"{number}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, shown)


def weights_of(folder):
    return next(Path(folder).glob("weights-*")).read_bytes()


@pytest.mark.parametrize(("background", "stored"), [(None, None), ("white", None), ("#204060", "#204060")])
def test_F19_models_are_trained_and_measured_on_the_background(run, background, stored):
    make_data_sets(background or "white")
    option = () if background is None else ("--background", background)
    train = ("train", "--model", "two-layer", "--epochs", "2", "--json", "cut", "-o", "on", *option)
    done = run(*train)
    assert run("train", "--model", "two-layer", "--epochs", "2", "flat", "-o", "plain").status == 0
    assert weights_of("on") == weights_of("plain")
    assert imgtool.open_model("on").provenance.get("background") == stored
    assert ("24 transparent images shown on white" in done.err) == (background is None)
    assert done.rows[0]["left_out"]["alpha"] == 24
    compare = ("compare", "--model", "two-layer", "--epochs", "2", "--format", "json")
    names = ("top1_error", "top1_interval", "mean_class_accuracy")
    rows = [run(*compare, *data).rows[0]["models"][0] for data in (("cut", *option), ("flat",))]
    assert [rows[0][name] for name in names] == [rows[1][name] for name in names]


def test_C5_evaluate_and_classify_agree_on_a_background_and_another_one_is_told(run):
    make_data_sets("black")
    assert run("train", "--model", "two-layer", "--epochs", "2", "cut", "-o", "on", "--background", "black").status == 0
    for color in ("black", "white"):
        rows = run("classify", "--model", "on", "cut", "--background", color, "--format", "jsonl").rows
        wrong = [row["label"] != Path(row["path"]).parent.name for row in rows]
        done = run("evaluate", "--model", "on", "cut", "--background", color, "--format", "json")
        assert done.rows[0]["models"][0]["top1_error"] == np.mean(wrong)
        assert done.rows[0].get("background") == (None if color == "white" else "#000000")
        told = "on: was trained with transparent images on #000000; these are shown on white" in done.err
        assert told == (color == "white")
    assert "transparent images on" not in run("evaluate", "--model", "on", "flat", "--format", "json").err


@pytest.mark.parametrize("command", [("train", "-o", "new"), ("evaluate",), ("compare",)], ids=lambda each: each[0])
def test_a_background_that_is_no_color_is_refused_before_anything_is_read(run, command):
    make_data_sets("black")
    Path("cut/dark/0.png").write_bytes(b"no image")
    done = run(*command, "cut", "--model", "two-layer", "--background", "whitish")
    assert done.status == 2
    assert done.err.startswith("imgtool: --background 'whitish' is no color")
    assert not Path("new").exists()


def test_codebooks_are_fitted_to_what_is_seen(run):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    for name in "ab":
        Path(name).mkdir()
        Path(f"{name}.png").rename(f"{name}/x.png")
        command = ("features", "fit", "--components", "2", "--dimensions", "4", "--samples", "200", f"{name}/x.png")
        assert run(*command, "-o", f"{name}.safetensors").status == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_an_unknown_color_is_refused(run):
    done = run("gist", "--background", "whitish", "a.png")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "--background" in done.err
    assert "whitish" in done.err


def test_a_blurred_cut_out_keeps_its_color(run):
    image = np.zeros((16, 16, 4), np.uint8)
    image[..., 0] = 255
    image[4:12, 4:12] = 255
    write("halo.png", image)
    assert run("filter", "--kernel", "gaussian", "--sigma", "2", "halo.png", "-o", "out.npy").status == 0
    assert np.load("out.npy")[8, 4].tolist() == [255, 255, 255, 145]


PICTURES = {
    "gaussian": ("filter", "--kernel", "gaussian"),
    "sharpen": ("filter", "--kernel", "sharpen", "--border", "clip"),
    "median": ("filter", "--kernel", "median"),
    "bilateral": ("filter", "--kernel", "bilateral"),
    "sobel": ("filter", "--kernel", "sobel-x"),
    "log": ("filter", "--kernel", "log", "--range", "stretch"),
    "magnitude": ("gradient",),
    "picture": ("gradient", "--show", "picture", "--operator", "gaussian"),
    "phase": ("gradient", "--show", "phase", "--channel", "each"),
    "gray": ("convert", "--color", "gray"),
    "size": ("convert", "--size", "20x20"),
    "channel": ("convert", "--show-channel", "R"),
    "lab": ("convert", "--color", "lab", "--show-channel", "L"),
    "convert stretch": ("convert", "--range", "stretch"),
}


@pytest.mark.parametrize("command", PICTURES.values(), ids=list(PICTURES))
def test_F19_images_that_look_the_same_become_the_same(run, command):
    for name in "ab":
        assert run(*command, f"{name}.png", "-o", f"{name}.out.npy").status == 0
    one, two = np.load("a.out.npy"), np.load("b.out.npy")
    if command[0] == "convert" and one.ndim == 3:
        one, two = flatten(one), flatten(two)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("command", PICTURES.values(), ids=list(PICTURES))
def test_pictures_on_a_background_are_those_of_the_flat_image(run, command):
    write("flat.png", flatten(read("a.png"), "#204060"))
    for name in ("a", "flat"):
        assert run(*command, f"{name}.png", "-o", f"{name}.out.npy", "--background", "32,64,96").status == 0
    np.testing.assert_array_equal(np.load("a.out.npy"), np.load("flat.out.npy"))


def test_what_sees_the_background_says_so_unless_it_was_asked_for(run):
    done = run("filter", "--kernel", "sobel-x", "a.png", "-o", "x.png", "--json")
    assert "1 transparent image was shown on a background" in done.err
    assert done.rows[0]["left_out"]["alpha"] == 1
    done = run("gradient", "a.png", "-o", "y.png", "--json", "--background", "white")
    assert "transparent" not in done.err
    assert done.rows[0]["left_out"]["alpha"] == 1
    done = run("filter", "--kernel", "box", "a.png", "-o", "z.png", "--json")
    assert "transparent" not in done.err
    assert "left_out" not in done.rows[0]


@pytest.mark.parametrize("format", ["jpg", "pgm", "ppm", "pfm"])
@pytest.mark.parametrize("command", [("convert",), ("filter", "--kernel", "box")])
def test_a_format_without_alpha_needs_a_background(run, command, format):
    depth = ("--depth", "float") if format == "pfm" else ()
    done = run(*command, *depth, "a.png", "-o", f"x.{format}")
    assert done.status == 1
    assert "alpha" in done.err
    assert "--background COLOR" in done.err
    done = run(*command, *depth, "a.png", "-o", f"x.{format}", "--background", "white")
    assert done.status == 0
    assert read(f"x.{format}").shape == (64, 64, 3)


@pytest.mark.parametrize("format", ["png", "webp", "tif", "bmp", "jp2", "pam", "npy"])
def test_hidden_color_is_passed_on_by_convert(run, format):
    assert run("convert", "b.png", "-o", f"x.{format}").status == 0
    if format != "webp":
        np.testing.assert_array_equal(read(f"x.{format}"), read("b.png"))
    assert run("info", "--format", "jsonl", "b.png").rows[0]["color"] == "rgba"


@pytest.mark.parametrize("format", ["png", "webp", "tif", "bmp", "jp2", "pam"])
def test_gray_with_alpha_is_written_by_formats_with_alpha(run, format):
    write("gray.png", read("a.png")[..., 2:])
    assert run("convert", "gray.png", "-o", f"x.{format}").status == 0
    assert run("convert", "gray.png", "-o", "x.jpg").status == 1


def test_an_opaque_alpha_is_no_hindrance(run):
    image = read("a.png")
    image[..., 3] = 255
    write("opaque.png", image)
    assert run("convert", "opaque.png", "-o", "x.ppm").status == 0
    np.testing.assert_array_equal(read("x.ppm"), image[..., :3])
    assert run("filter", "--kernel", "box", "opaque.png", "-o", "y.png").status == 0
    assert read("y.png").shape == (64, 64, 4)


def test_large_transparent_images_have_the_same_bits_in_strips(run, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 64, 4), np.uint8)
    image[:250, :, 3] = 255
    image[250:260, :, 3] = 0
    write("large.tif", image)
    commands = {name: command for name, command in PICTURES.items() if command[0] != "convert"}
    for name, command in commands.items():
        assert run(*command, "large.tif", "-o", f"whole.{name}.npy").status == 0
    monkeypatch.setattr("imgtool.filters.strip_filter.LARGE_PIXELS", 100)
    monkeypatch.setattr("imgtool.filters.strip_filter.SHORT_REACH_STRIP_BYTES", 64)
    monkeypatch.setattr("imgtool.filters.strip_filter.STRIP_BYTES", 1)
    for name, command in commands.items():
        for suffix in ("npy", "tif"):
            done = run(*command, "large.tif", "-o", f"strips.{name}.{suffix}")
            assert done.status == 0
            np.testing.assert_array_equal(read(f"strips.{name}.{suffix}"), np.load(f"whole.{name}.npy"))
    assert run("filter", "--kernel", "box", "large.tif", "-o", "x.ppm").status == 1
    assert run("filter", "--kernel", "box", "large.tif", "-o", "x.ppm", "--background", "red").status == 0


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ((), False),
        (("--range", "clip"), True),
        (("--depth", "8"), True),
        (("--range", "auto", "--depth", "keep"), False),
    ],
)
@pytest.mark.parametrize("command", [("filter", "--kernel", "sobel-x"), ("gradient",)])
def test_F18_clipped_values_are_told_where_range_or_depth_was_chosen(run, command, chosen, said):
    write("gray.png", np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8))
    done = run(*command, *chosen, "gray.png", "-o", "x.png", "--json")
    assert done.rows[0]["clipped"] == done.rows[0]["left_out"]["clipped"] > 0
    assert ("clipped" in done.err) == said
    done = run(*command, *chosen, "gray.png", "-o", "x.png", "--force", "-v")
    assert "clipped" in done.err


def _grid(name, tag="-9999"):
    """Write a TIFF of elevations with a lake that holds no data."""
    tifffile = pytest.importorskip("tifffile")
    grid = np.random.default_rng(0).random((30, 20)).astype(np.float32)
    grid[5:9, 6:12] = -9999
    tifffile.imwrite(name, grid, extratags=[(42113, 2, len(tag) + 1, tag, True)] if tag else [])
    return grid


@pytest.mark.parametrize("kernel", ["gaussian", "median", "bilateral"])
def test_pixels_without_data_stay_and_are_counted(run, kernel):
    grid = _grid("dem.tif")
    for value in ("auto", "-9999"):
        done = run("filter", "--kernel", kernel, "--nodata", value, "dem.tif", "-o", "out.tif", "--force", "--json")
        assert done.rows[0]["left_out"]["nodata"] == 24
        assert "24 pixels of one image were left as they are: without data" in done.err
        result = read("out.tif")
        np.testing.assert_array_equal(result == -9999, grid == -9999)
        assert result[grid != -9999].min() >= 0
    done = run("filter", "--kernel", kernel, "dem.tif", "-o", "plain.tif", "--json")
    assert "nodata" not in done.rows[0].get("left_out", {})
    assert read("plain.tif").min() < -9999 / 2


def test_a_tag_that_is_no_number_is_refused_in_a_line(run):
    _grid("dem.tif", tag="none")
    done = run("filter", "--kernel", "box", "dem.tif", "-o", "a.npy", "--nodata", "auto")
    assert (done.status, done.err) == (1, "imgtool: dem.tif: its GDAL_NODATA is no number: 'none'\n")


def test_auto_without_a_tag_leaves_all_as_it_is(run):
    _grid("dem.tif", tag="")
    for suffix, more in (("1", ()), ("2", ("--nodata", "auto"))):
        assert run("filter", "--kernel", "box", "dem.tif", "-o", f"{suffix}.npy", *more).status == 0
    assert Path("1.npy").read_bytes() == Path("2.npy").read_bytes()


def test_auto_of_standard_input_and_in_strips(run, monkeypatch):
    _grid("dem.tif")
    assert run("filter", "--kernel", "gaussian", "--nodata", "auto", "dem.tif", "-o", "whole.npy").status == 0
    with open("dem.tif", "rb") as file:
        arguments = [*IMGTOOL, "filter", "--kernel", "gaussian", "--nodata", "auto", "-", "-o", "stream.npy"]
        subprocess.run(arguments, stdin=file, check=True)
    monkeypatch.setattr("imgtool.filters.strip_filter.LARGE_PIXELS", 100)
    monkeypatch.setattr("imgtool.filters.strip_filter.SHORT_REACH_STRIP_BYTES", 64)
    monkeypatch.setattr("imgtool.filters.strip_filter.STRIP_BYTES", 1)
    done = run("filter", "--kernel", "gaussian", "--nodata", "auto", "dem.tif", "-o", "strips.npy", "--json")
    assert done.rows[0]["left_out"]["nodata"] == 24
    for name in ("stream", "strips"):
        np.testing.assert_array_equal(np.load(f"{name}.npy"), np.load("whole.npy"))


@pytest.mark.parametrize("value", ["auto", "0", "nan"])
def test_no_data_goes_with_smoothing_only(run, value):
    _grid("dem.tif")
    done = run("filter", "--kernel", "sobel-x", "--nodata", value, "dem.tif", "-o", "x.npy")
    assert done.status == 2
    assert "--nodata goes with kernels whose taps add up to more than 0" in done.err
    assert run("filter", "--kernel", "box", "--nodata", "none", "dem.tif", "-o", "x.npy").status == 2
