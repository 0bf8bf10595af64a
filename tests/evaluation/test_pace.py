"""How long a comparison will take."""

from types import SimpleNamespace

import pytest

from imgtool.classifiers import registry
from imgtool.evaluation.pace import Pace, guessed_seconds


def fit(name, images, key=""):
    model = registry.create(name) if name in registry.names() else SimpleNamespace(name=name)
    candidate = SimpleNamespace(label=name, model=model)
    return SimpleNamespace(candidate=candidate, key=f"{name}{key}", train=range(images))


@pytest.mark.parametrize("name", registry.names())
def test_every_kind_of_model_has_a_guess(name):
    assert 1e-4 < guessed_seconds(registry.create(name)) < 1000


def test_guesses_follow_epochs_and_size():
    few, many = (guessed_seconds(registry.create("lenet", epochs=epochs)) for epochs in (5, 50))
    assert many == pytest.approx(10 * few)
    small, large = (guessed_seconds(registry.create("alexnet", side=side)) for side in (64, 224))
    assert large > 3 * small


def test_guesses_follow_the_size_of_a_codebook():
    whole, quick = (guessed_seconds(registry.create("sift-fv-svm", k=k)) for k in (256, 64))
    assert quick == pytest.approx(0.55 * whole)


def test_before_a_model_was_trained_its_time_is_guessed():
    hog, gist = fit("hog-svm", 10**6), fit("gist-svm", 10**6)
    pace = Pace([hog, gist])
    guesses = {each: 10**6 * guessed_seconds(registry.create(each)) for each in ("hog-svm", "gist-svm")}
    assert pace.seconds_left() == pytest.approx(sum(guesses.values()))
    assert pace.is_guess()
    pace.done(hog, 3 * guesses["hog-svm"])  # a slow machine
    assert pace.seconds_left() == pytest.approx(3 * guesses["gist-svm"], rel=0.01)
    assert pace.is_guess()


def test_short_trainings_say_little_of_the_machine():
    hog, gist = fit("hog-svm", 30), fit("gist-svm", 10**6)
    pace = Pace([hog, gist])
    guess = pace.seconds_left()
    pace.done(hog, 2.0)
    assert pace.seconds_left() < 1.3 * guess


def test_a_model_that_was_trained_takes_what_it_took_for_each_image():
    first, second = fit("hog-svm", 100), fit("hog-svm", 300, " size 20")
    pace = Pace([first, second])
    pace.done(first, 7.0)
    assert pace.seconds_left() == pytest.approx(21.0)
    assert not pace.is_guess()


def test_of_a_kind_that_is_not_known_nothing_is_told_until_it_was_trained():
    first, second = fit("own", 100), fit("own", 100, " fold 2")
    pace = Pace([first, second, fit("hog-svm", 100)])
    assert pace.seconds_left() is None
    pace.done(first, 7.0)
    assert pace.seconds_left() == pytest.approx(7 + 100 * guessed_seconds(registry.create("hog-svm")))
    pace.dropped("own")
    pace.dropped("hog-svm")
    assert pace.seconds_left() == 0
