"""`imgtool filter` and `imgtool gradient` through the whole program: names, lists, what goes with what."""

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.commands.filter import command as filter_command
from imgtool.cli.main import execute
from imgtool.filters.borders import BORDERS
from imgtool.filters.convolve import convolve
from imgtool.filters.gradient import CHANNELS, OPERATORS, color_gradient, magnitude, phase
from imgtool.filters.kernel_files import load_kernel, matrix_text
from imgtool.filters.kernels import KERNELS, kernel
from imgtool.filters.neighborhood import neighborhood
from imgtool.filters.windows import NEIGHBORHOODS
from imgtool.image import encode, read
from imgtool.image.alpha import flatten
from imgtool.pipelines.filter_images import filter_image
from locations import SAMPLES

ENTRIES = {**KERNELS, **NEIGHBORHOODS}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(name, image):
    Path(name).write_bytes(encode(image, "png"))
    return name


def random_image(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.mark.parametrize("columns", ["60", "80", "95", "120", "300"])
def test_the_list_shows_names_matrices_and_sources_and_fits(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert execute(["filter", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= min(max(int(columns), 80), 110)
    blocks = {block.split()[0]: block for block in "\n".join(lines).split("\n\n")[1:]}
    assert list(blocks) == list(ENTRIES)
    for name, entry in ENTRIES.items():
        text = " ".join(blocks[name].split())
        assert entry.help in text or name in KERNELS  # a matrix may stand in between
        assert entry.source.split(",")[0] in blocks[name]
        fixed = name in KERNELS and not entry.formula
        rows = matrix_text(entry.make()).splitlines() if fixed else []
        assert [line[12:].startswith(row) for line, row in zip(blocks[name].splitlines(), rows, strict=False)] == [
            True
        ] * len(rows)
        assert all(f"--{key.replace('_', '-')}={value:g}" in blocks[name] for key, value in entry.defaults.items())
        assert entry.defaults.keys() <= {"size", "percentile", "rank"} or entry.formula


def test_options_of_kernels_say_which_take_them():
    helps = {option.name: option.help.lower() for option in filter_command.params if getattr(option, "help", None)}
    for name, entry in ENTRIES.items():
        for key in entry.defaults:
            if key == "truncate":
                assert "sigma" in entry.defaults  # "how many sigmas these reach"
            else:
                assert name.split("-")[0] in re.findall(r"\w+", helps[key]), (name, key)


def test_help_shows_the_borders_and_names_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("filter", "gradient"):
        assert execute([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80
        for border, entry in BORDERS.items():
            names = (border, entry.letters, entry.scipy, entry.numpy, entry.opencv, entry.torch, entry.imagemagick)
            row = next(line.split() for line in text.splitlines() if entry.letters in line)
            assert row == [each or "-" for each in names]


@pytest.mark.parametrize("name", KERNELS)
def test_a_printed_kernel_is_read_back(name, capsys):
    assert execute(["filter", "--kernel", name, "--print-kernel"]) == 0
    Path("k.txt").write_text(capsys.readouterr().out)
    np.testing.assert_array_equal(load_kernel("k.txt"), kernel(name))


def test_the_printed_kernel_is_the_one_used(capsys):
    cases = {
        ("--kernel", "box", "--size", "2"): np.full((2, 2), 0.25),
        ("--kernel", "sobel-x", "--normalize", "abs"): kernel("sobel-x") / 8,
        ("--kernel", "gabor", "--angle", "30", "--aspect", "0.5"): kernel("gabor", angle=30, aspect=0.5),
        ("--kernel", "motion", "--size", "4", "--angle", "90"): np.array([[1], [2], [2], [2], [1]]) / 8,
        ("--matrix", "1 2; 3 4", "--normalize", "sum"): np.array([[1, 2], [3, 4]]) / 10,
    }
    for arguments, expected in cases.items():
        assert execute(["filter", *arguments, "--print-kernel"]) == 0
        Path("k.txt").write_text(capsys.readouterr().out)
        np.testing.assert_array_equal(load_kernel("k.txt"), expected)
        image = written("a.png", random_image(20, 21))
        for other, out in ((["--kernel-file", "k.txt"], "1.npy"), (arguments, "2.npy")):
            assert execute(["filter", *other, image, "--range", "raw", "-o", out, "--force"]) == 0
        np.testing.assert_array_equal(np.load("1.npy"), np.load("2.npy"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_neighborhood_filters_of_pictures(dtype, channels):
    written("a.png", random_image(15, 14, *channels, dtype=dtype))
    image = read("a.png")
    for name, options in (("median", ["--size", "5"]), ("minimum", []), ("maximum", ["--size", "4"]),
                          ("bilateral", ["--sigma", "1", "--sigma-color", "0.3"])):  # fmt: skip
        assert execute(["filter", "--kernel", name, *options, "--border", "wrap", "a.png", "-o", f"{name}.png"]) == 0
        keys = [key[2:].replace("-", "_") for key in options[::2]]
        given = dict(zip(keys, map(float if name == "bilateral" else int, options[1::2]), strict=True))
        expected = filter_image(image, name, border="wrap", **given)
        if channels not in ((2,), (4,)):
            np.testing.assert_array_equal(expected, np.rint(neighborhood(image, name, border="wrap", **given)))
        np.testing.assert_array_equal(read(f"{name}.png"), expected)


def test_neighborhood_filters_know_all_ranges(capsys):
    written("a.png", random_image(9, 8))
    for chosen in ("auto", "clip", "abs", "center", "stretch"):
        assert execute(["filter", "--kernel", "median", "--range", chosen, "a.png", "-o", f"{chosen}.png"]) == 0
    np.testing.assert_array_equal(read("auto.png"), neighborhood(read("a.png"), "median"))
    stretched = read("stretch.png")
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert execute(["filter", "--kernel", "median", "--range", "raw", "a.png", "-o", "raw.npy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kernel"] == "median"
    np.testing.assert_array_equal(np.load("raw.npy"), neighborhood(read("a.png"), "median"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kernel", "median", "--sigma", "2"], "--sigma does not go with --kernel median, which takes --size"),
        (["--kernel", "bilateral", "--size", "3"], "takes --sigma, --sigma-color, --truncate"),
        (["--kernel", "median", "--correlate"], "--correlate does not go with --kernel median"),
        (["--kernel", "maximum", "--method", "fft"], "--method does not go with --kernel maximum"),
        (["--kernel", "minimum", "--normalize", "sum"], "--normalize does not go with --kernel minimum"),
        (["--kernel", "median", "--print-kernel"], "no convolution"),
        (["--kernel", "median", "--size", "5000"], "4096"),
        (["--kernel", "bilateral", "--sigma-color", "0"], "sigma color must be positive"),
        (["--kernel", "gabor", "--size", "3"], "--size does not go with --kernel gabor"),
        (["--kernel", "gabor", "--wavelength", "nan"], "wavelength must be positive"),
        (["--matrix", "1", "--angle", "3"], "--angle goes with --kernel"),
        (["--kernel-file", "k.txt", "--sigma-color", "3"], "--sigma-color goes with --kernel"),
        (["--kernel", "box", "--kernel-file", "k.txt"], "name one kernel"),
        (["--print-kernel"], "name one kernel"),
        (["--kernel", "sobel-x", "--normalize", "sum", "--print-kernel"], "add up to 0"),
        (["--kernel", "medain"], "there are box"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, capsys):
    written("a.png", random_image(5, 5))
    assert execute(["filter", *arguments, "a.png", "-o", "b.png"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert (captured.out, Path("b.png").exists()) == ("", False)


def test_a_median_too_large_for_an_image_stops_no_other(capsys):
    written("a.png", random_image(9, 9))
    written("b.png", random_image(9, 9, dtype="uint16"))
    assert execute(["filter", "--kernel", "median", "--size", "65", "b.png", "a.png", "-o", "out/"]) == 1
    assert capsys.readouterr().err.startswith("imgtool: b.png: is uint16, whose values take")
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("operator", OPERATORS)
def test_gradient_shows_every_operator(operator):
    image = random_image(12, 13, 3)
    written("a.png", image)
    gx, gy = color_gradient(image, operator=operator)
    shown = {"x": gx, "y": gy, "magnitude": magnitude(gx, gy), "phase": phase(gx, gy)}
    for show, expected in shown.items():
        out = f"{show}.npy"
        assert execute(["gradient", "--operator", operator, "--show", show, "--range", "raw", "a.png", "-o", out]) == 0
        np.testing.assert_array_equal(np.load(out), expected)
    assert execute(["gradient", "--operator", operator, "--show", "picture", "a.png", "-o", "p.png"]) == 0
    assert read("p.png").shape == (12, 13, 3)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_gradient_of_channels(channel, channels):
    image = random_image(12, 13, *channels)
    written("a.png", image)
    color = flatten(image)
    arguments = ["gradient", "--channel", channel, "--operator", "gaussian", "--sigma", "1.5", "a.png"]
    assert execute([*arguments, "--range", "raw", "-o", "m.npy"]) == 0
    gx, gy = color_gradient(color, channel, operator="gaussian", sigma=1.5)
    np.testing.assert_array_equal(np.load("m.npy"), magnitude(gx, gy))
    assert execute([*arguments, "--show", "phase", "--range", "raw", "--degrees", "-o", "p.npy"]) == 0
    np.testing.assert_array_equal(np.load("p.npy"), np.degrees(phase(gx, gy)))
    assert execute([*arguments, "--show", "picture", "-o", "p.png"]) == (2 if channel == "each" else 0)


def test_phase_pixels_run_from_black_to_white():
    y, x = np.mgrid[:41, :41]
    written("right.png", (x * 5).astype(np.uint8))
    written("up.png", (200 - y * 5).astype(np.uint8))
    for name, expected in (("right", 128), ("up", 64)):
        assert execute(["gradient", "--show", "phase", f"{name}.png", "-o", f"{name}.phase.png"]) == 0
        assert read(f"{name}.phase.png")[20, 20] == expected


def test_operator_gaussian_needs_a_sigma_above_0(capsys):
    written("a.png", random_image(5, 5))
    assert execute(["gradient", "--operator", "gaussian", "--sigma", "0", "a.png", "-o", "b.png"]) == 2
    assert "sigma must be positive" in capsys.readouterr().err


def test_every_parameter_has_its_option():
    parameters = {key for entry in ENTRIES.values() for key in inspect.signature(entry.make).parameters}
    options = {option.name for option in filter_command.params}
    assert parameters - {"image", "outside"} <= options


@pytest.mark.parametrize("command", ["filter", "gradient", "convert", "hog", "info"])
def test_a_list_of_paths_between_zero_bytes_is_read_only_as_such(command, run, tmp_path):
    names = tmp_path / "names"
    names.write_bytes(f"{SAMPLES}/cat.jpg\0{SAMPLES}/coins.png\0".encode())
    more = {"filter": ["--kernel", "box"], "convert": ["--to", "png"]}.get(command, [])
    output = [] if command in ("hog", "info") else ["-o", f"{tmp_path}/out/"]
    done = run(command, "--files-from", names, *more, *output)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "-0 takes what lies between them" in done.err
    assert run(command, "--files-from", names, "-0", *more, *output).status == 0


@pytest.mark.parametrize("kernel", ["bilateral", "log", "gaussian-x", "gabor"])
def test_a_sigma_whose_powers_are_zero_is_wrong_usage(kernel, run, tmp_path):
    done = run("filter", "--kernel", kernel, "--sigma", "1e-320", SAMPLES / "coins.png", "-o", tmp_path / "a.png")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "must be at least 1e-60" in done.err


@pytest.mark.parametrize(
    ("options", "name", "parameters"),
    [
        (["--kernel", "box", "--size", "5x3"], "box", {"size": (3, 5)}),
        (["--kernel", "gaussian", "--sigma", "2.5,1"], "gaussian", {"sigma": (1, 2.5)}),
        (["--kernel", "gaussian-xx", "--sigma", "2,1"], "gaussian-xx", {"sigma": (1, 2)}),
        (["--kernel", "sobel-x", "--size", "7"], "sobel-x", {"size": 7}),
    ],
)
def test_width_and_x_come_first_on_the_command_line(options, name, parameters, tmp_path):
    image = random_image(20, 30).astype(np.float64)
    np.save(tmp_path / "in.npy", image)
    out = str(tmp_path / "out.npy")
    assert execute(["filter", *options, "--range", "raw", str(tmp_path / "in.npy"), "-o", out]) == 0
    np.testing.assert_array_equal(np.load(out), convolve(image, kernel(name, **parameters)))


@pytest.mark.parametrize(
    ("options", "name", "parameters"),
    [
        (["--kernel", "median", "--size", "5x1"], "median", {"size": (1, 5)}),
        (
            ["--kernel", "percentile", "--percentile", "80", "--size", "3x5"],
            "percentile",
            {"percentile": 80, "size": (5, 3)},
        ),
        (["--kernel", "rank", "--rank", "-2"], "rank", {"rank": -2}),
    ],
)
def test_windows_and_ranks_reach_the_filter(options, name, parameters, tmp_path):
    image = random_image(20, 30)
    where = written(str(tmp_path / "in.png"), image)
    assert execute(["filter", *options, where, "-o", str(tmp_path / "out.png")]) == 0
    np.testing.assert_array_equal(read(tmp_path / "out.png"), neighborhood(image, name, **parameters))


@pytest.mark.parametrize(
    "options", [["--size", "3x"], ["--size", "axb"], ["--size", "1x2x3"], ["--size", "0x3"], ["--rank", "9"]]
)
def test_windows_that_are_none_are_one_line(options, tmp_path, capsys):
    where = written(str(tmp_path / "in.png"), random_image(9, 9))
    name = "rank" if "--rank" in options else "median"
    assert execute(["filter", "--kernel", name, *options, where, "-o", str(tmp_path / "out.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_normalized_magnitudes_reach_the_file(tmp_path):
    image = random_image(20, 30).astype(np.float64) / 255
    np.save(tmp_path / "in.npy", image)
    out = str(tmp_path / "out.npy")
    command = ["gradient", "--normalize", "abs", "--range", "raw", str(tmp_path / "in.npy"), "-o", out]
    assert execute(command) == 0
    np.testing.assert_array_equal(np.load(out), magnitude(*color_gradient(image, normalize="abs")))
