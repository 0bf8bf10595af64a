"""F20: no output of any command is one of its inputs: all outputs by all inputs, from the commands themselves."""

import os
import re
import shutil
import subprocess

import click
import numpy as np
import pytest

import imgtool
from imgtool.batch.conflicts import refuse_inputs
from imgtool.classifiers.registry import locate
from imgtool.cli.main import program
from imgtool.errors import ParameterError
from imgtool.features.codebook import Codebook, save_codebook
from imgtool.features.encoding import LocalSettings
from locations import IMGTOOL, SAMPLES

# Options and arguments that name files. One that is not here fails the test below, and so does an output or an input
# without an entry in the tables that follow.
OUTPUTS = {
    "output",
    "visualize",
    "show",
    "report",
    "sort",
    "curves",
    "preview",
    "cam",
    "maps",
    "work",
    "keep",
    "filters",
}
MORE_FILES = {"confusion", "predictions"}
OUTPUTS |= MORE_FILES | {"mistakes"}
INPUTS = {"paths", "files_from", "kernel_file", "codebook", "other", "file", "files", "query", "data", "init"}
INPUTS |= {"name", "names", "model", "image"}
PLACES = {"FILE", "FOLDER", "DIR", "DATA", "IMAGE", "OTHER"}  # in a metavar
NO_FILES = {("train", "name"), ("help", "names")}  # an architecture; commands

