"""Which images a command works on."""

import codecs
import importlib.util
import io
import os
import socket

import pytest

from imgtool.batch import suffixes
from imgtool.batch.inputs import Input, Inputs, expand
from imgtool.batch.suffixes import IMAGE_SUFFIXES, SUFFIXES
from imgtool.datasets.labels import Labels
from imgtool.errors import ImageError, ParameterError


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.tif", "sub/deep/d.webp", "notes.txt", ".hidden.png", ".git/e.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_folder_gives_its_images_recursively_in_sorted_order(photos):
    found = [os.path.relpath(each.path, photos) for each in expand([str(photos)])]
    assert found == ["a.JPG", "b.png", "sub/c.tif", "sub/deep/d.webp"]


def test_files_stay_in_the_order_given_and_may_repeat():
    assert [each.path for each in expand(["z.png", "a.png", "z.png"])] == ["z.png", "a.png", "z.png"]


def test_label_is_the_class_folder(photos):
    assert [Labels()(each) for each in expand([str(photos)])] == ["", "", "sub", "sub"]
    assert Labels()(Input("sub/c.tif")) == ""


@pytest.mark.parametrize("null", [False, True])
def test_files_from_a_list(tmp_path, null):
    listed = ["a b.png", "ü.png", "-dash.png"] + (["line\nfeed.png"] if null else [])
    listing = tmp_path / "list"
    listing.write_bytes((b"\0" if null else b"\n").join(os.fsencode(name) for name in listed))
    assert [each.path for each in expand([], files_from=str(listing), null=null)] == listed


def test_nothing_named_means_standard_input_unless_it_is_a_terminal():
    assert list(expand([])) == [Input("-")]
    with pytest.raises(ParameterError, match="no image named"):
        expand([], stdin_is_terminal=True)


def test_standard_input_is_read_once_only():
    with pytest.raises(ParameterError, match="only once"):
        expand(["-", "-"])


def test_folder_without_images_is_refused_when_it_is_read_so_that_the_others_are_done(tmp_path):
    (folder,) = expand([str(tmp_path)])
    with pytest.raises(ImageError, match="without images"):
        folder.read_bytes()


