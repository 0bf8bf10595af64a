"""`--device` of `gist` and `sift`: many images at once, the same rows as one at a time."""

import json

import cv2
import numpy as np
import pytest

from imgtool import device
from imgtool.batch.inputs import Input
from imgtool.classifiers import registry
from imgtool.cli.main import execute
from imgtool.errors import ImageError
from imgtool.features.sift import dense_sift
from imgtool.image import read
from imgtool.image.color import to_gray
from imgtool.image.resize import resize
from imgtool.pipelines import device_batches
from imgtool.pipelines.device_batches import DeviceBatch, describe_on_device
from imgtool.pipelines.source import Source

SHAPES = [(40, 48), (40, 48), (50, 41, 3), (40, 48), (12, 12), (50, 41, 3), (40, 48), (44, 44), (40, 48)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for index, shape in enumerate(SHAPES):
        cv2.imwrite(f"{index}.png", rng.integers(0, 256, shape, dtype=np.uint8))
    np.save("7nan.npy", np.full((40, 48), np.nan))
    (tmp_path / "3broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return tmp_path


@pytest.fixture
def stand_in(monkeypatch):
    """Let the CPU's PyTorch stand in for a device."""
    pytest.importorskip("torch")
    for module in (device, registry):
        monkeypatch.setattr(module, "resolve", lambda name: "cpu:0")
    monkeypatch.setattr(device_batches, "BATCH_IMAGES", 4)


def rows(capsys, *arguments):
    status = execute([*arguments, ".", "--format", "jsonl"])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


COMMANDS = [
    ["gist", "--size", "32"],
    ["gist", "--preset", "lear"],
    ["gist", "--size", "32", "--resize", "40x40"],
    ["embed", "--model", "lenet"],
    ["embed", "--model", "lenet@mnist", "--layer", "conv2", "--resize", "40x40"],
    ["sift", "--values"],
    ["sift", "--values", "--root", "--step", "7", "--bin", "3", "--window", "flat", "--bounds", "1,2,39,38"],
    ["sift", "--values", "--bin", "2,3", "--step", "6", "--root"],
]


@pytest.mark.parametrize("jobs", ["1", "3"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_same_rows_as_one_image_at_a_time(command, jobs, capsys, stand_in):
    status, expected, errors = rows(capsys, *command)
    assert rows(capsys, *command, "--device", "cuda", "--jobs", jobs)[::2] == (status, errors)
    _, found, _ = rows(capsys, *command, "--device", "cuda", "--jobs", jobs)
    assert len(found) == len(SHAPES) + 2
    assert any("error" in row for row in found)
    for row, other in zip(found, expected, strict=True):
        values, others = (np.array(each.pop("values", [])) for each in (row, other))
        assert row == other
        np.testing.assert_allclose(values, others, rtol=0, atol=1e-4)


@pytest.mark.parametrize("command", [["gist", "--size", "32"], ["sift"], ["embed", "--model", "lenet"]])
def test_feature_files_say_on_which_device(command, stand_in, folder):
    assert execute([*command, "-q", ".", "-o", "plain.npz"]) == 1
    assert execute([*command, "-q", ".", "-o", "device.npz", "--device", "cuda"]) == 1
    plain, found = np.load("plain.npz"), np.load("device.npz")
    np.testing.assert_array_equal(found["paths"], plain["paths"])
    np.testing.assert_allclose(found["features"], plain["features"], rtol=0, atol=1e-4)
    ours, theirs = (json.loads(str(each["meta"])) for each in (found, plain))
    assert (ours.pop("device"), theirs.pop("device")) == ("cpu:0", "cpu")
    assert ours.pop("digest").keys() == theirs.pop("digest").keys()  # of numbers that differ in their last bits
    assert ours == theirs


@pytest.mark.parametrize("size", ["30x20", "30x", "x20"])
@pytest.mark.parametrize("arguments", [[], ["--device", "cuda"]], ids=["alone", "device"])
def test_images_are_described_in_the_size_asked_for(arguments, size, capsys, stand_in):
    """The grid of SIFT tells which size was described."""
    sift = ["sift", "2.png", "--resize", size, "--step", "1", "--bin", "1", "--values", "--format", "jsonl"]
    assert execute([*sift, *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    width, height = {"30x20": (30, 20), "30x": (30, 37), "x20": (16, 20)}[size]  # of 41x50
    gray = to_gray(resize(read("2.png"), height, width))
    expected = dense_sift(gray, step=1, bin_size=1)
    np.testing.assert_array_equal(np.array(found["frames"])[:, :2], expected.frames[:, :2])
    np.testing.assert_allclose(found["values"], expected.values, atol=1e-4)


def test_pictures_are_the_same(stand_in):
    assert execute(["gist", "-q", "2.png", "-o", "a.npz", "--visualize", "a.png"]) == 0
    assert execute(["gist", "-q", "2.png", "-o", "b.npz", "--visualize", "b.png", "--device", "cuda"]) == 0
    difference = cv2.absdiff(cv2.imread("a.png"), cv2.imread("b.png"))
    assert difference.max() <= 1


class Numbered(Source):
    """Images of one value, their number."""

    def read(self, index, remarks):
        return np.full((5, 5), index, np.uint8)


def described_from(first, seen, *, bad=None):
    """Describe ten images, number `bad` of which cannot be; return what became of those from the first on."""

    def describe(batch):
        numbers = [int(image[0, 0]) for image in batch]
        seen.append(numbers)
        if bad in numbers:
            raise ImageError("is bad")
        return [f"{number} of {numbers}" for number in numbers]

    source = Numbered([Input(str(index)) for index in range(10)])
    return list(describe_on_device(source, DeviceBatch("cpu:0", describe), jobs=2, first=first))


@pytest.mark.parametrize("first", range(11))
def test_what_shares_a_batch_does_not_depend_on_where_a_run_begins(first, monkeypatch):
    monkeypatch.setattr(device_batches, "BATCH_IMAGES", 4)
    whole = described_from(0, [])
    assert [each.value for each in whole][3:5] == ["3 of [0, 1, 2, 3]", "4 of [4, 5, 6, 7]"]
    assert described_from(first, []) == whole[first:]


def test_one_bad_image_fails_alone(monkeypatch):
    monkeypatch.setattr(device_batches, "BATCH_IMAGES", 4)
    found = described_from(0, [], bad=5)
    assert [each.index for each in found if each.error] == [5]
    assert [each.value for each in found][4:7] == ["4 of [4]", None, "6 of [6]"]
    assert str(found[5].error) == "is bad"


def test_batches_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(device_batches, "MAX_BATCH_BYTES", 75)
    seen = []
    described_from(0, seen)
    assert seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--device", "gpu"], "no device 'gpu'"),
        (["--device", "cuda"], "no CUDA devices"),
        (["--device", "cuda:3"], "no CUDA devices"),
        (["--sparse", "--device", "cpu"], "--device is for SIFT on a grid"),
        (["--match", "1.png", "--device", "cpu"], "--device is for SIFT on a grid"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, word, capsys, monkeypatch):
    monkeypatch.setattr(device, "cuda_devices", lambda: 0)
    monkeypatch.setattr(device, "torch_build", lambda: "cu126")
    for command in ("sift",) if arguments[0] != "--device" else ("gist", "sift", "embed"):
        assert execute([command, *arguments, "0.png"]) == 2
        captured = capsys.readouterr()
        assert word in captured.err
        assert captured.err.count("\n") == 1
        assert not captured.out


def test_a_cluster_has_devices_of_its_own(stand_in, capsys):
    assert execute(["gist", "0.png", "--device", "cuda", "--cluster", "local"]) == 2
    assert "--device does not go with --cluster" in capsys.readouterr().err
