"""filter_images and its kin: the files that commands write, without them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.errors import OutputError, ParameterError
from imgtool.events import Progress
from imgtool.filters import strip_filter
from imgtool.image import encode, read
from imgtool.pipelines.filter_images import filter_images
from imgtool.remarks import Remark

CASES = [
    (["--kernel", "gaussian"], "gaussian", {}),
    (["--kernel", "gaussian", "--sigma", "2", "--border", "wrap"], "gaussian", {"sigma": 2, "border": "wrap"}),
    (["--kernel", "sobel-x", "--range", "center", "--depth", "16"], "sobel-x", {"range": "center", "depth": "16"}),
    (["--kernel", "sobel-y", "--range", "stretch"], "sobel-y", {"range": "stretch"}),
    (["--kernel", "median", "--size", "5"], "median", {"size": 5}),
    (["--kernel", "box", "--to", "tif", "--depth", "float"], "box", {"format": "tif", "depth": "float"}),
    (["--kernel", "box", "--to", "jpg", "--quality", "40"], "box", {"format": "jpg", "quality": 40}),
    (["--matrix", "1 2; 3 4", "--normalize", "sum", "--method", "direct"], [[1, 2], [3, 4]],
     {"normalize": "sum", "method": "direct"}),
    (["--matrix", "1 2; 3 4", "--correlate", "--border", "clip"], np.array([[1, 2], [3, 4]]),
     {"correlate": True, "border": "clip"}),
    (["--kernel", "sobel-x", "--range", "raw"], "sobel-x", {"range": "raw"}),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    shapes = {"gray": (20, 24), "color": (20, 24, 3), "alpha": (21, 19, 4)}
    (tmp_path / "in").mkdir()
    for name, shape in shapes.items():
        (tmp_path / "in" / f"{name}.png").write_bytes(encode(rng.integers(0, 256, shape, dtype=np.uint8), "png"))
    return tmp_path


@pytest.mark.parametrize(("options", "kernel", "parameters"), CASES, ids=lambda case: str(case))
def test_files_are_those_of_the_command(options, kernel, parameters, folder):
    if "jpg" in options:
        Path("in/alpha.png").unlink()
    assert execute(["filter", "-q", *options, "in", "-o", "command/"]) == 0
    outcomes = list(filter_images("in", kernel, output="function/", **parameters))
    written = sorted(path.name for path in Path("command").iterdir())
    assert [Path(each.result().output).name for each in outcomes] == written
    for name in written:
        assert Path("function", name).read_bytes() == Path("command", name).read_bytes()


def test_results_agree_with_opencv(folder):
    (outcome,) = filter_images("in/gray.png", "box", size=3, border="mirror", output="out.png")
    expected = cv2.blur(read("in/gray.png"), (3, 3), borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(read("out.png").astype(int) - expected).max() <= 1
    assert outcome.result() == ("out.png", (20, 24))


def test_remarks_count_what_was_clipped_and_what_is_not_finite(folder):
    np.save("nan.npy", np.array([[np.nan, 0.5, 2.0, 0.5]], np.float32))
    outcomes = filter_images(["nan.npy"], [[2.0]], output="{stem}.png", depth="8")
    (outcome,) = outcomes
    assert set(outcome.remarks) == {Remark("clipped", 1), Remark("values", 1)}
    assert outcome.count("clipped") == 1


def test_nothing_is_written_before_it_is_asked_for(folder):
    outcomes = filter_images("in", "box", output="out/", jobs=1)
    assert not Path("out").exists()
    next(outcomes)
    assert len(list(Path("out").iterdir())) == 1


def test_a_bad_file_stops_nothing(folder):
    Path("in/bad.png").write_bytes(b"no image")
    outcomes = list(filter_images("in", "box", output="out/"))
    assert [each.error is None for each in outcomes] == [True, False, True, True]
    assert len(list(Path("out").iterdir())) == 3


def test_results_that_exist(folder):
    list(filter_images("in", "box", output="out/"))
    before = Path("out/gray.png").read_bytes()
    failed = list(filter_images("in", "sobel-x", output="out/"))
    assert [(type(each.error), each.error.hint) for each in failed] == [(OutputError, "exists")] * 3
    skipped = list(filter_images("in", "sobel-x", output="out/", skip_existing=True))
    assert [each.result().shape for each in skipped] == [()] * 3
    assert Path("out/gray.png").read_bytes() == before
    replaced = list(filter_images("in", "sobel-x", output="out/", overwrite=True))
    assert [each.error for each in replaced] == [None] * 3
    assert Path("out/gray.png").read_bytes() != before


def test_strips_tell_how_far_they_are(folder, monkeypatch):
    monkeypatch.setattr(strip_filter, "LARGE_PIXELS", 1)
    monkeypatch.setattr(strip_filter, "SHORT_REACH_STRIP_BYTES", 1)
    monkeypatch.setattr(strip_filter, "STRIP_BYTES", 1)
    events = []
    list(filter_images("in/gray.png", "box", output="out.png", events=events.append, jobs=1))
    assert events
    assert all(isinstance(each, Progress) for each in events)
    assert [each.done for each in events] == list(range(1, events[-1].total + 1))


@pytest.mark.parametrize(
    ("kernel", "parameters", "message"),
    [
        ("nothing", {}, "no kernel 'nothing'"),
        ("box", {"sigma": 2}, "sigma does not go with kernel box, which takes size"),
        ("median", {"sigma": 2}, "sigma does not go with kernel median, which takes size"),
        ("median", {"correlate": True}, "correlate does not go with kernel median, which is no convolution"),
        ("median", {"method": "fft"}, "method does not go with kernel median"),
        ("median", {"normalize": "sum"}, "normalize does not go with kernel median"),
        ([[1, 2]], {"size": 3}, "size is for kernels by name"),
        ("sobel-x", {"normalize": "sum"}, "normalize sum: the taps add up to 0"),
        ("box", {"border": "x"}, "no border 'x'; there are reflect"),
        ("box", {"range": "x"}, "no range 'x'; there are auto"),
        ("box", {"depth": "32"}, "no depth '32'; there are keep"),
        ("box", {"output": "-"}, "several images do not fit on standard output"),
        ("box", {"output": "in/{stem}.png"}, "is an input"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_at_once(kernel, parameters, message, folder):
    with pytest.raises(ParameterError, match=message):
        filter_images("in", kernel, **{"output": "out/", **parameters})
    with pytest.raises(ValueError, match=message):
        filter_images("in", kernel, **{"output": "out/", **parameters})


def test_arrays_are_for_convolve():
    with pytest.raises(ParameterError, match="arrays have no names"):
        filter_images([np.zeros((3, 3))], "box", output="out/")
