"""From which score on a label is sure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.classifiers import registry
from imgtool.classifiers.classic.svm import fit_svm
from imgtool.classifiers.threshold import chosen_threshold
from imgtool.classifiers.training import train
from imgtool.datasets.formats import load_dataset
from imgtool.datasets.split import split
from locations import SAMPLES

TEXTURES = SAMPLES / "textures"


def table(*groups):
    """Scores of two classes and labels, from (best score, how many are right, how many are wrong)."""
    best = np.repeat([each[0] for each in groups], [each[1] + each[2] for each in groups])
    right = np.concatenate([np.repeat([True, False], each[1:]) for each in groups])
    scores = np.stack([best, 1 - best], axis=1)
    return scores, np.where(right, 0, 1)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([(0.6, 8, 2)], 0.5),  # 80 % are enough
        ([(0.6, 79, 21)], 0.95),  # 79 % are not, and above 0.6 nobody is
        ([(0.5, 0, 1), (0.55, 4, 1)], 0.55),  # 4 of 6; without the score of 0.5, 4 of 5
        ([(0.52, 5, 5), (0.72, 6, 2), (0.78, 3, 0)], 0.55),  # 14 of 21, then 9 of 11
        ([(0.52, 5, 5), (0.72, 6, 3), (0.78, 3, 0)], 0.75),  # 9 of 12 up to 0.7, then 3 of 3
        ([(0.94, 0, 9), (0.96, 1, 0)], 0.95),
        ([(0.99, 1, 9)], 0.95),  # nothing is enough
        ([(0.6, 0, 1), (0.7, 1, 0)], 0.65),
    ],
)
def test_worked_examples(groups, expected):
    assert chosen_threshold(*table(*groups)) == expected


def test_scores_below_a_half_say_nothing():
    scores = np.array([[0.4, 0.3, 0.3], [0.2, 0.45, 0.35]])
    assert chosen_threshold(scores, np.array([2, 2])) == 0.5
    assert chosen_threshold(np.zeros((0, 3)), np.zeros(0, int)) == 0.5
    assert chosen_threshold(np.full((4, 3), np.nan), np.zeros(4, int)) == 0.5


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=40))
def test_it_is_the_lowest_step_from_which_four_of_five_are_right(pairs):
    found = chosen_threshold(*table(*((score, right, not right) for score, right in pairs)))
    assert found in [round(0.5 + 0.05 * step, 2) for step in range(10)]
    shares = {}
    for step in range(10):
        sure = [right for score, right in pairs if score >= round(0.5 + 0.05 * step, 2)]
        shares[round(0.5 + 0.05 * step, 2)] = 5 * sum(sure) >= 4 * len(sure) and bool(sure)
    enough = [threshold for threshold, is_enough in shares.items() if is_enough]
    assert found == min(enough, default=0.95)


def test_a_machine_takes_it_from_the_scores_of_images_left_out():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    features = (np.eye(3)[labels] + 0.2 * rng.standard_normal((300, 3))).astype(np.float32)
    assert fit_svm(features, labels, 3, costs=(1.0,))[2] == 0.5
    shuffled = np.where(np.arange(300) % 2, labels, rng.permutation(labels))  # half of the labels mean nothing
    machine, _, threshold = fit_svm(np.repeat(features, 2, axis=1), shuffled, 3, costs=(1.0,))
    scores = machine.probabilities(np.repeat(features, 2, axis=1))
    sure = scores.max(axis=1) >= 0.5
    assert (scores.argmax(axis=1) == shuffled)[sure].mean() < 0.8
    assert threshold > 0.5
    assert fit_svm(features[:3], labels[:3], 3)[2] == 0.5  # nothing can be left out


@pytest.mark.parametrize(("share", "most"), [(0, 0.5), (0.25, 0.95)])
def test_a_network_takes_it_from_its_validation_images(share, most, tmp_path):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    model = train(TEXTURES, "lenet", validation_share=share, output=tmp_path / "m", epochs=2, batch=4)
    expected = 0.5
    if share:
        _, validation = split(load_dataset(TEXTURES).train, share, 0)
        scores = model.scores([validation.image(index) for index in range(len(validation))])
        expected = chosen_threshold(scores, validation.labels)
    assert model.threshold == expected <= most
    assert registry.open_model(tmp_path / "m").threshold == expected


def test_the_threshold_of_an_earlier_fit_is_forgotten(tmp_path):
    model = registry.create("two-layer", epochs=1, hidden=2)
    model.threshold = 0.9
    assert model.fit(load_dataset(TEXTURES).train).threshold == 0.5
