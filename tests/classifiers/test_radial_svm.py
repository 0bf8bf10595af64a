"""Machines with a radial kernel: what they compute, store and refuse, and models that were stored before them."""

import json

import numpy as np
import pytest

from imgtool.classifiers.classic import svm
from imgtool.classifiers.classic.machines import RadialSVM, machine_from
from imgtool.classifiers.classic.svm import fit_svm
from imgtool.classifiers.registry import create, open_model
from imgtool.classifiers.storage import digest_of
from imgtool.datasets.formats import load_dataset
from imgtool.errors import DataError
from locations import SAMPLES


def rings(count, seed=0):
    """Return points of three rings around each other, which no line tells apart, in units far from each other."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    angle, radius = generator.uniform(0, 7, count), 1 + labels + generator.normal(scale=0.15, size=count)
    points = np.stack([radius * np.cos(angle), 1e3 * radius * np.sin(angle) + 5e3, np.full(count, 7.0)], axis=1)
    return points.astype(np.float32), labels


def test_rings_are_told_apart_where_a_line_fails():
    features, labels = rings(300)
    others, truth = rings(300, seed=1)
    machine, found, _ = fit_svm(features, labels, 3, kernel="rbf", gammas=(0.5, 2.0), costs=(1.0, 10.0))
    assert (machine.margins(others).argmax(axis=1) == truth).mean() > 0.95
    assert (fit_svm(features, labels, 3)[0].margins(others).argmax(axis=1) == truth).mean() < 0.7
    assert next(iter(found["cross_validated_accuracy"])) == "gamma 0.5, cost 1"
    best = f"gamma {found['gamma']:g}, cost {found['cost']:g}"
    assert found["cross_validated_accuracy"][best] == max(found["cross_validated_accuracy"].values())


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("classes", [2, 3])
def test_margins_are_the_sums_over_support_vectors(classes, class_weight):
    features, labels = rings(120)
    kept = np.flatnonzero((labels != 1) | (np.arange(120) < 40))  # a third of class 1
    features, labels = features[kept], labels[kept]
    how = {"kernel": "rbf", "gammas": (0.7,), "costs": (3.0,), "class_weight": class_weight}
    machine, *_ = fit_svm(features, labels % classes, classes, **how)
    varies = features[:, :2].astype(np.float64)
    scaled = (varies - varies.mean(axis=0)) / varies.std(axis=0) / np.sqrt(2)
    matrix = np.exp(-0.7 * ((scaled[:, None] - scaled) ** 2).sum(axis=2)) + 1
    margins = machine.margins(features)
    signs = np.where((labels % classes)[:, None] == np.arange(classes), 1, -1)
    counts = np.bincount(labels % classes)
    each = (len(labels) / (classes * counts))[
        labels % classes, None
    ]  # scikit-learn's, of the class that a machine finds
    weights = np.where((signs > 0) | (classes == 2), each, 1.0) if class_weight == "balanced" else 1.0
    dual = (
        2 * 3.0 * weights * signs * np.maximum(1 - signs * margins, 0)
    )  # at the minimum, coefficients follow from margins
    np.testing.assert_allclose(matrix @ dual, margins, atol=0.02)
    np.testing.assert_array_equal(machine.margins(features[:0]).shape, (0, classes))
    np.testing.assert_allclose(machine.margins(features[:1]), margins[:1], atol=1e-6)


def test_many_images_are_drawn_from(monkeypatch):
    monkeypatch.setattr(svm, "RADIAL_ROWS", 60)
    features, labels = rings(300)
    machine, found, _ = fit_svm(features, labels, 3, kernel="rbf", gammas=(2.0,), costs=(10.0,))
    assert found["images"] == 60
    assert len(machine.vectors) <= 60
    assert (machine.margins(features).argmax(axis=1) == labels).mean() > 0.9


GOOD = fit_svm(*rings(30), 3, kernel="rbf", gammas=(1.0,), costs=(1.0,))[0].arrays()


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("change", [lambda a: None, lambda a: a[:-1], lambda a: a.astype(np.int64), lambda a: a[None]])
def test_N5_stored_parts_that_do_not_fit_are_refused(name, change):
    changed = {key: value for key, value in {**GOOD, name: change(GOOD[name])}.items() if value is not None}
    with pytest.raises(DataError, match="support vector machine"):
        machine_from(changed, 3)
    with pytest.raises(DataError, match="support vector machine"):
        machine_from(GOOD, 4)


@pytest.mark.parametrize("name", ["svm.gamma", "svm.slope"])
@pytest.mark.parametrize("value", [0, -1])
def test_N5_numbers_that_must_be_positive_are_refused(name, value):
    with pytest.raises(DataError, match="positive"):
        machine_from({**GOOD, name: np.array([value], np.float32)}, 3)


@pytest.mark.parametrize("name", ["hog-svm", "gist-svm"])
def test_a_model_of_before_opens_and_scores_the_same(name, tmp_path):
    """Without the settings that came with the radial kernel, it is a linear machine."""
    textures = load_dataset(SAMPLES / "textures").train
    model = create(name, kernel="linear").fit(textures)
    model.save(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    description = json.loads(path.read_text())
    for new in ("kernel", "gammas", "class_weight"):
        del description["architecture"]["parameters"][new]
    path.write_text(json.dumps(description | {"digest": digest_of(description)}))
    again, images = open_model(tmp_path / "m"), [textures.image(index) for index in range(4)]
    np.testing.assert_array_equal(again.scores(images), model.scores(images))
    assert again.settings["kernel"] == "linear"
    radial = create(name).fit(textures)
    assert isinstance(radial.svm, RadialSVM)
