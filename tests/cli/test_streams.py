"""Every command with closed streams: what needs none of them is done, the rest is one line."""

import sys

import pytest
from every_command import PRINTING, STORING, prepare, run

from imgtool.cli.main import COMMANDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")

CLOSED = {"input": "<&-", "output": ">&-", "error": "2>&-", "all": "<&- >&- 2>&-"}
ENOUGH = {"train", "fisher", "features", "models"}  # tried with all streams closed at once, as they take long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    return prepare(tmp_path_factory.mktemp("streams"))


def test_every_command_is_here():
    assert PRINTING.keys() == COMMANDS.keys()
    assert STORING.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("command", PRINTING)
def test_F22_results_that_cannot_be_printed_are_one_line(folder, command, closed):
    done = run(folder, CLOSED[closed], command, *PRINTING[command])
    needs = closed in ("output", "all")
    assert done.returncode == (1 if needs else 0), done.stderr
    assert bool(done.stdout) != needs
    if closed == "output":
        assert done.stderr.splitlines()[-1].endswith(b"standard output: is closed")
        assert b"internal error" not in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", STORING)
def test_F22_results_in_files_need_no_stream(folder, tmp_path, command):
    arguments = [str(folder / each) if (folder / each).exists() else each for each in STORING[command]]
    results = {}
    for closed in ("", *(["all"] if command in ENOUGH else CLOSED)):
        where = tmp_path / (closed or "none")
        where.mkdir(exist_ok=True)
        done = run(where, CLOSED.get(closed, ""), command, *arguments)
        assert done.returncode == 0, done.stderr
        results[closed] = content(where), done.stderr
    for closed, (files, said) in results.items():
        assert files == results[""][0]
        assert said == (b"" if closed in ("error", "all") else results[""][1])


def content(folder):
    """Return what all files below a folder hold, by name; of a model what does not depend on when it was made."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items()}


@pytest.mark.parametrize("arguments", [["info"], ["info", "-"], ["filter", "--kernel", "box", "-o", "new.png"]])
def test_F22_an_image_from_closed_standard_input_is_one_line(tmp_path, arguments):
    done = run(tmp_path, CLOSED["input"], *arguments)
    assert done.returncode == 1
    assert done.stderr == b"imgtool: standard input: is closed\n"
    assert not [*tmp_path.iterdir()]


def test_F22_a_list_from_closed_standard_input_is_one_line(tmp_path):
    done = run(tmp_path, CLOSED["input"], "info", "--files-from", "-")
    assert done.returncode == 2
    assert done.stderr == b"imgtool: --files-from -: bad file descriptor\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["help"], ["filter", "--help"], []])
def test_F22_texts_for_closed_standard_output_are_one_line(tmp_path, arguments):
    done = run(tmp_path, CLOSED["output"], *arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.count(b"\n") == 1
    assert b"internal" not in done.stderr
    assert run(tmp_path, CLOSED["all"], *arguments).returncode in (1, 2)


@pytest.mark.parametrize("arguments", [["filter", "--kernel", "box", "small.pgm"], ["models", "filters", "lenet"]])
def test_F22_a_picture_for_closed_standard_output_is_one_line(tmp_path, arguments):
    (tmp_path / "small.pgm").write_bytes(b"P5 2 2 255 abcd")
    done = run(tmp_path, CLOSED["output"], *arguments)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.endswith(b"standard output: is closed\n")


def test_an_endless_stream_is_no_image(tmp_path):
    done = run(tmp_path, "</dev/zero", "info")
    assert done.returncode == 1
    assert done.stderr.startswith(b"imgtool: standard input: is no image")
