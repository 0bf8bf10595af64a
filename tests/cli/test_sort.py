"""`imgtool classify --sort`: a folder of links for each label."""

import os
import shutil
import sys

import numpy as np
import pytest

import imgtool
from imgtool.batch.sorted_links import SortedLinks, distinct_names, numbered
from imgtool.errors import OutputError
from locations import SAMPLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
TEXTURES = SAMPLES / "textures"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sort") / "model"
    imgtool.train(TEXTURES, "two-layer", output=folder, epochs=30, hidden=20)
    return folder


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two folders of images, with the same names in both."""
    for place, texture in (("photos/a", "brick"), ("photos/b", "gravel"), ("photos/b", "grass")):
        os.makedirs(tmp_path / place, exist_ok=True)
        for index in range(4):
            name = f"{index}.png" if texture != "grass" else f"g{index}.png"
            shutil.copy(TEXTURES / texture / f"{texture}_{index:02}.png", tmp_path / place / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(folder):
    """The place of each file below a folder, and where it leads."""
    return {str(path.relative_to(folder)): path.resolve() for path in sorted(folder.rglob("*")) if not path.is_dir()}


def expected(rows, folder):
    """The folder and target of each image, by its row."""
    return sorted((row["label"] if row["sure"] else "unsure", (folder / row["path"]).resolve()) for row in rows)


def test_each_image_is_linked_in_the_folder_of_its_label(photos, model, rows_of):
    rows = rows_of("classify", "-q", "--model", model, "--sort", "new/sorted", "photos")
    assert rows == rows_of("classify", "-q", "--model", model, "photos")
    found = places(photos / "new" / "sorted")
    assert sorted((os.path.dirname(path), target) for path, target in found.items()) == expected(rows, photos)
    assert len(found) == 12
    for path in found:
        link = os.readlink(photos / "new" / "sorted" / path)
        assert link.startswith("../../../photos/")
    shutil.move(photos / "new", photos / "moved")
    os.mkdir(photos / "new")  # relative: they move with the images
    shutil.move(photos / "moved", photos / "new" / "deeper")
    shutil.copytree(photos / "photos", photos / "new" / "photos")
    assert all(path.exists() for path in places(photos / "new" / "deeper").values())


def test_unsure_takes_what_is_not_sure_and_names_that_collide_are_numbered(photos, model, rows_of):
    rows_of("classify", "-q", "--model", model, "--threshold", "1", "--sort", "sorted", "photos")
    found = places(photos / "sorted")
    assert {os.path.dirname(path) for path in found} == {"unsure"}
    assert found["unsure/1.png"] == photos / "photos/a/1.png"
    assert found["unsure/1-2.png"] == photos / "photos/b/1.png"


def test_a_second_run_keeps_what_is_right_and_replaces_nothing(photos, model, rows_of):
    command = ["classify", "-q", "--model", model, "--threshold", "1", "--sort", "sorted"]
    rows_of(*command, "photos/b")
    before = places(photos / "sorted")
    assert before["unsure/1.png"] == photos / "photos/b/1.png"
    rows_of(*command, "photos/b")
    assert places(photos / "sorted") == before
    (photos / "sorted/unsure/2.png").unlink()
    (photos / "sorted/unsure/2.png").write_text("mine")
    (photos / "sorted/unsure/3.png").unlink()
    (photos / "sorted/unsure/3.png").symlink_to("nowhere")
    rows_of(*command, "photos")
    found = places(photos / "sorted")
    assert (photos / "sorted/unsure/2.png").read_text() == "mine"
    assert os.readlink(photos / "sorted/unsure/3.png") == "nowhere"
    assert [found[f"unsure/{name}"] for name in ("1.png", "1-2.png")] == [
        photos / "photos" / each / "1.png" for each in "ba"
    ]
    assert {found["unsure/2-2.png"], found["unsure/2-3.png"]} == {photos / "photos" / each / "2.png" for each in "ab"}
    rows_of(*command, "photos")
    assert places(photos / "sorted") == found


def test_a_folder_among_the_images_is_left_out_of_them(photos, model, rows_of):
    command = ["classify", "-q", "--model", model, "--sort", "photos/sorted", "photos"]
    rows = rows_of(*command)
    before = places(photos / "photos/sorted")
    assert rows_of(*command) == rows
    assert places(photos / "photos/sorted") == before
    assert len(before) == 12


def test_where_links_fail_it_copies(photos, model, rows_of, monkeypatch):
    def fail(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", fail)
    command = ["classify", "-q", "--model", model, "--threshold", "1", "--sort", "sorted", "photos"]
    for _ in range(2):  # the second time the copies are found
        rows_of(*command)
        found = places(photos / "sorted")
        assert len(found) == 12
        assert not any(path.is_symlink() for path in (photos / "sorted").rglob("*"))
        assert (photos / "sorted/unsure/1.png").read_bytes() == (photos / "photos/a/1.png").read_bytes()
        assert (photos / "sorted/unsure/1-2.png").read_bytes() == (photos / "photos/b/1.png").read_bytes()


def test_an_image_that_cannot_be_put_there_stops_nothing(photos, model, run):
    os.mkdir("sorted")
    (photos / "sorted" / "unsure").write_text("a file")
    (photos / "photos" / "bad.png").write_text("no image")
    done = run("classify", "-q", "--model", model, "--threshold", "1", "--sort", "sorted", "photos/a", "photos/bad.png")
    assert done.status == 1
    assert done.err.count("\n") == 5
    assert done.err.count("sorted/unsure is no folder") == 4
    assert "bad.png: is no image" in done.err


@pytest.mark.parametrize("folder", ["photos", "photos/a", "./photos/../photos/", "model", "link"])
def test_a_folder_that_holds_inputs_is_refused(photos, model, folder, run):
    shutil.copytree(model, "model")
    os.symlink("photos/a", "link")
    before = places(photos)
    done = run("classify", "-q", "--model", "./model", "--sort", folder, "photos/a/1.png", "photos/b")
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
    assert "is an input" in done.err
    assert places(photos) == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["sorted", "--model", "lenet", "--model", "alexnet", "photos"], 2, "--sort takes one model"),
        (["sorted", "--model", "lenet", "-"], 2, "--sort links to files"),
        (["photos/a/1.png", "--model", "lenet", "photos"], 1, "is no folder"),
    ],
)
def test_what_cannot_be_sorted_is_one_line(arguments, status, message, photos, run):
    done = run("classify", "-q", "--sort", *arguments)
    assert (done.status, done.err.count("\n"), done.out) == (status, 1, "")
    assert message in done.err
    assert not (photos / "sorted").exists()


def test_odd_labels_become_calm_names_of_folders():
    labels = ["tench", "a/b", "a\\b", "..", ".hidden", "", "x\x1b[31m\n", "Tench", "unsure", "caf\udce9", "é" * 200]
    names = distinct_names(labels)
    assert names == [
        "tench", "a_b", "a_b-2", "_.", "_hidden", "_", "x_[31m_", "Tench-2", "unsure", "caf_", "é" * 127,
    ]  # fmt: skip
    assert distinct_names(["é" * 200, "é" * 201])[1] == "é" * 126 + "-2"


def test_a_class_called_unsure_is_another_folder_than_that_of_unsure_images(tmp_path):
    (tmp_path / "a.png").write_text("a")
    links = SortedLinks(str(tmp_path / "out"), ["unsure", "cat"], [])
    assert links.add(str(tmp_path / "a.png"), None) == str(tmp_path / "out/unsure/a.png")
    assert links.add(str(tmp_path / "a.png"), "unsure") == str(tmp_path / "out/unsure-2/a.png")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS allows no such names")
def test_odd_names_of_files_are_kept(tmp_path):
    names = ["a\nb.png", "-x.png", "caf\udce9.png", "x" * 251 + ".png", ".hidden", "no suffix"]
    for folder in ("one", "two"):
        os.mkdir(tmp_path / folder)
        for name in names:
            (tmp_path / folder / name).write_text(name.encode("utf-8", "surrogateescape").hex() + folder)
    links = SortedLinks(str(tmp_path / "out"), ["a"], [])
    for folder in ("one", "two"):
        for name in names:
            place = links.add(str(tmp_path / folder / name), "a")
            assert os.path.samefile(place, tmp_path / folder / name)
            assert (os.path.basename(place) == name) == (folder == "one")
    assert numbered("x" * 251 + ".png", 2) == "x" * 249 + "-2.png"


def test_links_of_links_lead_through_folders_that_are_links(tmp_path):
    os.makedirs(tmp_path / "real" / "deep")
    (tmp_path / "real" / "deep" / "a.png").write_text("a")
    os.symlink("real/deep", tmp_path / "short")
    os.symlink("real/deep", tmp_path / "out")
    place = SortedLinks(str(tmp_path / "out" / "sorted"), ["a"], []).add(str(tmp_path / "short" / "a.png"), "a")
    assert os.path.samefile(place, tmp_path / "real/deep/a.png")
    assert os.readlink(place) == "../../a.png"


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.png").write_text("a")
    monkeypatch.setattr(os, "symlink", full)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"out/a/a\.png: cannot be written: no space left on device"):
        SortedLinks(str(tmp_path / "out"), ["a"], []).add(str(tmp_path / "a.png"), "a")


def test_from_python_it_takes_paths_and_models_that_are_open(photos, model):
    opened = imgtool.open_model(model)
    outcomes = list(imgtool.classify_images("photos", opened, sort="sorted", top=2))
    assert len(places(photos / "sorted")) == len(outcomes) == 12
    (row,) = outcomes[0].result()
    assert row["model"] == "two-layer"
    assert len(row["top"]) == 2
    arrays = (imgtool.read(outcome.source.path) for outcome in outcomes)
    for of_array, of_file in zip(imgtool.classify_images(list(arrays), opened, top=2), outcomes, strict=True):
        assert of_array.result() == of_file.result()
    with pytest.raises(imgtool.ParameterError, match="give paths"):
        imgtool.classify_images([np.zeros((9, 9), np.uint8)], opened, sort="sorted")
