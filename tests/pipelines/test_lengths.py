"""The length of a descriptor follows from its settings, so that settings from a file are looked at first."""

import subprocess
import sys
import time

import numpy as np
import pytest

from imgtool.datasets.feature_file import FeatureTable, save
from imgtool.errors import DataError, ImageError, ParameterError
from imgtool.features.codebook import Dictionary, save_codebook
from imgtool.features.encoding import LocalSettings
from imgtool.features.gist import gist
from imgtool.image import encode
from imgtool.pipelines.descriptors import complete, descriptor
from imgtool.pipelines.lengths import LENGTHS
from imgtool.pipelines.search import search
from locations import IMGTOOL

SETTINGS = [
    ("hog", {}),
    ("hog", {"cell": (7, 5), "block": (3, 1), "orientations": 6}),
    ("hog", {"variant": "dalal-triggs", "cell": 6, "block": 3}),
    ("hog", {"variant": "dalal-triggs", "signed": True, "orientations": 12}),
    ("hog", {"variant": "uoctti", "cell": 7}),
    ("hog", {"variant": "vlfeat-dalal-triggs", "orientations": 5}),
    ("gist", {"size": 32}),
    ("gist", {"size": 48, "orientations": (3, 2), "blocks": 3, "color": True}),
    ("fisher", {}),
    ("fisher", {"pyramid": "1x1,3x1"}),
    ("vlad", {"pyramid": ["2x2"]}),
    ("bow", {"pyramid": "1x1,2x2"}),
    ("sparse", {"codebook": "atoms.safetensors"}),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atoms = np.random.default_rng(0).normal(size=(6, 128)).astype(np.float32)
    meta = {"sift": {"step": 8, "bins": [4], "window": "flat", "root": True}}
    save_codebook("atoms.safetensors", Dictionary(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), meta))
    return tmp_path


@pytest.mark.parametrize(("name", "given"), SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(64, 64), (50, 83, 3), (97, 41, 3)], ids=str)
def test_the_length_is_known_beforehand(folder, name, given, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parameters = complete(name, given)
    assert LENGTHS[name](parameters, shape) == descriptor(name, parameters)(image).size


def table_of(name, parameters, numbers=100):
    meta = {"descriptor": name, "parameters": parameters, "format": 1}
    return FeatureTable(np.ones((3, numbers), np.float32), ["a", "b", "c"], ["", "", ""], meta)


GIST = {"size": 64, "orientations": [4], "blocks": 4, "prefilter": 4.0, "color": False}
HOG = {"variant": "skimage", "orientations": 9, "cell": [8, 8], "block": [2, 2], "norm": "L2-Hys", "sqrt": False}
HOSTILE = [
    ("gist", {**GIST, "orientations": [1_000_000]}),
    ("gist", {**GIST, "size": 2048, "orientations": [100], "blocks": 1}),
    ("hog", {**HOG, "orientations": 1 << 60}),
    ("hog", {**HOG, "cell": [1, 1], "block": [200, 200]}),
    ("hog", {**HOG, "resize": "13000x13000"}),
    ("hog", {"variant": "uoctti", "orientations": 100_000, "cell": 8}),
    ("hog", {"variant": "dalal-triggs", "orientations": 9, "cell": 1, "block": 30}),
    ("fisher", {"codebook": "sift-fv-svm", "pyramid": ["9x9"] * 100_000}),
]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit to the address space")
def test_F23_settings_of_a_feature_file_are_looked_at_before_a_query_is_described(folder):
    import resource

    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    (folder / "q.png").write_bytes(encode(image, "png"))
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # noqa: E731
    for number, (name, parameters) in enumerate(HOSTILE):
        save(f"{number}.npz", table_of(name, parameters))
        begin = time.process_time()
        done = subprocess.run([*IMGTOOL, "features", "search", "--query", "q.png", f"{number}.npz"],
                              capture_output=True, text=True, timeout=60, preexec_fn=limit)  # fmt: skip
        assert done.returncode in (1, 2), (name, done.stderr)
        assert "memory" not in done.stderr
        assert done.stderr.count("\n") == 1
        assert time.process_time() - begin < 20


@pytest.mark.parametrize(
    "wrong", [{"cell": [0, 8]}, {"cell": "8"}, {"orientations": "9"}, {"cell": [8, 8, 8]}], ids=str
)
def test_settings_that_are_none_are_a_data_error(wrong):
    with pytest.raises((DataError, ParameterError)):
        search(table_of("hog", {**HOG, **wrong}), np.zeros((64, 64), np.uint8))


def test_an_image_too_small_is_told_as_such():
    with pytest.raises(ImageError):
        search(table_of("hog", HOG), np.zeros((4, 4), np.uint8))


def test_filters_and_descriptors_of_one_image_are_limited():
    with pytest.raises(ParameterError, match="numbers of filters"):
        gist(np.zeros((8, 8), np.uint8), size=2048, orientations=(64,))
    with pytest.raises(ImageError, match="places for descriptors"):
        LocalSettings(step=1, bins=(4,) * 300).describe(np.zeros((300, 300), np.uint8))
