"""Where results go: whole or not at all, and never over anything by accident."""

import os
import stat

import pytest

from imgtool.batch import destinations, places
from imgtool.batch.destinations import Destination
from imgtool.batch.inputs import Input, expand
from imgtool.batch.outputs import new_file, write_file
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


def test_F20_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "t").write_bytes(b"old")
    (tmp_path / "link").symlink_to("other/t")
    (tmp_path / "second").symlink_to(tmp_path / "link")
    with pytest.raises(OutputError, match="exists"):
        write_file(tmp_path / "second", b"new")
    write_file(tmp_path / "second", b"new", overwrite=True)
    assert (tmp_path / "other" / "t").read_bytes() == b"new"
    assert os.readlink(tmp_path / "link") == "other/t"
    assert (tmp_path / "second").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "other", "second"]
    assert os.listdir(tmp_path / "other") == ["t"]


def test_F20_a_link_to_nothing_is_written_through_and_a_circle_of_links_refused(tmp_path):
    (tmp_path / "link").symlink_to("new/t")
    with pytest.raises(OutputError, match="exists"):
        write_file(tmp_path / "link", b"new")
    write_file(tmp_path / "link", b"new", overwrite=True)
    assert (tmp_path / "new" / "t").read_bytes() == b"new"
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OutputError, match="one: cannot be written: too many levels"):
        write_file(tmp_path / "one", b"new", overwrite=True)
    assert (tmp_path / "two").is_symlink()


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="there are no modes here")
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_F20_what_is_overwritten_keeps_its_mode_from_the_first_byte_on(tmp_path, mode):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(mode)
    with new_file(tmp_path / "a", overwrite=True) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    with new_file(tmp_path / "c", overwrite=True, like=tmp_path / "b"):
        pass
    for name in "abc":
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_F20_what_is_overwritten_keeps_its_owner_where_that_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    there, asked = (tmp_path / "a").stat(), []
    stranger = os.stat_result([*there[:4], 12345, 23456, *there[6:]])
    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **more: stranger if path == str(tmp_path / "a") else real(path, **more)
    )

    def fchown(_descriptor, *owner):
        asked.append(owner)
        if owner[0] != -1:
            raise PermissionError

    monkeypatch.setattr(os, "fchown", fchown)
    write_file(str(tmp_path / "a"), b"new", overwrite=True)
    assert asked == [(12345, 23456), (-1, 23456)]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="open streams have no names here")
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(
    "form", ["/dev/fd/{}", "/proc/self/fd/{}", "/dev/../dev/fd/{}", "{folder}/link", "{folder}/fds/{}"]
)
def test_F20_an_open_stream_is_written_to_and_never_replaced(tmp_path, form, overwrite):
    with open(tmp_path / "out", "wb") as out:
        out.write(b"before ")
        out.flush()
        (tmp_path / "link").symlink_to(f"/dev/fd/{out.fileno()}")
        (tmp_path / "fds").symlink_to("/dev/fd")
        path = form.format(out.fileno(), folder=tmp_path)
        if not os.path.exists(path):
            pytest.skip(f"there is no {path} here")
        inode = os.fstat(out.fileno()).st_ino
        write_file(path, b"new", overwrite=overwrite)
        out.write(b" after")
    assert (tmp_path / "out").read_bytes() == b"before new after"
    assert (tmp_path / "out").stat().st_ino == inode
    assert sorted(os.listdir(tmp_path)) == ["fds", "link", "out"]


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
    where = destination("{dir}/{parent}-{index:03}-{stem}.{ext}.{name}", ["o/p/a.jpg", "/q/b.png"])
    assert [where.path(i) for i in range(2)] == ["o/p/p-000-a.jpg.a.jpg", "/q/q-001-b.png.b.png"]


def test_the_folder_of_a_bare_name_is_the_current_one_and_so_is_its_name(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("a.png", "../here/a.png", "-"):
        assert destination("{parent}.png", [name]).path(0) == "here.png"
    assert destination("{dir}/b.png", ["a.png"]).path(0) == "./b.png"
    assert destination("x/{parent}/b.png", ["/a.png"]).path(0) == "x/./b.png"


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
    monkeypatch.setattr(places, "_ignores_case", lambda folder: ignores)
    for pair in (["x/A.png", "y/a.png"], ["x/\u00e9.png", "y/e\u0301.png"]):
        if ignores:
            with pytest.raises(ParameterError, match="both"):
                destination(str(tmp_path / "new") + "/", pair, force=True)
        else:
            assert destination(str(tmp_path / "new") + "/", pair).path(1)


def test_F6_the_file_system_is_asked_whether_it_ignores_case(tmp_path):
    (tmp_path / "folder").mkdir()
    assert places._ignores_case(str(tmp_path / "folder" / "new" / "newer")) == (tmp_path / "FOLDER").exists()
    (tmp_path / "FOLDER").exists() or (tmp_path / "FOLDER").symlink_to("folder")  # as if it did
    assert places._ignores_case(str(tmp_path / "folder" / "new"))


@pytest.fixture
def precious(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"precious")
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    os.symlink(".", "here")


WAYS = ["a.png", "./a.png", "folder/../a.png", "hard.png", "soft.png", "here/a.png", "{dir}/a.png", "{stem}.png"]


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
    left = destinations.without_results(inputs, str(tmp_path / "in" / "sub" / ".." / "out"))
    assert [each.path for each in left] == [
        str(tmp_path / "in" / name) for name in ("a.jpg", "outer/c.jpg", "sub/b.jpg")
    ]
    assert list(destinations.without_results(inputs, str(tmp_path / "elsewhere"))) == list(inputs)
    assert list(destinations.without_results(inputs, str(tmp_path))) == list(inputs)
    named = expand([str(tmp_path / "in" / "out")])
    assert list(destinations.without_results(named, str(tmp_path / "in" / "out"))) == list(named)


def test_existing_output_is_refused_before_the_work(tmp_path):
    (tmp_path / "out.png").touch()
    with pytest.raises(OutputError, match="exists"):
        destination(str(tmp_path / "out.png"), ["a.png"]).check(0)
    destination(str(tmp_path / "out.png"), ["a.png"], force=True).check(0)
