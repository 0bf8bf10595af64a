"""EfficientNet-Lite against timm's: names, shapes, counts and outputs; and the network that ships."""

from __future__ import annotations

import json

import numpy as np
import pytest

import imgtool
from imgtool.classifiers.registry import create
from imgtool.classifiers.storage import load_model
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.channels_last import NumpyRunner
from imgtool.networks.declaration import Sequence
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork
from locations import REFERENCE, SAMPLES

NAMES = [f"efficientnet-lite{scale}" for scale in range(3)]
COUNTS = {"efficientnet-lite0": 4_652_008, "efficientnet-lite1": 5_416_680, "efficientnet-lite2": 6_092_072}  # timm's


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE / "timm.npz") as stored:
        return dict(stored)


def declared(name: str) -> Sequence:
    own = CATALOGUE[name]
    return own.declare(1000, own.parameters, own.preprocessing)


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_counts_are_timms(name, reference):
    shapes = {key: list(shape) for key, shape in declared(name).arrays().items()}
    stored = json.loads(bytes(reference[f"{name}__arrays"]))
    assert list(shapes.items()) == list(stored.items())
    assert declared(name).parameters() == reference[f"{name}__parameters"] == COUNTS[name]


@pytest.mark.parametrize("build", [NumpyRunner, NumpyNetwork])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_timms(name, build, reference):
    shape = tuple(map(int, reference["shape"]))
    network = build(declared(name), draw_arrays(declared(name), int(reference["seed"]), shape))
    inputs, expected = reference["inputs"], reference[f"{name}__logits"]
    found = network.predict(inputs) if build is NumpyNetwork else network.logits(network.features(inputs))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 0.1  # the black image differs


def test_the_shipped_network_gives_timms_logits_for_its_stored_weights(reference):
    model = imgtool.open_model("efficientnet-lite0@imagenet")
    squares = [model.prepare(imgtool.read(SAMPLES / str(name))) for name in reference["images"]]
    logits = model._running().logits(model.features(squares))
    np.testing.assert_allclose(logits, reference["shipped__logits"], rtol=0, atol=1e-4)


def test_pixels_are_less_127_over_128_after_a_bicubic_resize():
    """The usual mean and deviation of ImageNet look plausible, and cost ten points."""
    seen = imgtool.open_model("efficientnet-lite0").preprocessing
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = (levels.astype(np.float64).transpose(2, 0, 1) - 127) / 128
    np.testing.assert_allclose(seen.normalize([levels])[0], expected, atol=1e-6)
    assert (seen.side, seen.resize, seen.resample, seen.channels) == (224, 256, "bicubic", 3)
    image = imgtool.read(SAMPLES / "coffee.png")
    wide = imgtool.resize(image, 256, 384, resample="bicubic")
    np.testing.assert_array_equal(seen.prepare(image), wide[16:240, 80:304])


def test_the_thousand_classes_have_identifiers_and_two_names_stand_twice():
    data = load_model(imgtool.classifiers.registry.locate("efficientnet-lite0"))
    model = imgtool.open_model("efficientnet-lite0")
    names = [name for name, _ in data.classes]
    assert len(names) == len(set(model.identifiers)) == len(set(model.classes)) == 1000
    assert sorted({name for name in names if names.count(name) > 1}) == ["crane", "maillot"]
    assert {"crane (n02012849)", "crane (n03126707)", "maillot (n03710637)", "maillot (n03710721)"} <= set(
        model.classes
    )
    assert [model.classes[index] for index in (0, 281, 282, 285, 504, 999)] == [
        "tench", "tabby", "tiger cat", "Egyptian cat", "coffee mug", "toilet tissue",
    ]  # fmt: skip
    assert model.identifiers[282] == "n02123159"


def test_what_it_sees_in_two_samples():
    model = imgtool.open_model("efficientnet-lite0")
    scores = model.scores([imgtool.read(SAMPLES / name) for name in ("camera.png", "coffee.png")])
    assert [model.classes[index] for index in scores.argmax(axis=1)] == ["tripod", "espresso"]
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("side", [1, 31, 97])
def test_any_side_is_taken(side: int):
    model = create("efficientnet-lite0", side=side, resize=side)
    assert model.network(7).output_shape(model.input_shape) == (7,)
