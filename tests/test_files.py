"""Files that are read: regular ones, at once, and no more of them than there may be."""

import os
import socket

import pytest

from imgtool.errors import ImageError
from imgtool.files import open_regular, read_regular
from imgtool.image import read
from imgtool.image.content import file_content

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX files")
SPARSE_BYTES = 1 << 42


def odd(folder, kind):
    """Make a file that is none, and return its path."""
    path = folder / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "circle":
        path.symlink_to("circle")
    elif kind == "socket":
        os.chdir(folder)  # a socket's name is short
        socket.socket(socket.AF_UNIX).bind(kind)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(SPARSE_BYTES)
    return path


WHY = {
    "fifo": "is not a regular file",
    "folder": "is a directory",
    "device": "is not a regular file",
    "dangling": "is a link to nothing",
    "circle": "[Tt]oo many levels",
    "socket": "is not a regular file",
    "absent": "[Nn]o such file",
    "zero\0byte": "zero byte",
}


@pytest.mark.parametrize("kind", WHY)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = odd(tmp_path, kind)
    for reader in (open_regular, read_regular):
        with pytest.raises(OSError, match=WHY[kind]):
            reader(path)
    with pytest.raises(ImageError, match=WHY[kind].replace("[Nn]", "n").replace("[Tt]", "t")):
        read(path)


def test_files_with_holes_are_refused_by_their_size(tmp_path):
    path = odd(tmp_path, "sparse")
    with pytest.raises(OSError, match="holds 4398046511104 bytes, more than this machine's memory"):
        read_regular(path)
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_regular(path, 10)
    with pytest.raises(ImageError, match="is no image"):
        read(path)


def test_the_limit_follows_from_the_pixels_allowed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"P5 20000 10000 255\n")
    os.truncate(path, 200_000_100)
    assert len(file_content(path)) == 200_000_100
    with pytest.raises(ImageError, match="so many pixels as are allowed") as caught:
        file_content(path, 100)
    assert caught.value.hint == "max-pixels"
