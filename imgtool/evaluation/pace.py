"""How long the rest of a comparison will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgtool.classifiers import registry
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.protocol import Classifier
from imgtool.evaluation.fits import Fit

# Seconds that models with default settings take for each image that they learn from, a third as many being labeled:
# images of 200 x 200 pixels, two cores. Rough: those of Fisher vectors and of scspm follow from the times in
# docs/results.md and docs/dev/open.md, the others from `benchmarks/training_times.py` on a part of a busy core.
SECONDS: Mapping[str, float] = {
    "pixels-svm": 0.002,
    "hog-svm": 0.003,
    "gist-svm": 0.013,
    "sift-bow-svm": 0.07,
    "sift-vlad-svm": 0.03,
    "sift-fv-svm": 0.08,
    "sift-fv-softmax": 0.08,
    "scspm": 0.25,
    "cnn-svm": 0.02,
}
PRIOR = 10.0  # seconds as guessed, beside which what was taken counts: short trainings say little
SHARE_OF_K = 0.6  # of the time of those with a codebook of k words, which grows with k
# A network's: for each image and epoch, and for each multiply-add of it.
SECONDS_AN_EPOCH, SECONDS_A_MULTIPLY_ADD = 1e-4, 8e-11


class Pace:
    """Estimates the time of what is ahead: of a model that was trained before by that, of others by a rough guess.

    What models took so far, beside what was guessed for them, says how fast the machine is.
    """

    def __init__(self, ahead: Sequence[Fit]) -> None:
        self._ahead = {fit.key: fit for fit in ahead}
        self._seconds: dict[str, float] = {}  # an image, by the model's key
        self._taken = self._guessed = 0.0  # seconds, of the trainings so far

    def done(self, fit: Fit, seconds: float) -> None:
        """Take note of how long a training took."""
        self._ahead.pop(fit.key, None)
        if seconds > 0:
            self._seconds[fit.candidate.label] = seconds / len(fit.train)
            guess = guessed_seconds(fit.candidate.model)
            if guess is not None:
                self._taken, self._guessed = self._taken + seconds, self._guessed + guess * len(fit.train)

    def dropped(self, model: str) -> None:
        """Take note that a model failed: nothing more comes of it."""
        self._ahead = {key: fit for key, fit in self._ahead.items() if fit.candidate.label != model}

    def seconds_left(self) -> float | None:
        """Return an estimate for all that is ahead, None while a model is there of which nothing is known."""
        rates = [self._rate(fit) for fit in self._ahead.values()]
        pairs = zip(rates, self._ahead.values(), strict=True)
        return None if None in rates else sum(rate * len(fit.train) for rate, fit in pairs if rate is not None)

    def is_guess(self) -> bool:
        """Tell whether a model is ahead that was not trained before."""
        return any(fit.candidate.label not in self._seconds for fit in self._ahead.values())

    def _rate(self, fit: Fit) -> float | None:
        """Return the seconds that a training takes for each image."""
        if fit.candidate.label in self._seconds:
            return self._seconds[fit.candidate.label]
        guess = guessed_seconds(fit.candidate.model)
        return None if guess is None else guess * (self._taken + PRIOR) / (self._guessed + PRIOR)


def guessed_seconds(model: Classifier | None) -> float | None:
    """Return what a model may take for an image that it learns from; None for a kind that is not known."""
    if model is None:
        return None
    if not isinstance(model, NetworkClassifier):
        guess = SECONDS.get(model.name)
        if guess is None or "k" not in model.settings:
            return guess
        words = float(model.settings["k"] / registry.create(model.name).settings["k"])
        return guess * (1 - SHARE_OF_K + SHARE_OF_K * words)
    passes = model.network(1).multiply_adds(model.input_shape)
    return float(model.recipe.epochs * (SECONDS_AN_EPOCH + SECONDS_A_MULTIPLY_ADD * passes))
