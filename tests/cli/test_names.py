"""F10, F11: file names that could do harm, and paths that are no files (docs/reliability.md)."""

import base64
import csv
import io
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.cli.messages import printable
from imgtool.image import encode
from locations import IMGTOOL

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names and files that POSIX has")
PNG = encode(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), "png")

# F10

NAMES = {
    "newline": b"a\nb.png",
    "tab": b"a\tb.png",
    "escape": b"\x1b[31mred\x1b]0;title\x07.png",
    "backspace": b"a\x08\x7f.png",
    "C1": "a\x9b31m.png".encode(),
    "right to left": "\u202egnp.exe.png".encode(),
    "isolate": "\u2066a\u2069.png".encode(),
    "separator": "a\u2028b.png".encode(),
    "invalid UTF-8": b"caf\xe9.png",
    "dash": b"-dash.png",
    "option": b"--help.png",
    "255 bytes": b"x" * 251 + b".png",
    "255 bytes of accents": "é".encode() * 125 + b"x.png",
    "quotes": b"a\"b,'c.png",
    "braces": b"{stem}{0}%s.png",
}
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]")
COMMANDS = {
    "filter": ["filter", "--kernel", "box", "-o", "out/", "--json"],
    "gradient": ["gradient", "-o", "out/", "--json"],
    "convert": ["convert", "-o", "out/", "--json"],
    "info": ["info"],
    "hog": ["hog"],
    "gist": ["gist", "--size", "32"],
    "sift": ["sift"],
    "fisher": ["fisher"],
    "embed": ["embed", "--model", "lenet"],
    "classify": ["classify", "--model", "alexnet"],
}


