"""Messages: the library speaks of values, the command line of options and of what can be done."""

import ast
import pickle
import re
import tomllib

import pytest

from imgtool import errors
from imgtool.cli.main import execute
from imgtool.cli.messages import ADVICE, complain, explain, option
from imgtool.errors import ClusterError, DataError, ImageError, ImgtoolError, MissingExtraError, ParameterError
from locations import ROOT

FILES = [path for path in sorted((ROOT / "imgtool").rglob("*.py")) if "cli" not in path.parts]
AN_OPTION = re.compile(r"(?<![\w-])--[a-z]")


def texts(path):
    """Yield the strings of a file, docstrings included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_option(path):
    assert not [text for text in texts(path) if AN_OPTION.search(text)]


def test_every_hint_has_its_advice():
    hints = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                either = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                hints |= {each.value for each in either if isinstance(each, ast.Constant)}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(".hint"):
                hints |= {each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
    assert {"exists", "truncated", "resume"} <= hints
    assert {each for each in hints if isinstance(each, str)} - {""} == ADVICE.keys()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImageError("is cut", hint="truncated"), "is cut; --allow-truncated reads what is there"),
        (ParameterError("sigma_color must be positive, got 0", parameters=("sigma_color",)),
         "--sigma-color must be positive, got 0"),
        (ParameterError("bins goes with output, not size", parameters=("output", "bins")),
         "--bin goes with -o, not size"),
        (DataError("is damaged", hint="other-run").within("a.npz.partial"),
         "a.npz.partial: is damaged; --force begins anew"),
        (ParameterError("size 3: wrong", parameters=("size",)).within("size"), "size: --size 3: wrong"),
        (ParameterError("output my output: wrong", parameters=("output",)), "-o my output: wrong"),
        (ImgtoolError("odd", hint="from a file that was changed"), "odd"),
        (OSError(2, "No such file or directory"), "no such file or directory"),
        (ImgtoolError(), "ImgtoolError"),
        (MissingExtraError("torch", "device cuda", parameters=("device",)),
         "--device cuda needs the extra 'torch': pip install \"torch>="),
    ],
)  # fmt: skip
def test_errors_are_explained(error, message):
    assert explain(error).startswith(message)
    if not isinstance(error, MissingExtraError):
        assert explain(error) == message


def test_options_have_their_own_spelling():
    assert [option(name) for name in ("max_pixels", "overwrite", "null")] == ["--max-pixels", "--force", "-0"]


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("is gone", hint="resume").within("tcp://x"),
        ParameterError("size 3: wrong", parameters=("size",)),
        MissingExtraError("report", "a report", parameters=("report",)).within("x"),
    ],
)
def test_errors_come_back_from_a_worker(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.hint, again.parameters) == (
        type(error), str(error), error.hint, error.parameters,
    )  # fmt: skip


def test_argument_and_image_errors_are_what_python_users_catch():
    for kind in (ImageError, ParameterError):
        assert issubclass(kind, ValueError)
        assert issubclass(kind, ImgtoolError)


def test_extras_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {name: list(each) for name, each in errors.EXTRAS.items()} == {
        name: each for name, each in extras.items() if name != "all"
    }
    for name in errors.EXTRAS:
        assert project["name"] not in str(MissingExtraError(name, "it")).split("pip install")[1]


def test_a_message_of_100_kB_is_cut_in_its_middle(capsys):
    long = "x" * 100_000
    for arguments in (["info", long], ["filter", "--kernel", long, "a.png"], ["classify", "--model", long, "a.png"]):
        assert execute(arguments) in (1, 2)
        (line,) = capsys.readouterr().err.splitlines()
        assert len(line) < 10_100
        assert " ... " in line
    complain(f"{'y' * 4096}: exists; --force overwrites it")
    assert capsys.readouterr().err == f"imgtool: {'y' * 4096}: exists; --force overwrites it\n"
