"""Where results go: whole or not at all, and never over anything by accident."""

import os
import subprocess
import sys

import pytest

from imgtool.batch import outputs
from imgtool.batch.inputs import Input, expand
from imgtool.batch.outputs import Destination, write_file
from imgtool.errors import OutputError, ParameterError


def destination(spec, paths, **options):
    return Destination(spec, [Input(path) for path in paths], what="sobel-x", suffix=".png", **options)


def test_write_makes_folders_and_leaves_no_temporary_file(tmp_path):
    write_file(tmp_path / "new" / "a.bin", b"content")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"content"
    assert os.listdir(tmp_path / "new") == ["a.bin"]


def test_write_refuses_what_exists_unless_told(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.png").touch()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"b\.png: cannot be written: .*a\.png is no folder"):
            write_file(tmp_path / "a.png" / "b.png", b"x", overwrite=overwrite)


def test_F5_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_F5_temporary_files_of_dead_processes_are_swept_and_of_living_ones_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {pid: f".imgtool-{outputs._MACHINE}-{pid}-00000000.tmp" for pid in (dead.pid, os.getppid())}
    for name in names.values():
        (tmp_path / name).touch()
    write_file(tmp_path / "a", b"")
    assert sorted(os.listdir(tmp_path)) == sorted([names[os.getppid()], "a"])


def test_F5_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []

    def noted(name):
        real = getattr(os, name)
        return lambda *arguments: (done.append(name), real(*arguments))

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noted(name))
    write_file(tmp_path / "a", b"new")
    write_file(tmp_path / "a", b"newer", overwrite=True)
    assert done == ["fsync", "link", "fsync", "replace"]


def test_what_is_no_regular_file_is_written_to_and_stays_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    where = destination(str(tmp_path / "pipe"), ["a.png"])
    where.check(0)
    where.write(0, b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_pipe_gets_the_bytes_and_a_terminal_gets_a_name(monkeypatch):
    assert destination(None, ["cat.jpg"]).is_stream
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert destination(None, ["photos/cat.jpg"]).path(0) == "cat.sobel-x.png"


def test_several_images_do_not_fit_on_standard_output():
    with pytest.raises(ParameterError, match="several images") as error:
        destination("-", ["a.png", "b.png"])
    assert error.value.hint == "several"


def test_folder_keeps_relative_paths(tmp_path):
    for name in ("x/a.jpg", "y/a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    inputs = expand([str(tmp_path / "in")])
    where = Destination(str(tmp_path / "out"), inputs, what="", suffix=".png")
    assert [where.path(i) for i in range(2)] == [str(tmp_path / "out/x/a.png"), str(tmp_path / "out/y/a.png")]


def test_template_is_filled_in():
    where = destination("{parent}/{index:03}-{stem}.{ext}.{name}", ["p/a.jpg", "q/b.png"])
    assert [where.path(i) for i in range(2)] == ["p/000-a.jpg.a.jpg", "q/001-b.png.b.png"]


@pytest.mark.parametrize("template", ["{steam}.png", "{stem", "{}.png", "{index:q}"])
def test_bad_template_is_refused(template):
    with pytest.raises(ParameterError, match=r"^output "):
        destination(template, ["a.png"])


def test_F6_two_inputs_on_one_output_are_refused(tmp_path):
    for paths in (["x/a.jpg", "y/a.png"], ["a.png", "a.png"]):
        with pytest.raises(ParameterError, match="both"):
            destination(str(tmp_path) + "/", paths, force=True)
    with pytest.raises(ParameterError, match="both"):
        destination(str(tmp_path / "{ext}"), ["x/a.png", "y/b.png"], force=True)


@pytest.mark.parametrize("ignores", [True, False])
def test_F6_names_that_differ_in_case_are_one_file_where_the_file_system_says_so(tmp_path, monkeypatch, ignores):
    monkeypatch.setattr(outputs, "_ignores_case", lambda folder: ignores)
    for pair in (["x/A.png", "y/a.png"], ["x/\u00e9.png", "y/e\u0301.png"]):
        if ignores:
            with pytest.raises(ParameterError, match="both"):
                destination(str(tmp_path / "new") + "/", pair, force=True)
        else:
            assert destination(str(tmp_path / "new") + "/", pair).path(1)


def test_F6_the_file_system_is_asked_whether_it_ignores_case(tmp_path):
    (tmp_path / "folder").mkdir()
    assert outputs._ignores_case(str(tmp_path / "folder" / "new" / "newer")) == (tmp_path / "FOLDER").exists()
    (tmp_path / "FOLDER").exists() or (tmp_path / "FOLDER").symlink_to("folder")  # as if it did
    assert outputs._ignores_case(str(tmp_path / "folder" / "new"))


@pytest.fixture
def precious(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"precious")
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    os.symlink(".", "here")


WAYS = ["a.png", "./a.png", "folder/../a.png", "hard.png", "soft.png", "here/a.png", "{parent}/a.png", "{stem}.png"]


@pytest.mark.parametrize("name", WAYS)
def test_F6_an_input_is_never_an_output(precious, name):
    for given in ("a.png", "hard.png", "soft.png", "here/a.png", os.path.abspath("a.png")):
        with pytest.raises(ParameterError, match="is an input"):
            destination(name, [given], force=True)


def test_F6_nor_is_what_standard_input_comes_from(precious, monkeypatch):
    before = os.dup(0)
    with open("a.png", "rb") as file:
        os.dup2(file.fileno(), 0)
    try:
        with pytest.raises(ParameterError, match="is an input"):
            destination("hard.png", ["-"], force=True)
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_F6_results_in_a_folder_of_inputs_are_no_inputs_of_the_next_run(tmp_path):
    for name in ("in/a.jpg", "in/sub/b.jpg", "in/out/a.png", "in/out/sub/b.png", "in/outer/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = expand([str(tmp_path / "in")])
    left = outputs.without_results(inputs, str(tmp_path / "in" / "sub" / ".." / "out"))
    assert [each.path for each in left] == [
        str(tmp_path / "in" / name) for name in ("a.jpg", "outer/c.jpg", "sub/b.jpg")
    ]
    assert list(outputs.without_results(inputs, str(tmp_path / "elsewhere"))) == list(inputs)
    assert list(outputs.without_results(inputs, str(tmp_path))) == list(inputs)
    named = expand([str(tmp_path / "in" / "out")])
    assert list(outputs.without_results(named, str(tmp_path / "in" / "out"))) == list(named)


def test_existing_output_is_refused_before_the_work(tmp_path):
    (tmp_path / "out.png").touch()
    with pytest.raises(OutputError, match="exists"):
        destination(str(tmp_path / "out.png"), ["a.png"]).check(0)
    destination(str(tmp_path / "out.png"), ["a.png"], force=True).check(0)