def test_standard_input_is_read_as_bytes(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00")))
    assert Input("-").read_bytes() == b"\xff\x00"


def test_what_is_no_regular_file_is_refused_with_a_reason(tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    expected = {
        "missing": "no such file",
        "empty": "is empty",
        "fifo": "not a regular file",
        "dangling": "link to nothing",
        ".": "is a folder",
    }
    for name, reason in expected.items():
        with pytest.raises(ImageError, match=reason):
            Input(str(tmp_path / name)).read_bytes()
    with pytest.raises(ImageError, match="not a regular file"):
        Input("/dev/null").read_bytes()


def test_inputs_of_many_folders_come_one_by_one_and_all_in_a_row(photos):
    listed = [Input("é.png"), *expand([str(photos)]), Input("-"), *expand([str(photos / "sub")]), Input("x\udcff.png")]
    inputs = Inputs(listed)
    assert list(inputs) == listed == [inputs[index] for index in range(len(inputs))]
    assert list(Inputs()) == []


LISTED = ["a b.png", "ü.png", " -dash.png ", "#x.png"]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "marked"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0", b"\r\n\r\n"], ids=["lf", "crlf", "nul", "blank lines"])
def test_F24_lists_of_files_as_editors_write_them(tmp_path, mark, end):
    listing = tmp_path / "list"
    listing.write_bytes(mark + end.join(name.encode() for name in LISTED) + end)
    assert [each.path for each in expand([], files_from=str(listing), null=end == b"\0")] == LISTED


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_F24_lists_in_utf_16_are_refused_as_such(tmp_path, encoding):
    listing = tmp_path / "list"
    listing.write_bytes("a.png\nb.png\n".encode(encoding))
    with pytest.raises(ParameterError, match="UTF-16"):
        expand([], files_from=str(listing))
    if encoding == "utf-16":
        with pytest.raises(ParameterError, match="UTF-16"):
            expand([], files_from=str(listing), null=True)


def test_F24_a_carriage_return_that_belongs_to_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Icon\r").touch()
    (tmp_path / "list").write_bytes(b"Icon\r\nb.png\r\nc\rd.png\n")
    assert [each.path for each in expand([], files_from="list")] == ["Icon\r", "b.png", "c\rd.png"]
    (tmp_path / "Icon").touch()
    with pytest.raises(ParameterError, match="with and without the carriage return"):
        expand([], files_from="list")


def test_links_to_folders_are_followed_unless_they_lead_back(tmp_path):
    for name in ("data/cats/a.png", "elsewhere/dogs/b.png", "elsewhere/more/c.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    data = tmp_path / "data"
    (data / "dogs").symlink_to(tmp_path / "elsewhere" / "dogs")
    for name, target in {"self": data, "up": tmp_path, "root": "/", "gone": "nowhere"}.items():
        (data / name).symlink_to(target)
    (tmp_path / "elsewhere" / "dogs" / "back").symlink_to(data)
    (tmp_path / "elsewhere" / "dogs" / "aside").symlink_to(tmp_path / "elsewhere" / "more")
    found = [os.path.relpath(each.path, data) for each in expand([str(data)])]
    assert found == ["cats/a.png", "dogs/aside/c.png", "dogs/b.png"]


def test_folders_may_lie_deeper_than_python_calls_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ["d/" * depth for depth in range(1, 1200)]
    for folder in folders:
        os.mkdir(folder)
    with open(f"{folders[-1]}a.png", "wb"):
        pass
    try:
        assert [each.stem for each in expand(["."])] == ["a"]
    finally:  # pytest's own way of removing folders calls itself
        os.remove(f"{folders[-1]}a.png")
        for folder in reversed(folders):
            os.rmdir(folder)


def test_every_suffix_of_a_format_that_is_read_counts_and_others_are_a_remark(tmp_path):
    for suffix in (*IMAGE_SUFFIXES, ".PNG", ".jxl", ".NEF", ".cr3", ".txt"):
        (tmp_path / f"a{suffix}").touch()
    for name in ("Thumbs.db", ".DS_Store", "@eaDir/a.jpg", "__MACOSX/a.jpg", ".AppleDouble/a.jpg", "lost+found/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = expand([str(tmp_path)])
    heif = set() if importlib.util.find_spec("pillow_heif") else set(SUFFIXES["heic"])
    assert {os.path.splitext(each.path)[1] for each in found} == IMAGE_SUFFIXES - heif | {".PNG"}
    told = {each.detail.split(",")[0]: (each.count, each.by_rule) for each in found.remarks}
    expected = {"JPEG XL": (1, False), "camera raw": (2, False), "not named as images": (1, True)}
    assert told == expected | ({"HEIC": (len(heif), False)} if heif else {})


def test_without_its_extra_heic_is_a_remark_that_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    suffixes._lacking.cache_clear()
    (tmp_path / "a.heic").touch()
    try:
        (remark,) = expand([str(tmp_path)]).remarks
    finally:
        suffixes._lacking.cache_clear()
    assert remark.detail == "HEIC, which needs the extra 'heif': pip install \"pillow-heif>=1.0\""


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_open_streams_are_read_by_their_names(folder, tmp_path):
    (tmp_path / "a").write_bytes(b"file")
    reader, writer = os.pipe()
    os.write(writer, b"pipe")
    os.close(writer)
    one, other = socket.socketpair()
    one.sendall(b"socket")
    one.close()
    with open(tmp_path / "a", "rb") as file, other:
        for number, content in ((reader, b"pipe"), (file.fileno(), b"file"), (other.fileno(), b"socket")):
            each = Input(f"{folder}/{number}")
            assert (each.is_stream, each.read_bytes()) == (True, content)
    os.close(reader)
    with pytest.raises(ParameterError, match="the stream /dev/fd/7 can be read only once"):
        expand([f"{folder}/7", "/dev/fd/7"])
    with pytest.raises(ParameterError, match="standard input can be read only once"):
        expand(["-", f"{folder}/0"])
