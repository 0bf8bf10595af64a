"""Stored settings at their extremes: what they ask for is computed, and refused, before anything is allocated."""

import subprocess
import sys

import numpy as np
import pytest

from imgtool.classifiers.registry import ARCHITECTURES, create, groups_of
from imgtool.classifiers.storage import ModelData, save_model
from imgtool.errors import ParameterError
from imgtool.features.codebook import TENSORS
from locations import IMGTOOL

ADDRESS_BYTES = 4 << 30  # as much as imgtool with its libraries is given
HOSTILE = {
    "hog-svm": [{"size": 1024, "cell": 1, "block": 8}, {"size": 1024, "cell": 1, "block": 64, "orientations": 360}],
    "gist-svm": [{"size": 1024, "orientations": [360] * 16, "blocks": 64}, {"size": 1024, "orientations": [360] * 16}],
    "sift-fv-svm": [{"size": 1024, "step": 1, "bins": [1] * 16}, {"pyramid": ["9x9"] * 16}],
    "sift-vlad-svm": [{"size": 1024, "step": 1, "bins": [1] * 16}, {"pyramid": ["9x9"] * 16}],
    "sift-bow-svm": [{"size": 1024, "step": 1, "bins": [1] * 16}, {"pyramid": ["9x9"] * 16}],
    "scspm": [{"size": 1024, "step": 1, "bins": [1] * 16}, {"pyramid": ["9x9"] * 16}],
    "two-layer": [{"hidden": 65536}],
}


def parts(name):
    """Return small arrays of the right names, and the stored form of a kind's settings."""
    rng = np.random.default_rng(0)
    arrays = {"svm.weights": rng.random((2, 5)), "svm.biases": rng.random(2), "svm.slope": np.ones(1)}
    if name == "scspm":
        arrays["codebook.atoms"] = np.full((4, 128), 128**-0.5)
    if name.startswith("sift-"):
        shapes = {"pca_mean": 128, "pca_basis": (2, 128), "means": (2, 4), "covariances": (2, 4), "priors": 2}
        arrays |= {f"codebook.{part}": np.full(shapes[part], 0.5) for part in TENSORS}
    groups = {part: group.to_json() for part, group in groups_of(name).items()}
    return {key: array.astype(np.float32) for key, array in arrays.items()}, groups


def extremes(name):
    """Yield settings of a kind: each number at both ends of its range, all at one end, and the worst there are."""
    meanings = {
        (part, key): meaning
        for part, group in groups_of(name).items()
        if part in ("architecture", "preprocessing")
        for key, (_, meaning) in group.meanings().items()
    }
    ends = {place: (each.low, each.high) for place, each in meanings.items() if each.low is not None}
    yield from ([(place, value)] for place, both in ends.items() for value in both)
    yield from ([(place, both[end]) for place, both in ends.items()] for end in (0, 1))
    yield from ([(("architecture", key), value) for key, value in each.items()] for each in HOSTILE.get(name, ()))


def model(folder, name, settings):
    """Store a model of small weights and the settings given."""
    arrays, groups = parts(name)
    for (part, key), value in settings:
        kind = type(groups[part][key])
        groups[part][key] = [value] if kind is list and not isinstance(value, list) else value
    provenance = {"kind": "published", "source": "a test", "license": "CC0"}
    data = ModelData(name, groups["architecture"], [("a", None), ("b", None)], provenance, arrays,
                     preprocessing=groups.get("preprocessing"))  # fmt: skip
    save_model(folder, data)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit to the address space")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_F23_settings_at_their_extremes_are_refused_at_once(tmp_path, name):
    import resource

    cases = list(extremes(name))
    for number, settings in enumerate(cases):
        model(tmp_path / f"m{number}", name, settings)
    command = [*IMGTOOL, "models", "verify", *(f"./m{number}" for number in range(len(cases)))]
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))  # noqa: E731
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, preexec_fn=limit)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line.split(":")[1] for line in lines] == [f" m{number}" for number in range(len(cases))]
    assert not [line for line in lines if "memory" in line or "internal" in line]


LARGE = [(name, each) for name, found in HOSTILE.items() for each in found if "size" in each]


@pytest.mark.parametrize(("name", "settings"), LARGE, ids=str)
def test_settings_that_ask_for_too_much_cannot_be_chosen(name, settings):
    with pytest.raises(ParameterError, match="the settings ask for"):
        create(name, **settings)


@pytest.mark.parametrize("settings", [{}, {"size": 64, "cell": 16, "block": 3}, {"size": 50, "orientations": 5}])
def test_the_length_of_hog_follows_from_its_settings(settings):
    model = create("hog-svm", **settings)
    assert model.features([model.prepare(np.zeros((40, 30, 3), np.uint8))]).shape == (1, model.length())


@pytest.mark.parametrize("settings", [{}, {"size": 64, "orientations": (3, 2), "blocks": 3}])
def test_the_length_of_gist_follows_from_its_settings(settings):
    model = create("gist-svm", **settings)
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert model.features([model.prepare(image)]).shape == (1, model.length())