@pytest.fixture(params=NAMES)
def name(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(NAMES[request.param])
    try:
        Path(name).write_bytes(PNG)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    return name


def said(capsysbinary):
    """What was printed, after a look for what could harm a terminal."""
    captured = capsysbinary.readouterr()
    for stream in (captured.out, captured.err):
        assert not DANGEROUS.search(stream.decode())  # and it is UTF-8
    return captured.out.decode(), captured.err.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_F10_name_is_read_written_and_shown_harmlessly(name, command, capsysbinary):
    assert execute([*COMMANDS[command], "-v", "--", name]) == 0
    out, err = said(capsysbinary)
    (line,) = out.splitlines()
    assert path_in(json.loads(line), "path") == name
    assert all(each.startswith(("imgtool: ", "alexnet: ", "weights")) for each in err.splitlines())
    if "-o" in COMMANDS[command]:
        assert os.listdir("out") == [name]
        assert path_in(json.loads(line), "output") == f"out/{name}"


def path_in(row, key):
    """The path that a row of JSON holds."""
    return os.fsdecode(base64.b64decode(row[f"{key}_bytes"])) if f"{key}_bytes" in row else row[key]


@pytest.mark.parametrize("form", ["table", "csv", "tsv"])
def test_F10_name_in_rows_for_people_and_tools_is_one_harmless_cell(name, form, capsysbinary):
    for command in (["info"], ["sift"], ["classify", "-q"]):
        assert execute([*command, "--format", form, "--", name]) == 0
        out, _ = said(capsysbinary)
        lines = out.splitlines()
        assert len(lines) == (1 if form == "tsv" else 2)
        if form == "tsv":
            assert lines[0].split("\t")[0].endswith(".png")
        if form == "csv":
            header, row = csv.reader(io.StringIO(out))
            assert len(header) == len(row)


def test_F10_name_in_a_folder_or_a_list(name, tmp_path, capsysbinary):
    (tmp_path / "list").write_bytes(os.fsencode(name) + b"\0")
    for arguments in (["."], ["--files-from", "list", "-0"]):
        assert execute(["info", *arguments]) == 0
        row = json.loads(said(capsysbinary)[0])
        assert os.path.normpath(path_in(row, "path")) == name


@pytest.mark.parametrize("command", COMMANDS)
def test_F10_name_in_an_error_is_one_harmless_line(name, command, capsysbinary):
    Path(name).write_bytes(PNG[:50])
    assert execute([*COMMANDS[command], "-q", "--", name]) == 1
    out, err = said(capsysbinary)
    assert err.startswith(f"imgtool: {printable(name)}: ")
    assert err.count("\n") == 1
    assert all("error" in json.loads(row) for row in out.splitlines())


def test_F10_name_that_exists_or_is_an_input_is_refused_in_one_harmless_line(name, capsysbinary):
    os.mkdir("out")
    Path("out", name).touch()
    assert execute(["filter", "--kernel", "box", "-o", "out/", "--", name]) == 1
    assert (
        execute(["filter", "--kernel", "box", "-o", f"./{name}".replace("{", "{{").replace("}", "}}"), "--", name]) == 2
    )
    out, err = said(capsysbinary)
    assert out == ""
    assert err.count("\n") == 2


def test_F10_feature_file_keeps_the_name(name, tmp_path, capsysbinary):
    from imgtool.datasets.feature_file import load

    assert execute(["hog", "-o", "f.npz", "--", name]) == 0
    said(capsysbinary)
    assert list(load("f.npz").paths) == [name]


def test_F10_names_made_up_on_a_terminal_are_not_too_long(name, tmp_path):
    import pty

    child, terminal = pty.openpty()
    command = [*IMGTOOL, "filter", "--kernel", "box", "--", name]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    assert process.wait(60) == 0
    os.close(terminal)
    shown = os.read(child, 10000).decode()
    os.close(child)
    assert not DANGEROUS.search(shown.replace("\r\n", "\n"))
    (made,) = set(os.listdir(".")) - {name}
    assert made.endswith(".box.png")


# F11


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.png").write_bytes(PNG)
    Path("empty.png").touch()
    Path("folder").mkdir()
    Path("folder", "notes.txt").touch()
    os.mkfifo("fifo.png")
    Path("dangling.png").symlink_to("nowhere")
    Path("loop.png").symlink_to("loop.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    Path("device.png").symlink_to("/dev/zero")
    return tmp_path


NO_IMAGES = {
    "missing.png": "no such file or directory",
    "empty.png": "is empty",
    "folder": "is a folder without images",
    "fifo.png": "is not a regular file",
    "socket.png": "is not a regular file",
    "device.png": "is not a regular file",
    "/dev/null": "is not a regular file",
    "dangling.png": "is a link to nothing",
    "loop.png": "too many levels of symbolic links",
    "good.png/b.png": "not a directory",
    "good.png/": "not a directory",
    "x" * 300: "file name too long",
    "": "no such file or directory",
}


@pytest.mark.parametrize("path", NO_IMAGES, ids=lambda path: path[:20])
def test_F11_what_is_no_file_is_one_line_and_the_others_are_done(folder, path):
    command = [*IMGTOOL, "info", path, "good.png"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"imgtool: {path}: {NO_IMAGES[path]}")
    failed, good = (json.loads(row) for row in done.stdout.splitlines())
    assert (failed["path"], good["path"], good["size"]) == (path, "good.png", "64x64")
    assert done.returncode == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_F11_every_command_says_it_in_one_line(folder, command, capsys):
    paths = [path for path in NO_IMAGES if os.path.basename(path)]
    assert execute([*COMMANDS[command], "-q", *paths]) == 1
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == paths


def test_F11_folder_of_such_things_gives_a_line_each(folder, capsys):
    assert execute(["info", "."]) == 1
    captured = capsys.readouterr()
    named = [line.split(": ")[1] for line in captured.err.splitlines()]
    assert named == [f"./{name}.png" for name in ("dangling", "device", "empty", "fifo", "loop", "socket")]
    assert [row["path"] for row in map(json.loads, captured.out.splitlines()) if "error" not in row] == ["./good.png"]


def test_F11_what_may_not_be_read_is_one_line(folder):
    """As a user without root rights: what has to be imported is imported before they are given away."""
    Path("closed.png").write_bytes(PNG)
    Path("closed").mkdir()
    Path("open").mkdir()
    Path("open", "good.png").write_bytes(PNG)
    Path("open", "sub").mkdir()
    for path in ("closed.png", "closed", "open/sub"):
        os.chmod(path, 0)
    os.chmod(".", 0o755)
    code = (
        "import os, sys; from imgtool.cli.main import execute; execute(['info', 'good.png', 'open'])\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(execute(['info', 'closed.png', 'closed', 'open', 'closed/a.png', 'good.png']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    for path in ("closed", "open/sub"):
        os.chmod(path, 0o755)
    assert done.stderr.decode().splitlines() == [
        f"imgtool: {path}: permission denied" for path in ("closed.png", "closed", "open/sub", "closed/a.png")
    ]
    assert done.stdout.count(b"64x64") == 4
    assert done.returncode == 1


def test_F11_output_into_what_is_no_folder_is_one_line(folder, capsys):
    outputs = ("good.png/out.png", "loop.png/out.png", "dangling.png", "folder/" + "x" * 300 + ".png", "socket.png")
    for output in outputs:
        assert execute(["filter", "--kernel", "box", "-o", output, "good.png"]) == 1, output
    assert len(capsys.readouterr().err.splitlines()) == len(outputs)
