"""F18: what an input held and a result lacks is one line a kind, whatever the command, and is counted in the record."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from imgtool.cli.main import execute
from imgtool.image import encode, read
from locations import ROOT

PAGES = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8) for seed in range(3)]
COMMANDS = {
    "filter": ["filter", "--kernel", "box", "-o", "out.tif", "--json"],
    "gradient": ["gradient", "-o", "out.tif", "--json"],
    "convert": ["convert", "-o", "out.tif", "--json"],
    "info": ["info", "--json"],
    "hog": ["hog", "--format", "jsonl"],
    "gist": ["gist", "--size", "32", "--format", "jsonl"],
    "sift": ["sift", "--format", "jsonl"],
    "embed": ["embed", "--model", "lenet", "--format", "jsonl"],
    "classify": ["classify", "--model", "lenet@mnist", "--format", "jsonl"],
}


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tifffile.TiffWriter("pages.tif") as file:
        for page in PAGES:
            file.write(page, photometric="rgb", contiguous=False, metadata=None)
    data = encode(PAGES[0], "tif")
    entries = int.from_bytes(data[4:8], "little")
    last = entries + 2 + 12 * int.from_bytes(data[entries : entries + 2], "little")
    with open("broken.tif", "wb") as file:
        file.write(data[:last] + (1 << 31).to_bytes(4, "little") + data[last + 4 :])
    bands = np.dstack([PAGES[0], PAGES[1][:, :, :2]])
    tifffile.imwrite("bands.tif", bands, photometric="rgb", extrasamples=[0, 0], metadata=None)
    os.mkdir("folder")
    for name, data in {"a.jfif": encode(PAGES[0], "jpeg"), "b.jxl": b"", "c.cr3": b"", "d.txt": b""}.items():
        with open(f"folder/{name}", "wb") as file:
            file.write(data)


def lines(capfd, command, *arguments):
    """Run a command; return its rows, and its lines on standard error that speak of what is left out."""
    assert execute([*COMMANDS[command], *arguments, "--force"] if "-o" in COMMANDS[command] else
                   [*COMMANDS[command], *arguments]) == 0  # fmt: skip
    out, err = capfd.readouterr()
    return [json.loads(line) for line in out.splitlines()], [each for each in err.splitlines() if "left out" in each]


@pytest.mark.parametrize("isolate", [[], ["--isolate"]], ids=["here", "isolated"])
@pytest.mark.parametrize("command", COMMANDS)
def test_F18_pages_bands_and_files_are_told_by_every_command(command, isolate, capfd):
    rows, told = lines(capfd, command, "pages.tif", *isolate)
    assert told == ["imgtool: 2 pages of one image were left out; --page N picks one"]
    assert rows[0]["left_out"]["pages"] == 2
    rows, told = lines(capfd, command, "broken.tif", *isolate)
    detail = "behind a broken link, perhaps with more"
    assert told == [f"imgtool: 1 page of one image was left out ({detail}); --page N picks one"]
    assert rows[0]["left_out"]["pages"] == 1
    rows, told = lines(capfd, command, "bands.tif", *isolate)
    assert told == ["imgtool: 2 bands of one image were left out (unspecified); --bands N,N,N picks others"]
    assert rows[0]["left_out"]["bands"] == 2
    _, told = lines(capfd, command, "folder", *isolate)
    assert told == ["imgtool: 2 files were left out (1 JPEG XL, 1 camera raw)"]
    _, told = lines(capfd, command, "folder", "-v", *isolate)
    assert "imgtool: 1 file was left out (not named as images)" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_F18_what_is_chosen_is_not_left_out_and_changes_the_result(command, capfd):
    with open("second.png", "wb") as file:
        file.write(encode(PAGES[1], "png"))
    alone, told = lines(capfd, command, "second.png")
    expected = read("out.tif") if os.path.exists("out.tif") else None
    assert told == []
    chosen, told = lines(capfd, command, "pages.tif", "--page", "2")
    assert told == []
    assert "pages" not in chosen[0].get("left_out", {})
    if expected is not None:
        np.testing.assert_array_equal(read("out.tif"), expected)
        assert chosen[0]["page"] == 2
    elif command != "info":
        assert {**chosen[0], "path": ""} == {**alone[0], "path": ""}
    _, told = lines(capfd, command, "bands.tif", "--bands", "1,2,4")
    assert told == []


@pytest.mark.parametrize("arguments", [["--page", "0"], ["--page", "x"], ["--bands", "0"], ["--bands", "a,b"]])
def test_pages_and_bands_that_are_none_are_wrong_usage(arguments, capfd):
    assert execute(["info", "pages.tif", *arguments]) == 2


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--page", "4"], "has no page 4: it holds 3"),
    (["--bands", "4"], "has no band 4: its 3 are red, green, blue"),
    (["--bands", "1,2"], "would take band 2, which is green, for alpha; --bands picks one or three, and perhaps alpha"),
])  # fmt: skip
def test_pages_and_bands_that_a_file_lacks_are_one_line(arguments, reason, capfd):
    assert execute(["info", "pages.tif", *arguments]) == 1
    assert capfd.readouterr().err == f"imgtool: pages.tif: {reason}\n"


def test_what_is_read_stands_in_feature_files_and_counts_for_search_and_resume(capfd):
    assert execute(["hog", "pages.tif", "bands.tif", "--page", "1", "--bands", "3,2,1", "-o", "f.npz"]) == 0
    assert execute(["features", "info", "f.npz", "--format", "jsonl"]) == 0
    meta = json.loads(capfd.readouterr().out.splitlines()[-1])["meta"]
    assert (meta["parameters"]["page"], meta["parameters"]["bands"]) == (1, [3, 2, 1])
    with open("swapped.png", "wb") as file:
        file.write(encode(PAGES[0][:, :, ::-1], "png"))
    with open("same.png", "wb") as file:
        file.write(encode(PAGES[0], "png"))
    assert execute(["features", "search", "f.npz", "--query", "same.png", "--top", "1", "--format", "jsonl"]) == 0
    assert json.loads(capfd.readouterr().out)["score"] == pytest.approx(1)
    assert execute(["features", "search", "f.npz", "--query", "./pages.tif", "--top", "1", "--format", "jsonl"]) == 0
    assert capfd.readouterr().err == ""  # the page was chosen
    assert execute(["hog", "pages.tif", "bands.tif", "-o", "g.npz"]) == 0
    capfd.readouterr()
    assert execute(["features", "search", "g.npz", "--query", "./pages.tif", "--top", "1", "--format", "jsonl"]) == 0
    assert capfd.readouterr().err == "imgtool: 2 pages of one image were left out\n"
    assert execute(["features", "merge", "f.npz", "g.npz", "-o", "both.npz"]) == 1


def test_info_says_what_pages_and_bands_are(capfd):
    (row,), _ = lines(capfd, "info", "pages.tif")
    assert (row["page"], row["pages"], row["bands"]) == (1, 3, 3)
    assert row["page_list"] == [{"kind": "page", "width": 64, "height": 64}] * 3
    (row,), _ = lines(capfd, "info", "bands.tif")
    assert (row["pages"], row["bands"]) == (1, 5)
    assert row["band_list"] == ["red", "green", "blue", "unspecified", "unspecified"]
    assert execute(["info", "pages.tif", "bands.tif", "folder/a.jfif", "--format", "table"]) == 0
    table = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert table[0] == ["path", "size", "color", "depth", "format", "pages", "bands"]
    assert table[1][-3:] == ["3", "pages", "-"]
    assert table[2][-6:] == ["-", "red", "green", "blue", "unspecified", "unspecified"]
    assert execute(["info", "folder/a.jfif", "--format", "table"]) == 0
    assert capfd.readouterr().out.splitlines()[0].split() == ["path", "size", "color", "depth", "format"]


@pytest.mark.parametrize(("begin", "name"), [
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"8BPS\0\1", "PSD"), (b"%PDF-1.7", "PDF"),
    (b"\0\0\1\0\1\0\x10\x10", "ICO"), (b"<svg xmlns=", "SVG"), (b'<?xml version="1.0"?>\n<!-- a -->\n<svg>', "SVG"),
    (b"\x76\x2f\x31\x01\2\0\0\0", "OpenEXR"), (b"FUJIFILMCCD-RAW 0201", "camera raw (RAF)"),
    (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw (CR3)"), (b"IIRO\x08\0\0\0", "camera raw (ORF)"),
    (b"IIU\0\x18\0\0\0", "camera raw (RW2)"), (b"#?RADIANCE\n", "Radiance HDR"), (b"qoif\0\0\0\1", "QOI"),
    (b"\0\0\2\0\0\0\0\0\0\0\0\0\x40\0\x40\0\x18\x20" + bytes(50), "TGA"), (b"DDS |\0\0\0", "DDS"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "a video or another media file"), (b"PK\3\4\x14\0", "a ZIP archive"),
])  # fmt: skip
def test_formats_that_are_not_read_are_refused_by_their_names(begin, name, capfd):
    with open("odd", "wb") as file:
        file.write(begin)
    assert execute(["info", "odd"]) == 1
    err = capfd.readouterr().err
    assert err.startswith(f"imgtool: odd: is {name}, which imgtool does not read (")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/fd")
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_open_streams_are_inputs(name):
    data = encode(PAGES[0], "png")
    reader, writer = os.pipe()
    run = f"sys.exit(execute(['info', '--json', '{name.format(reader)}']))"
    code = f"import sys; from imgtool.cli.main import execute; {run}"
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=[reader], stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:  # fmt: skip
        os.close(reader)
        with os.fdopen(writer, "wb") as stream:
            stream.write(data)
        out = process.communicate(timeout=60)[0]
    assert json.loads(out)["size"] == "64x64"


def test_phone_pictures_are_all_read_or_counted(capfd):
    phone = ROOT.parent / "shared" / "cases" / "phone"
    if not phone.is_dir():
        pytest.skip(f"{phone} is not there")
    status = execute(["info", "--json", str(phone)])
    out, err = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len([row for row in rows if "error" not in row]) == 8
    assert "JPEG XL" in err
    assert status == ("f.heic" in out)  # read with the extra, in which case its stub is refused


def test_F18_pages_and_bands_of_a_data_sets_images_are_told(capfd):
    sources = {"data/a/1.tif": "pages.tif", "data/a/2.tif": "bands.tif", "data/b/1.tif": "pages.tif"}
    for name, source in sources.items():
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.symlink(os.path.abspath(source), name)
    for number, name in enumerate(("data/a/3.png", "data/b/2.png", "data/b/3.png")):
        with open(name, "wb") as file:
            file.write(encode(np.roll(PAGES[number], number + 1), "png"))
    execute(["train", "data", "--model", "two-layer", "--epochs", "1", "-o", "model"])
    err = capfd.readouterr().err
    assert "4 pages of 2 images are left out: the first that is no preview is read" in err
    assert "2 bands of 1 image are left out: color is read" in err
