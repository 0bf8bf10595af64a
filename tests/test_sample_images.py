"""The sample images are what their page says."""

import re

import numpy as np
import pytest

from imgtool.batch.suffixes import IMAGE_SUFFIXES
from imgtool.datasets.equal_images import equal_pairs
from imgtool.datasets.formats import load_dataset
from imgtool.image.read import probe, read
from locations import ROOT, SAMPLES

LISTED = dict(re.findall(r"^\| `(\S+)` \| (\S+) \|", (SAMPLES / "README.md").read_text(), re.MULTILINE))
FILES = sorted(path for path in SAMPLES.iterdir() if path.suffix in IMAGE_SUFFIXES)


def test_each_is_listed_and_together_they_are_small():
    assert {path.name for path in FILES} == {name for name in LISTED if "/" not in name}
    assert 8 <= len(FILES) <= 12
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 3_000_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_has_the_size_that_is_listed(path):
    height, width = read(path).shape[:2]
    assert f"{width}x{height}" == LISTED[path.name]


def test_each_kind_is_there():
    images = {path.name: read(path) for path in FILES}
    assert images["coins16.png"].dtype == np.uint16
    assert (images["coins16.png"] % 257).any()  # not 8 bits made wide
    assert images["rocket_alpha.png"].shape[2] == 4
    assert len(np.unique(images["rocket_alpha.png"][:, :, 3])) > 2
    assert images["camera.png"].ndim == 2
    assert images["astronaut.jpg"].shape[2] == 3


def test_the_turned_rocket_is_shown_upright():
    path = SAMPLES / "rocket_turned.jpg"
    assert probe(path).orientation == 6
    upright = read(SAMPLES / "rocket_alpha.png")[:, :, :3].astype(float)
    assert np.abs(read(path) - upright).mean() < 3  # what JPEG costs; on its side or head it is 20 and more


def test_the_textbooks_matrix():
    expected = np.load(ROOT / "tests" / "reference" / "filtering.npz", allow_pickle=False)["textbook_input"]
    np.testing.assert_array_equal(read(SAMPLES / "textbook_10x10.png"), expected)


def test_textures_are_three_classes_of_sixteen_different_crops():
    data = load_dataset(SAMPLES / "textures").train
    assert data.counts() == {"brick": 16, "grass": 16, "gravel": 16}
    assert {data.image(index).shape for index in range(48)} == {(96, 96)}
    assert len(list(equal_pairs(data, data))) == 48
