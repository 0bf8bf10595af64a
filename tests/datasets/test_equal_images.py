"""Images that stand in both parts of a data set."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from imgtool.datasets.dataset import Dataset
from imgtool.datasets.equal_images import equal_pairs
from imgtool.datasets.formats import load_dataset
from imgtool.image.write import encode
from locations import SAMPLES, SHARED

DATA = SHARED / "data"


def test_equal_images_in_both_parts_are_found():
    data = load_dataset(SAMPLES / "textures").train
    assert list(equal_pairs(data.subset(np.arange(5)), data.subset(np.arange(4, 8)))) == [(data.name(4), data.name(4))]
    assert not list(equal_pairs(data.subset(np.arange(5)), data.subset(np.arange(5, 9))))


@pytest.mark.parametrize("kind", ["gray", "rgb", "16 bit"])
def test_equal_pixels_are_found_however_they_are_stored(tmp_path, kind):
    image = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    image = {"gray": image, "rgb": np.dstack([image, image.T[:8, :8].repeat(2, 1)[:, :9], image]),
             "16 bit": image.astype(np.uint16) * 250}[kind]  # fmt: skip
    color = image if image.ndim == 3 else np.dstack([image] * 3)
    opaque = np.dstack([color, np.full((8, 9), np.iinfo(image.dtype).max, image.dtype)])
    others = {"b.tif": image, "c.npy": image, "d.png": color, "e.png": opaque}
    unlike = {"f.png": image[::-1], "g.png": np.dstack([color, opaque[:, :, 3] // 2]), "h.png": image[:, :8]}
    paths = []
    for name, pixels in ({"a.png": image} | others | unlike).items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(encode(np.ascontiguousarray(pixels), paths[-1].suffix[1:]))
    data = Dataset(paths, np.zeros(8, int), ("one",))
    found = equal_pairs(data.subset(np.arange(1)), data.subset(np.arange(1, 8)))
    assert [Path(second).name for _, second in found] == list(others)


@pytest.mark.skipif(not DATA.exists(), reason="the data sets are not beside this checkout")
def test_equal_pairs_of_scene15_that_its_description_names_are_found(tmp_path):
    with zipfile.ZipFile(DATA / "scene15.zip") as archive:
        names = [name for name in archive.namelist() if "/livingroom/" in name and name.endswith(".jpg")]
        pair = [
            name
            for name in archive.namelist()
            if name.endswith(("insidecity/image_0305.jpg", "tallbuilding/image_0300.jpg"))
        ]
        archive.extractall(tmp_path, names + pair)
    data = Dataset([tmp_path / name for name in (*names, *pair)], np.zeros(len(names) + 2, int), ("one",))
    pairs = [each for each in equal_pairs(data, data) if each[0] < each[1]]
    assert len(pairs) == 17  # 16 of livingroom, and one of two classes
    assert tuple(str(tmp_path / name) for name in sorted(pair)) in pairs