IMAGES = {"paths": (["photos/a.png"], "photos/a.png"), "files_from": (["--files-from", "list.txt"], "list.txt")}
# (command, its input) -> arguments with which it reads that, and a file that is read.
READS = {
    **{(command, name): IMAGES[name] for command in ("gradient", "hog", "gist", "features fit") for name in IMAGES},
    **{("filter", name): (["--kernel", "box", *more], path) for name, (more, path) in IMAGES.items()},
    **{("convert", name): (["--depth", "8", *more], path) for name, (more, path) in IMAGES.items()},
    **{("sift", name): (["--sparse", *more], path) for name, (more, path) in IMAGES.items()},
    **{("fisher", name): (["--codebook", "book.safetensors", *more], path) for name, (more, path) in IMAGES.items()},
    ("filter", "kernel_file"): (["--kernel-file", "kernel.txt", "photos/a.png"], "kernel.txt"),
    ("sift", "other"): (["--match", "photos/b.png", "photos/a.png"], "photos/b.png"),
    **{("embed", name): (["--model", "lenet@cifar10", *more], path) for name, (more, path) in IMAGES.items()},
    ("embed", "model"): (["--model", "./model", "photos/a.png"], "model/model.json"),
    **{("classify", name): (["--model", "./first", *more], path) for name, (more, path) in IMAGES.items()},
    ("classify", "names"): (["--model", "./first", "photos/a.png"], "first/model.json"),
    ("fisher", "codebook"): (["--codebook", "book.safetensors", "photos/a.png"], "book.safetensors"),
    ("features convert", "file"): (["f.npz"], "f.npz"),
    ("features merge", "files"): (["f.npz", "g.npz"], "g.npz"),
    ("features search", "file"): (["f.npz", "--query", "photos/a.png"], "f.npz"),
    ("features search", "query"): (["f.npz", "--query", "photos/b.png", "--top", "1"], "photos/b.png"),
    ("train", "data"): (["data", "--model", "two-layer", "--epochs", "1"], "data/brick/0.png"),
    ("train", "init"): (["data", "--model", "lenet", "--init", "./first"], "first"),
    ("compare", "data"): (["data", "--model", "two-layer", "--epochs", "1"], "data/brick/0.png"),
    ("compare", "names"): (["data", "--model", "./model"], "model/model.json"),
    ("evaluate", "data"): (["data", "--model", "./model"], "data/brick/0.png"),
    ("evaluate", "names"): (["data", "--model", "./model"], "model/model.json"),
    ("models filters", "name"): (["./first"], "first/model.json"),
    ("models export", "name"): (["./model"], "model"),
    ("models export", "names"): (["./model", "--names", "names.txt"], "names.txt"),
    ("models export", "data"): (["./model", "--measure", "data"], "data/brick/0.png"),
}  # fmt: skip
# (command, its output) -> the option, and the suffix that its files have; None for one that the arguments do not allow.
WRITES = {
    **{(command, "output"): ("-o", ".png") for command in ("filter", "gradient", "convert")},
    **{(command, "output"): ("-o", ".npz") for command in ("hog", "gist", "sift", "fisher", "embed")},
    **{(command, "output"): ("-o", ".csv") for command in ("features convert", "features merge")},
    ("gist", "filters"): ("--filters", ".png"),
    **{(command, "visualize"): ("--visualize", ".png") for command in ("hog", "gist", "sift")},
    **{(command, "output"): ("-o", "") for command in ("train", "models export")},
    ("features fit", "output"): ("-o", ".safetensors"),
    ("features search", "show"): ("--show", ".png"),
    ("classify", "sort"): ("--sort", ""),
    ("models filters", "output"): ("-o", ".png"),
    ("classify", "cam"): ("--cam", ".png"),
    ("classify", "maps"): ("--maps=pool1=", ""),
    ("compare", "report"): ("--report", ".html"),
    ("evaluate", "report"): ("--report", ".html"),
    ("compare", "work"): ("--work", ""),
    ("compare", "keep"): ("--keep", ""),
    ("evaluate", "work"): ("--work", ""),
    **{(command, name): (f"--{name}", ".csv") for command in ("compare", "evaluate") for name in MORE_FILES},
    **{(command, "mistakes"): ("--mistakes", ".png") for command in ("compare", "evaluate")},
    ("train", "curves"): ("--curves", ".png"),
    ("train", "preview"): ("--preview", ".png"),
}
# Matches are rows; no picture is a folder; a bank of filters is of no image.
IMPOSSIBLE = {("sift", "output", "other"), ("train", "curves", "init"), ("train", "preview", "init")}
IMPOSSIBLE |= {("gist", "filters", "paths"), ("gist", "filters", "files_from")}
NEEDED = {("train", "curves"): ["-o", "new"]}  # beside the output itself
MORE = [  # inputs that no option names
    ("compare", "report", ["data", "--model", "two-layer"], "data/notes"),
    ("compare", "report", ["list.csv", "--model", "two-layer"], "list.csv"),
    ("compare", "report", ["list.csv", "--model", "two-layer"], "elsewhere/1.png"),
    ("compare", "report", ["mnist", "--model", "two-layer"], "mnist/t10k-labels-idx1-ubyte"),
    ("compare", "report", ["data", "--model", "./model"], "{weights}"),
    ("features search", "show", ["f.npz", "--query", "photos/a.png"], "photos/b.png"),
    ("models export", "output", ["./model", "--measure", "list.csv"], "list.csv"),
    ("train", "curves", ["data", "--model", "lenet", "--init", "./first"], "first/model.json"),
    ("train", "preview", ["data", "--model", "lenet", "--init", "./first"], "first/model.json"),
    ("gist", "output", ["--visualize", "{spare}.png", "photos/a.png"], "photos/a.png"),
]


def commands(command=program, name=()):
    """Name -> command, of all."""
    if not isinstance(command, click.Group):
        return {" ".join(name): command}
    context = click.Context(command)
    below = [commands(command.get_command(context, each), (*name, each)) for each in command.list_commands(context)]
    return {key: value for each in below for key, value in each.items()}


def texts(command):
    """The parameters of a command that may name a file."""
    return {each.name for each in command.params if isinstance(each.type, click.Path | click.File | type(click.STRING))}


def ways(command, output, victim):
    """How an output may lead to an input: folders have no hard links, and names of most outputs have a suffix."""
    yield "symbolic link"
    if victim not in ("first", "model"):
        yield "hard link"
    suffix = WRITES[command, output][1]
    if victim.endswith(suffix):
        yield "spelling"
    if suffix and victim.endswith(suffix):
        yield "by a folder to be made"


