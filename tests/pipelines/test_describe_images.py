"""describe_images: what commands write and print, without them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.errors import DataError, ImageError, OutputError, ParameterError
from imgtool.features.gist import gist
from imgtool.features.hog import hog
from imgtool.features.sift import dense_sift
from imgtool.image import encode, read
from imgtool.pipelines.describe import FeatureSummary, describe_images
from imgtool.pipelines.descriptors import complete, descriptor
from imgtool.remarks import Remark
from locations import SAMPLES

BRICK = SAMPLES / "textures" / "brick"
CASES = [
    (["hog"], "hog", {}),
    (["hog", "--cell", "4,6", "--orientations", "7"], "hog", {"cell": (4, 6), "orientations": 7}),
    (["hog", "--variant", "uoctti", "--cell", "6"], "hog", {"variant": "uoctti", "cell": 6}),
    (["hog", "--variant", "dalal-triggs", "--signed", "--block", "2"], "hog",
     {"variant": "dalal-triggs", "signed": True, "block": 2}),
    (["hog", "--sqrt", "--norm", "L1"], "hog", {"sqrt": True, "norm": "L1"}),
    (["gist", "--size", "32"], "gist", {"size": 32}),
    (["gist", "--preset", "lear", "--color", "--size", "32"], "gist", {"preset": "lear", "color": True, "size": 32}),
    (["gist", "--size", "32", "--orientations", "8,4"], "gist", {"size": 32, "orientations": [8, 4]}),
    (["sift", "--step", "8"], "sift", {"step": 8}),
    (["sift", "--bin", "2,3", "--root", "--bounds", "1,2,30,28"], "sift",
     {"bins": [2, 3], "root": True, "bounds": (1, 2, 30, 28)}),
    (["sift", "--sparse"], "sift", {"sparse": True}),
    (["fisher", "--encoding", "bow", "--pyramid", "1x1,2x1"], "bow", {"pyramid": "1x1,2x1"}),
    (["fisher"], "fisher", {}),
    (["embed", "--model", "lenet"], "embed", {"model": "lenet"}),
    (["embed", "--model", "lenet", "--layer", "pool1"], "embed", {"model": "lenet", "layer": "pool1"}),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three images in two class folders, one broken, one cut."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for index, name in enumerate(("a/0", "a/1", "b/2")):
        path = tmp_path / "in" / f"{name}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (6, 5), dtype=np.uint8), np.ones((8, 8), np.uint8))
        path.write_bytes(encode(pixels, "pgm")[: -200 if index == 2 else None])
    (tmp_path / "in" / "b" / "bad.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.parametrize(("command", "name", "parameters"), CASES, ids=lambda case: " ".join(map(str, case)))
def test_feature_files_are_those_of_the_command(command, name, parameters, folder):
    assert execute([*command, "-q", "--allow-truncated", "in", "-o", "command.npz"]) == 1
    summary = describe_images("in", name, output="function.npz", allow_truncated=True, **parameters)
    assert Path("function.npz").read_bytes() == Path("command.npz").read_bytes()
    table = feature_file.load("command.npz")
    assert summary[:4] == ("function.npz", 3, *table.features.shape)
    assert [(os.path.basename(path), bool(why)) for path, why in summary.failures] == [("bad.png", True)]


def test_outcomes_come_in_order_with_remarks_and_errors(folder):
    outcomes = list(describe_images("in", "hog", allow_truncated=True, jobs=3))
    assert [each.source.stem for each in outcomes] == ["0", "1", "2", "bad"]
    for each in outcomes[:3]:
        expected = hog(read(each.source.path, allow_truncated=True))
        np.testing.assert_array_equal(each.result(), expected)
    assert [each.remarks for each in outcomes] == [(), (), (Remark("damaged"),), ()]
    with pytest.raises(ImageError, match=r"bad\.png: "):
        outcomes[3].result()
    assert [each.error is None for each in describe_images("in", "hog")] == [True, True, False, False]


@pytest.mark.parametrize("images", [list, iter, tuple, lambda paths: (Path(path) for path in paths)])
def test_several_paths_are_taken_in_their_order(images, folder):
    found = list(describe_images(images(["in/b/2.pgm", "in/a/0.pgm"]), "hog", allow_truncated=True))
    assert [each.source.path for each in found] == ["in/b/2.pgm", "in/a/0.pgm"]
    assert not list(describe_images(images([]), "hog"))


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("images", [list, iter])
def test_arrays_are_described(images, jobs):
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, (40, 40 + index), dtype=np.uint8) for index in range(7)]
    found = list(describe_images(images(arrays), "gist", size=32, jobs=jobs))
    assert [each.source.path for each in found] == [f"image {index}" for index in range(7)]
    for each, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(each.result(), gist(array, **complete("gist", {"size": 32})))


def test_arrays_are_taken_as_they_are_asked_for():
    taken = []

    def arrays():
        for index in range(10**9):
            taken.append(index)
            yield np.full((40, 40), index % 256, np.uint8)

    outcomes = describe_images(arrays(), "hog", jobs=2)
    assert [next(outcomes).index for _ in range(3)] == [0, 1, 2]
    assert len(taken) < 20


def test_what_is_no_image_fails_alone():
    found = list(describe_images([np.zeros((40, 40)), np.zeros(40), np.array([["a"]]), np.zeros((40, 40))], "hog"))
    assert [each.error is None for each in found] == [True, False, False, True]
    assert "(40,)" in str(found[1].error)


def test_one_array_is_not_taken_for_several():
    with pytest.raises(ImageError, match="is one array"):
        describe_images(np.zeros((40, 40)), "hog")


def test_local_descriptors_have_frames(folder):
    (found,) = describe_images(["in/a/0.pgm"], "sift", step=8)
    expected = dense_sift(read("in/a/0.pgm"), step=8, bin_size=4)
    np.testing.assert_array_equal(found.result().values, expected.values)
    np.testing.assert_array_equal(found.result().frames, expected.frames)


@pytest.mark.parametrize("size", ["30x20", "x20"])
def test_images_are_brought_to_a_size(size, folder):
    assert execute(["hog", "-q", "--resize", size, "in/a", "-o", "command.npz"]) == 0
    describe_images("in/a", "hog", resize=size, output="function.npz")
    assert Path("function.npz").read_bytes() == Path("command.npz").read_bytes()


def test_pictures_are_those_of_the_command(folder):
    assert execute(["hog", "-q", "in/a", "-o", "c.npz", "--visualize", "command/"]) == 0
    describe_images("in/a", "hog", output="f.npz", visualize="function/")
    for name in ("0.png", "1.png"):
        assert Path("function", name).read_bytes() == Path("command", name).read_bytes()


def test_a_run_that_was_interrupted_goes_on(folder):
    class StopError(Exception):
        pass

    def stop(outcomes):
        for outcome in outcomes:
            yield outcome
            if outcome.source.stem == "2":
                raise StopError

    whole = describe_images("in", "hog", output="whole.npz")
    with pytest.raises(StopError):
        describe_images("in", "hog", output="out.npz", watch=stop, jobs=1)
    assert Path("out.npz.partial").exists()
    with pytest.raises(OutputError, match="did not end") as error:
        describe_images("in", "hog", output="out.npz")
    assert error.value.hint == "unfinished"
    seen = []
    summary = describe_images(
        "in", "hog", output="out.npz", resume=True, watch=lambda each: seen.extend(o := list(each)) or iter(o)
    )
    assert Path("out.npz").read_bytes() == Path("whole.npz").read_bytes()
    assert summary[1:] == whole[1:]
    assert [each.source.stem for each in seen] == ["2", "bad"]  # the failure of before, and what was left


def test_watch_sees_every_outcome(folder):
    seen = []

    def watch(outcomes):
        for outcome in outcomes:
            seen.append(outcome.source.stem)
            yield outcome

    summary = describe_images("in", "hog", output="out.npz", watch=watch)
    assert isinstance(summary, FeatureSummary)
    assert seen == ["0", "1", "2", "bad"]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("hug", {}, "no descriptor 'hug'; did you mean hog"),
        ("hog", {"size": 3}, "size is no parameter of hog, which takes variant, orientations, cell"),
        ("hog", {"variant": "uoctti", "signed": True}, "signed does not go with variant uoctti, which takes orient"),
        ("hog", {"variant": "x"}, "no variant 'x'"),
        ("hog", {"cell": (1, 2, 3)}, "cell takes one number, or rows and columns, got 1,2,3"),
        ("gist", {"preset": "x"}, "no preset 'x'; there are lmgist"),
        ("sift", {"sparse": True, "step": 3}, "step is for SIFT on a grid"),
        ("fisher", {"solver": "llc"}, "solver is for encoding sparse"),
        ("hog", {"device": "gpu"}, "no device 'gpu'"),
        ("hog", {"resize": "12"}, "resize 12: write WIDTHxHEIGHT"),
        ("hog", {"output": "a.txt"}, r"a\.txt: a feature file ends in \.npz"),
        ("sift", {"output": "a.csv"}, r"a\.csv: local descriptors are stored as \.npz only"),
        ("fisher", {"visualize": "a.png"}, "nothing draws fisher"),
        ("sift", {"visualize": "a.png"}, "nothing draws sift"),
        ("hog", {"visualize": "a.png", "cluster": "local"}, "visualize does not go with cluster"),
        ("hog", {"isolate": True, "cluster": "local"}, "isolate does not go with cluster"),
    ],
)
def test_wrong_arguments_are_refused_at_once(name, parameters, message, folder):
    with pytest.raises(ParameterError, match=message):
        describe_images("in/a/0.pgm", name, **parameters)
    with pytest.raises(ValueError, match=message):  # what a Python user expects
        describe_images("in/a/0.pgm", name, **parameters)


def test_feature_files_are_of_files(folder):
    with pytest.raises(ParameterError, match="arrays have no paths"):
        describe_images([np.zeros((40, 40))], "hog", output="a.npz")
    with pytest.raises(DataError, match="as no image could be described"):
        describe_images("in/b/bad.png", "hog", output="a.npz")
    describe_images("in/a", "hog", output="a.npz")
    with pytest.raises(OutputError, match="exists") as error:
        describe_images("in/a", "hog", output="a.npz")
    assert error.value.hint == "exists"
    describe_images("in/a", "gist", output="a.npz", overwrite=True)
    assert json.loads(str(np.load("a.npz")["meta"]))["descriptor"] == "gist"
    with pytest.raises(ParameterError, match="is an input"):
        describe_images(["in/a/0.pgm", "a.npz"], "hog", output="a.npz", overwrite=True)


@pytest.mark.parametrize(("_command", "name", "parameters"), CASES, ids=lambda case: " ".join(map(str, case)))
def test_what_is_stored_makes_the_same_function(_command, name, parameters):
    """A feature file's meta goes through JSON."""
    image = np.kron(np.random.default_rng(3).integers(0, 256, (6, 5), dtype=np.uint8), np.ones((8, 8), np.uint8))
    filled = complete(name, parameters)
    once, again = descriptor(name, filled)(image), descriptor(name, json.loads(json.dumps(filled)))(image)
    for each, other in (
        ((once, again),) if name != "sift" else ((once.values, again.values), (once.frames, again.frames))
    ):
        np.testing.assert_array_equal(each, other)


def test_numpys_numbers_are_stored_as_pythons(tmp_path):
    for name, size, counts in (("a", np.int64(64), np.array([8, 8])), ("b", 64, [8, 8])):
        output = tmp_path / f"{name}.npz"
        describe_images(BRICK, "gist", output=output, size=size, orientations=counts, jobs=np.int8(1))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("descriptor", "given"),
    [
        ("gist", {"size": 1j}),
        ("gist", {"size": object()}),
        ("gist", {"orientations": 3}),
        ("sift", {"bounds": [1, 2]}),
        ("sift", {"bins": 2.5}),
        ("fisher", {"pyramid": [1, 2]}),
        ("fisher", {"codebook": 3}),
        ("hog", {"jobs": float("nan")}),
        ("hog", {"jobs": 0}),
        ("hog", {"jobs": "x"}),
        ("hog", {"resize": 64}),
        ("hog", {"visualize": 3}),
    ],
)
def test_parameters_of_wrong_types_are_refused_in_one_line(descriptor, given):
    with pytest.raises((ParameterError, DataError)) as caught:
        [outcome.result() for outcome in describe_images(BRICK, descriptor, **given)]
    assert "\n" not in str(caught.value)
