"""F21: a temporary file is locked while it is written; only what no process has locked is swept."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from imgtool.batch import temporaries
from imgtool.batch.outputs import write_file
from imgtool.batch.temporaries import sweep, temporary

fcntl = pytest.importorskip("fcntl", reason="there are no such locks here")
NAME = ".imgtool-0123456789abcdef.tmp"
LOCKED = """
import fcntl, sys
file = open(sys.argv[1], "x+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def always_swept(monkeypatch):
    monkeypatch.setattr(temporaries, "_swept", type("Nothing", (set,), {"__contains__": lambda *_: False})())


def test_F21_a_file_that_a_live_process_has_locked_stays_and_is_swept_when_that_is_dead(tmp_path):
    command = [sys.executable, "-c", LOCKED, str(tmp_path / NAME)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"locked\n"
        write_file(tmp_path / "a", b"")
        assert sorted(os.listdir(tmp_path)) == [NAME, "a"]
    finally:
        writer.kill()
        writer.communicate()
    write_file(tmp_path / "b", b"")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_F21_a_file_is_locked_until_it_has_its_name(tmp_path, overwrite, monkeypatch):
    def sweeping(name):
        real = getattr(os, name)
        return lambda *arguments: (sweep(str(tmp_path)), real(*arguments))

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, sweeping(name))
    write_file(tmp_path / "a", b"new", overwrite=overwrite)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_F21_a_file_that_was_swept_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    real, calls = temporaries.lock, []

    def late(file):
        calls.append(file)
        if len(calls) == 1:
            (path,) = tmp_path.iterdir()
            path.unlink()
        if len(calls) == 2:
            return False  # the other process has it at this moment
        return real(file)

    monkeypatch.setattr(temporaries, "lock", late)
    with temporary(str(tmp_path)) as (path, file):
        assert len(calls) == 3
        assert os.fstat(file.fileno()).st_ino == os.stat(path).st_ino
    assert not temporaries._own_temporaries
    assert all(path.name == os.path.basename(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_F21_without_locks_nothing_is_swept_by_anybody(tmp_path, number, monkeypatch):
    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    (tmp_path / NAME).touch()
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", no_locks)
        write_file(tmp_path / "a", b"new")
        assert sorted(os.listdir(tmp_path)) == [NAME, "a"]
        (tmp_path / NAME).unlink()
        with temporary(str(tmp_path)) as (path, _):
            patched.undo()
            sweep(str(tmp_path))  # another machine, on which locks work
            assert os.path.exists(path)
    assert os.listdir(tmp_path) == ["a"]


def test_F21_a_file_that_may_not_be_written_is_swept_when_it_is_dead(tmp_path):
    (tmp_path / NAME).touch(mode=0o444)
    sweep(str(tmp_path))
    assert not os.listdir(tmp_path)


def test_F21_what_is_no_file_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / NAME).symlink_to("precious")
    os.mkfifo(tmp_path / NAME.replace("0", "1"))
    (tmp_path / NAME.replace("0", "2")).mkdir()
    before = sorted(os.listdir(tmp_path))
    sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == before
    assert stat.S_ISFIFO((tmp_path / NAME.replace("0", "1")).stat().st_mode)


def test_a_file_that_cannot_be_made_is_forgotten(tmp_path):
    with pytest.raises(OSError, match="No such file"), temporary(str(tmp_path / "none")):
        pass
    assert not any(str(tmp_path) in path for path in temporaries._own_temporaries)


def test_where_the_system_has_no_locks_files_are_never_swept_by_others(tmp_path, monkeypatch):
    monkeypatch.setattr(temporaries, "HAS_LOCKS", False)
    (tmp_path / NAME).touch()
    with temporary(str(tmp_path)) as (path, _):
        monkeypatch.undo()
        sweep(str(tmp_path))
        assert os.path.exists(path)
        assert os.listdir(tmp_path) == [os.path.basename(path)]
    assert not os.listdir(tmp_path)