def table():
    """Every output by every input of every command, in every way."""
    for name, command in commands().items():
        found = {each for each in texts(command) if (name, each) not in NO_FILES}
        for output in sorted(found & OUTPUTS):
            for given in sorted(found & INPUTS):
                if (name, output, given) not in IMPOSSIBLE:
                    _, victim = READS[name, given]
                    yield from ((name, output, given, way) for way in ways(name, output, victim))


def test_every_option_that_names_a_file_is_known_as_an_output_or_an_input():
    for name, command in commands().items():
        for each in command.params:
            words = set(re.findall("[A-Z]+", each.metavar or ""))
            if "OUT" in words:
                assert each.name in OUTPUTS, (name, each.name)
            elif words & PLACES or isinstance(each.type, click.Path | click.File):
                assert each.name in OUTPUTS | INPUTS, (name, each.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with one input of each kind."""
    folder = tmp_path_factory.mktemp("world")
    before = os.getcwd()
    os.chdir(folder)
    try:
        _make_world()
    finally:
        os.chdir(before)
    return folder


def _make_world():
    textures = SAMPLES / "textures"
    for place, names in (("photos", "ab"), ("data/brick", "01"), ("data/grass", "01"), ("elsewhere", "0123")):
        os.makedirs(place)
        texture = "grass" if place == "data/grass" else "brick"
        for index, name in enumerate(names):
            shutil.copy(textures / texture / f"{texture}_{index:02}.png", f"{place}/{name}.png")
    with open("data/notes", "w") as file:
        file.write("mine")
    with open("list.txt", "w") as file:
        file.write("photos/a.png\n")
    with open("list.csv", "w") as file:
        file.writelines(f"elsewhere/{index}.png,{'ab'[index % 2]}\n" for index in range(4))
    with open("kernel.txt", "w") as file:
        file.write("0 1 0\n1 1 1\n0 1 0\n")
    with open("names.txt", "w") as file:
        file.write("brick red brick\ngrass green grass\n")
    os.mkdir("mnist")
    for part in ("train", "t10k"):
        images, labels = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8) % 2
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            with open(f"mnist/{part}-{kind}-ubyte", "wb") as file:
                file.write(head + array.tobytes())
    for name in "fg":
        imgtool.describe_images("photos", "gist", output=f"{name}.npz", size=64)
    imgtool.train("data", "two-layer", output="model", epochs=1, hidden=4)
    shutil.copytree(locate("lenet@cifar10"), "first")
    rng = np.random.default_rng(0)
    means, variances, priors = rng.random((2, 4)), np.ones((2, 4)), np.array([0.5, 0.5])
    basis = rng.random((4, 128))
    parts = (each.astype(np.float32) for each in (rng.random(128), basis, means, variances, priors))
    save_codebook("book.safetensors", Codebook(*parts, {"sift": LocalSettings(4, (4,), "flat", True).to_meta()}))


def tree(folder):
    """What lies in a folder: paths with what they hold, or where they lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    """A copy of it as the current folder."""
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def _link(way, victim, suffix):
    """Return another name of a file or folder."""
    name = f"another{suffix}"
    if way == "hard link":
        os.link(victim, name)
    elif way == "symbolic link":
        os.symlink(victim, name)
    else:
        if way == "spelling":
            os.mkdir("sub")
        name = f"sub/../{victim}"
    return name


def _need_extras(*words):
    """Skip where what a line needs is not installed: that is told before places are looked at."""
    if "lenet" in words:
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    if "curves" in words:
        pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")


def _check(run, here, command, output, arguments, victim, way):
    """Run a command whose output is one of its inputs: it is refused, and nothing is touched."""
    _need_extras(output, *arguments)
    option, suffix = WRITES[command, output]
    weights = next(path for path in os.listdir("model") if path.startswith("weights-"))
    victim = victim.format(weights=f"model/{weights}")
    name = _link(way, victim, suffix)
    before = tree(here)
    arguments = [each.format(spare="spare") for each in arguments]
    given = [option + name] if option.endswith("=") else [option, name]
    done = run(*command.split(), *arguments, *NEEDED.get((command, output), []), *given, "--force")
    assert (done.status, done.err.count("\n")) in ((1, 1), (2, 1)), done.err
    if suffix or os.path.isdir(name):
        assert "is an input" in done.err
    assert done.out == ""
    assert tree(here) == before


@pytest.mark.parametrize(("command", "output", "given", "way"), list(table()))
def test_F20_no_output_of_a_command_is_one_of_its_inputs(command, output, given, way, here, run):
    arguments, victim = READS[command, given]
    _check(run, here, command, output, arguments, victim, way)


@pytest.mark.parametrize("way", ["hard link", "symbolic link"])
@pytest.mark.parametrize(("command", "output", "arguments", "victim"), MORE)
def test_F20_nor_is_it_a_file_that_no_option_names(command, output, arguments, victim, way, here, run):
    _check(run, here, command, output, arguments, victim, way)


@pytest.mark.parametrize(("option", "folder"), [("--work", "data"), ("--work", "data/brick"), ("--work", "model"),
                                                ("--work", "."), ("--keep", "{folder}")])  # fmt: skip
def test_F20_folders_of_a_comparison_hold_nothing_that_it_reads(option, folder, here, run):
    if folder == "{folder}":  # in which the model's own folder is an input
        folder = "kept"
        shutil.copytree("data", "kept/two-layer")
    data = "kept/two-layer" if folder == "kept" else "data"
    before = tree(here)
    more = ["--model", "./model"] if folder == "model" else []
    done = run("compare", data, "--model", "two-layer", *more, "--epochs", "1", option, folder, "--force")
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert "is an input" in done.err
    assert tree(here) == before


@pytest.mark.parametrize("pair", [("--work", "--keep"), ("--work", "--report"), ("--keep", "--report")])
def test_F20_folders_and_files_of_a_comparison_are_not_one(pair, here, run):
    done = run("compare", "data", "--model", "two-layer", "--epochs", "1", pair[0], "new", pair[1], "./new")
    assert done.status == 2
    assert re.fullmatch(r"imgtool: (\./)?new: --\w+ and --\w+ are one file\n", done.err), done.err


@pytest.mark.parametrize("way", ["symbolic link", "hard link"])
def test_F20_two_outputs_are_not_one_file(way, here, run):
    with open("one.npy", "w") as file:
        file.write("old")
    {"symbolic link": os.symlink, "hard link": os.link}[way]("one.npy", "two.npy")
    before = tree(here)
    done = run("hog", "photos/a.png", "-o", "one.npy", "--visualize", "two.npy", "--force")
    assert (done.status, done.err) == (2, "imgtool: two.npy: -o and --visualize are one file\n")
    assert tree(here) == before


def test_F20_pictures_of_a_training_are_neither_each_other_nor_the_model(here, run):
    _need_extras("curves")
    before, line = tree(here), ["train", "data", "--model", "two-layer", "--force"]
    for more, message in (
        (["-o", "new", "--curves", "a.png", "--preview", "./a.png"], "a.png: --preview and --curves are one file"),
        (["-o", "a.png", "--curves", "a.png"], "a.png: -o and --curves are one file"),
        (
            ["-o", "new", "--curves", "new/curves.png"],
            "--curves new/curves.png: lies in the model's folder, which holds",
        ),
        (
            ["-o", "model", "--preview", "data/../model/sub/a.png"],
            "--preview data/../model/sub/a.png: lies in the model",
        ),
    ):
        done = run(*line, *more)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert message in done.err
        assert tree(here) == before


def test_F20_two_outputs_are_not_one_file_by_a_folder_to_be_made(here, run):
    with open("one.npy", "w") as file:
        file.write("old")
    before = tree(here)
    done = run("hog", "photos/a.png", "-o", "one.npy", "--visualize", "sub/../one.npy", "--force")
    assert (done.status, done.err) == (2, "imgtool: sub/../one.npy: -o and --visualize are one file\n")
    assert tree(here) == before


def test_F20_the_null_device_is_every_output_and_input(here, run):
    assert run("hog", "photos/a.png", "-o", "f2.npz", "--visualize", os.devnull, "--force").status == 0
    assert run("filter", "--kernel", "box", "photos/a.png", "--to", "png", "-o", os.devnull).status == 0
    assert run("compare", "data", "--model", "two-layer", "--epochs", "1", "--report", os.devnull).status == 0


APPENDS = ["filter --kernel box --to png -o -", "filter --kernel box --to png -o /dev/fd/1", "info", "hog", "classify"]


@pytest.mark.parametrize("command", APPENDS)
def test_F20_standard_output_is_no_input_either(command, here):
    before = tree(here)
    with open("photos/a.png", "ab") as out:
        line = [*IMGTOOL, *command.split(), "photos/a.png"]
        done = subprocess.run(line, stdout=out, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, b"is an input" in done.stderr) == (2, True), done.stderr
    assert tree(here) == before


ENCODE = {"codebook": "book.safetensors", "overwrite": True}
PYTHON = {
    "filter": ("photos/a.png", ".png", lambda out: imgtool.filter_images("photos/a.png", output=out, overwrite=True)),
    "describe": ("photos/a.png", ".npz", lambda out: imgtool.describe_images("photos/a.png", output=out, resume=True)),
    "draw": ("photos/a.png", ".png", lambda out: imgtool.describe_images("photos/a.png", "gist", visualize=out)),
    "encode": (
        "book.safetensors", ".npz", lambda out: imgtool.describe_images("photos/a.png", "fisher", output=out, **ENCODE)
    ),
    "embed": (
        "model/model.json",
        ".npz",
        lambda out: imgtool.describe_images("photos/a.png", "embed", output=out, model="./model", overwrite=True),
    ),
    "train": ("first", "", lambda out: imgtool.train("data", "lenet", init="./first", output=out, overwrite=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", PYTHON)
def test_F20_nor_is_an_output_of_a_function(name, here):
    _need_extras(*(["lenet"] if name == "train" else []))
    victim, suffix, function = PYTHON[name]
    os.symlink(victim, f"another{suffix}")
    before = tree(here)
    with pytest.raises(ParameterError, match="is an input"):
        function(f"another{suffix}")
    assert tree(here) == before


def test_F20_a_folder_that_holds_an_input_is_not_replaced(here):
    os.rename("list.csv", "model/CARD.md")  # a name that a model's files have
    before = tree(here)
    with pytest.raises(ParameterError, match="is an input"):
        refuse_inputs([], ["model/CARD.md"], folder="model")
    with pytest.raises(ParameterError, match="is an input"):
        refuse_inputs([], ["elsewhere/0.png", "model/CARD.md"], folder="model")
    refuse_inputs([], ["elsewhere/0.png", "data"], folder="model")
    assert tree(here) == before


@pytest.mark.parametrize("function", [imgtool.compare, imgtool.evaluate])
def test_F20_stored_predictions_replace_no_input(function, here):
    os.mkdir("work")
    os.symlink("../data/brick/0.png", "work/a.predictions")
    before = tree(here)
    with pytest.raises(ParameterError, match=r"a\.predictions: is an input"):
        function("./model", "data", work="work")
    assert tree(here) == before


def test_results_of_an_earlier_run_may_lie_in_the_data_set(here, run):
    for _ in range(2):
        line = ["compare", "data", "--model", "two-layer", "--epochs", "1", "--report", "data/report.html", "--force"]
        assert run(*line).status == 0


@pytest.mark.parametrize(
    "line",
    ["features search f.npz --query photos/a.png --show .", "features merge f.npz -o odd.npz",
     "compare data --model two-layer --report .", "features fit photos/a.png -o odd.safetensors"],
)  # fmt: skip
def test_a_folder_with_inputs_is_no_file_that_is_written(line, here, run):
    for name in ("odd.npz", "odd.safetensors"):
        os.mkdir(name)
        os.link("photos/a.png", f"{name}/a.png")
    done = run(*line.split(), "--force")
    assert (done.status, done.err) == (1, f"imgtool: {line.split()[-1]}: is a folder\n")


def test_folders_that_lead_back_are_looked_into_once(here):
    os.symlink(".", "data/again")
    refuse_inputs(["names.txt"], ["data"])
