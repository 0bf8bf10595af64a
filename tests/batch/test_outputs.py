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
    with pytest.raises(OutputError, match="--force"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_temporary_files_of_dead_processes_are_swept_and_of_living_ones_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {pid: f".imgtool-{outputs._MACHINE}-{pid}-00000000.tmp" for pid in (dead.pid, os.getppid())}
    for name in names.values():
        (tmp_path / name).touch()
    write_file(tmp_path / "a", b"")
    assert sorted(os.listdir(tmp_path)) == sorted([names[os.getppid()], "a"])


def test_a_pipe_gets_the_bytes_and_a_terminal_gets_a_name(monkeypatch):
    assert destination(None, ["cat.jpg"]).is_stream
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert destination(None, ["photos/cat.jpg"]).path(0) == "cat.sobel-x.png"


def test_several_images_do_not_fit_on_standard_output():
    with pytest.raises(ParameterError, match="-o"):
        destination("-", ["a.png", "b.png"])


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
    with pytest.raises(ParameterError, match="-o"):
        destination(template, ["a.png"])


def test_two_inputs_on_one_output_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="both"):
        destination(str(tmp_path) + "/", ["x/a.jpg", "y/a.png"])


def test_an_input_is_never_an_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"precious")
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    for name in ("a.png", "./a.png", "hard.png", "soft.png", str(tmp_path / "a.png")):
        with pytest.raises(ParameterError, match="is an input"):
            destination(name, ["a.png"], force=True)


def test_existing_output_is_refused_before_the_work(tmp_path):
    (tmp_path / "out.png").touch()
    with pytest.raises(OutputError, match="exists"):
        destination(str(tmp_path / "out.png"), ["a.png"]).check(0)
    destination(str(tmp_path / "out.png"), ["a.png"], force=True).check(0)
