"""search: what `imgtool features search` finds, by path, image and vector."""

import json

import numpy as np
import pytest

from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.errors import DataError, ImageError, ParameterError
from imgtool.image import encode, read
from imgtool.pipelines.describe import describe_images
from imgtool.pipelines.search import METRICS, search


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for index in range(6):
        path = tmp_path / "in" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (5, 5), dtype=np.uint8), np.ones((8, 8), np.uint8))
        path.write_bytes(encode(pixels, "png"))
    (tmp_path / "other.png").write_bytes(encode(rng.integers(0, 256, (40, 40), dtype=np.uint8), "png"))
    describe_images("in", "gist", size=32, output="gist.npz")
    return tmp_path


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("query", ["in/a/2.png", "other.png"])
def test_search_finds_what_the_command_prints(query, metric, folder, capsys):
    execute(["features", "search", "--query", query, "--top", "4", "--metric", metric, "gist.npz", "--format", "jsonl"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = search("gist.npz", query, top=4, metric=metric)
    assert [(each.path, each.label) for each in found] == [(row["path"], row["label"]) for row in rows]
    np.testing.assert_allclose([each.score for each in found], [row["score"] for row in rows], rtol=1e-6)


def test_a_query_is_a_path_an_image_or_a_vector(folder):
    table = feature_file.load("gist.npz")
    expected = search("gist.npz", "in/b/3.png")
    assert expected[0].path == "in/b/3.png"
    assert table.paths[expected[0].index] == "in/b/3.png"
    assert search(table, read("in/b/3.png")) == expected
    assert search(table, table.features[expected[0].index]) == expected


def test_what_cannot_be_searched_is_refused(folder):
    describe_images("in", "sift", output="sift.npz")
    with pytest.raises(DataError, match=r"sift\.npz: holds local descriptors"):
        search("sift.npz", "other.png")
    np.save("plain.npy", feature_file.load("gist.npz").features)
    with pytest.raises(DataError, match=r"plain\.npy: does not say how"):
        search("plain.npy", "other.png")
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        search("gist.npz", "gone.png")
    with pytest.raises(DataError, match=r"gist\.npz: the query has 3 numbers"):
        search("gist.npz", [1.0, 2.0, 3.0])
    with pytest.raises(ParameterError, match="no metric 'x'"):
        search("gist.npz", "other.png", metric="x")
