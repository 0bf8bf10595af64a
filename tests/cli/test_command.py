"""What all commands share: headings and width of their help, options from the environment, names, manual pages."""

import os
import re
import shutil
import subprocess

import click
import pytest

from imgtool.cli.command import COMPUTES, FIRST_SCREEN_LINES, HEADINGS, NOT_FROM_ENVIRONMENT, option_groups, spelling
from imgtool.cli.main import execute, program
from imgtool.filters.borders import BORDERS
from locations import SAMPLES

CAMERA = str(SAMPLES / "camera.png")


def contexts(command=program, parent=None, name="imgtool"):
    """Yield a context for each command, the groups too."""
    ctx = click.Context(command, parent, info_name=name, max_content_width=80)
    yield ctx
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            yield from contexts(command.get_command(ctx, each), ctx, each)


CONTEXTS = {ctx.command_path: ctx for ctx in contexts()}
COMMANDS = [path for path, ctx in CONTEXTS.items() if not isinstance(ctx.command, click.Group)]
every_command = pytest.mark.parametrize("path", COMMANDS)


def run(path, *arguments):
    return execute([*path.split()[1:], *arguments])


@every_command
def test_the_help_has_headings_and_fits_80_columns(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(path, "--help") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert headings == [each for each in (COMPUTES, *HEADINGS) if each in headings]


def test_every_option_under_a_heading_is_an_option_of_some_command():
    there = {spelling(each) for path in COMMANDS for each in CONTEXTS[path].command.get_params(CONTEXTS[path])}
    planned = {"--page", "--bands", "--background", "--nodata", "--skip-bad", "--strip"}
    assert {each for options in HEADINGS.values() for each in options} - planned <= there


@every_command
def test_the_first_screen_fits_a_terminal_and_ends_with_whole_options(path, capsys):
    assert run(path, "-h") == 0
    short = capsys.readouterr().out.splitlines()
    assert run(path, "--help") == 0
    whole = capsys.readouterr().out.splitlines()
    assert len(short) <= FIRST_SCREEN_LINES
    if len(whole) > FIRST_SCREEN_LINES:
        assert short.pop() == f"... ({path} --help shows the rest)"
        following = whole[len(short)] or whole[len(short) + 1]
        assert not following.startswith(" " * 6)
    assert short == whole[: len(short)]


@every_command
def test_every_option_is_set_in_the_environment_by_its_spelling(path, monkeypatch):
    """A bad value is refused by the variable's name: by the command's, which comes first, and by the general one."""
    ctx = CONTEXTS[path]
    for each in ctx.command.params:
        if not isinstance(each, click.Option) or each.is_eager or len(spelling(each).lstrip("-")) < 2:
            continue
        name = spelling(each)[2:].replace("-", "_").upper()
        own, general = f"{path.replace(' ', '_').upper()}_{name}", f"IMGTOOL_{name}"
        for variable in (own, general):
            monkeypatch.setenv(variable, "0" if each.is_flag else "~no such value~")
            there = click.Context(ctx.command, ctx.parent, info_name=ctx.info_name, resilient_parsing=True)
            ctx.command.parse_args(there, [])
            source = there.get_parameter_source(each.name).name
            expected = "DEFAULT" if name.lower() in NOT_FROM_ENVIRONMENT else "ENVIRONMENT"
            assert source == expected, (path, variable)
            monkeypatch.delenv(variable)


def test_the_commands_variable_comes_before_the_general_one_and_the_line_before_both(monkeypatch, capsys):
    monkeypatch.setenv("IMGTOOL_FORMAT", "csv")
    assert execute(["info", CAMERA]) == 0
    assert capsys.readouterr().out.startswith("path,size")
    monkeypatch.setenv("IMGTOOL_INFO_FORMAT", "tsv")
    assert execute(["info", CAMERA]) == 0
    assert capsys.readouterr().out.startswith(f"{CAMERA}\t")
    assert execute(["info", "--format", "jsonl", CAMERA]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_values_that_may_be_repeated_are_separated_as_in_path(monkeypatch, capsys):
    monkeypatch.setenv("IMGTOOL_CLASSIFY_MODEL", os.pathsep.join(["alexnet", "lenet@mnist"]))
    assert execute(["classify", "--format", "tsv", CAMERA]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["alexnet", "lenet@mnist"]


def test_a_wrong_value_in_the_environment_is_refused_with_the_variables_name(monkeypatch, capsys):
    monkeypatch.setenv("IMGTOOL_JOBS", "many")
    assert execute(["info", CAMERA]) == 2
    assert "'many' is not a valid integer range (from IMGTOOL_JOBS)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("filter --kernel SOBEL_X", "sobel-x"),
        ("filter --kernel gausian", "gaussian"),
        ("filter --kernel medain", "median"),
        ("filter --kernel box --border wrpa", "wrap"),
        ("filter --kernel box --border symetric", "symmetric"),
        ("filter --kernel box --range Strech", "stretch"),
        ("gradient --operator Schar", "scharr"),
        ("convert --color LAB", "lab"),
        ("hog --variant Dalal_Triggs", "dalal-triggs"),
        ("gist --preset LMgist", "lmgist"),
        ("classify --model AlexNet", "alexnet"),
        ("train --model Lenet", "lenet"),
        ("train --model lenet --set Weight-Decya=1", "weight_decay"),
        ("compare --model hog_svm", "hog-svm"),
        ("models shwo", "show"),
        ("featuers info", "features"),
        ("completion Bash", "bash"),
        ("help Filtr", "filter"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(line, meant, capsys, tmp_path):
    rest = ["-o", str(tmp_path / "model")] if "train" in line else []
    place = {"completion": [], "help": [], "featuers": [], "models": []}.get(line.split()[0])
    assert execute([*line.split(), *(place if place is not None else [str(SAMPLES / "textures"), *rest])]) == 2
    err = capsys.readouterr().err
    assert f"id you mean '{meant}'?" in err or f"id you mean {meant}?" in err
    assert err.count("\n") == 1


def borders_elsewhere():
    return sorted({(other, our) for our, each in BORDERS.items() for other in each.elsewhere() if other not in BORDERS})


@pytest.mark.parametrize(
    ("other", "our"), [pair for pair in borders_elsewhere() if pair[0] not in ("REFLECT", "Mirror")]
)
def test_borders_take_the_names_of_other_tools(other, our, tmp_path, capsysbinary):
    written = []
    for name in (other, our):
        assert execute(["filter", "--kernel", "box", "--size", "9", "--border", name, CAMERA, "-o", "-"]) == 0
        written.append(capsysbinary.readouterr().out)
    assert written[0] == written[1]


@pytest.mark.parametrize("name", ["REFLECT", "Mirror"])
def test_a_border_that_tools_call_differently_is_asked_for(name, capsys):
    assert execute(["filter", "--kernel", "box", "--border", name, CAMERA]) == 2
    assert "reflect or mirror" in capsys.readouterr().err


@every_command
def test_help_shows_the_help_of_each_command(path, capsys):
    assert execute(["help", *path.split()[1:]]) == 0
    assert capsys.readouterr().out.rstrip() == CONTEXTS[path].get_help().rstrip()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
@pytest.mark.parametrize("path", CONTEXTS)
def test_manual_pages_hold_every_option_and_are_sound_roff(path, capsys):
    assert execute(["help", "--man", *path.split()[1:]]) == 0
    page = capsys.readouterr().out
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou"], input=page.encode(), capture_output=True, check=True
    )
    assert done.stderr == b""
    shown = done.stdout.decode()
    for _, options in option_groups(CONTEXTS[path].command, CONTEXTS[path]):
        for each in options:
            assert spelling(each) in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_that_of_the_shell(shell, capsys, monkeypatch):
    assert execute(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert f"_IMGTOOL_COMPLETE={shell}_complete" in text
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert execute(["completion"]) == 0
    assert capsys.readouterr().out == text
    assert execute(["doctor", "--json"]) == 0
    assert f"imgtool completion {shell}" in capsys.readouterr().out


def test_without_a_known_shell_one_is_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert execute(["completion"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("train --model lenet --set weight", ["weight_decay="]),
        ("compare --model hog-svm --model lenet --set mom", ["momentum="]),
        ("classify --device c", ["cpu", "cuda"]),
        ("hog --variant v", ["vlfeat-dalal-triggs"]),
        ("filter --border co", ["copy"]),
        ("filter --kernel med", ["median"]),
        ("evaluate --model mine/a", ["mine/alex"]),
        ("classify --model alexnet@", ["alexnet@imagenette"]),
    ],
)
def test_completion_knows_settings_devices_and_trained_models(typed, offered, tmp_path, monkeypatch):
    from click.shell_completion import BashComplete

    (tmp_path / "mine" / "alex").mkdir(parents=True)
    (tmp_path / "mine" / "alex" / "model.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    *words, incomplete = typed.split()
    found = BashComplete(program, {}, "imgtool", "_IMGTOOL_COMPLETE").get_completions(words, incomplete)
    assert [each.value for each in found] == offered


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (["classify", "--maps", "conv1=a", "--maps=conv2=b", CAMERA], "--maps"),
        (["filter", "--kernel", "box", "-o", "a.png", "--output", "b.png", CAMERA], "--output"),
        (["features", "search", "--show", "a.png", "--query", CAMERA, "--show", "b.png", "f.npz"], "--show"),
        (["filter", "--kernel-file", "a.txt", "--kernel-file", "b.txt", CAMERA], "--kernel-file"),
    ],
)
def test_a_file_is_named_once(line, option, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert execute(line) == 2
    assert f"{option} is given 2 times, and takes one value" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert execute([*line, "--help"]) == 0
