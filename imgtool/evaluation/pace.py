"""How long the rest of a comparison will take, where that can be told."""

from __future__ import annotations

from collections.abc import Sequence

from imgtool.evaluation.fits import Fit


class Pace:
    """Estimates the time of what is ahead from what each model took so far for an image that it learned from."""

    def __init__(self, ahead: Sequence[Fit]) -> None:
        self._ahead = {fit.key: fit for fit in ahead}
        self._seconds: dict[str, float] = {}  # an image, by the model's key

    def done(self, fit: Fit, seconds: float) -> None:
        """Take note of how long a training took."""
        self._ahead.pop(fit.key, None)
        if seconds > 0:
            self._seconds[fit.candidate.label] = seconds / len(fit.train)

    def dropped(self, model: str) -> None:
        """Take note that a model failed: nothing more comes of it."""
        self._ahead = {key: fit for key, fit in self._ahead.items() if fit.candidate.label != model}

    def seconds_left(self) -> float | None:
        """Return an estimate for all that is ahead, None while a model is there of which nothing is known."""
        ahead = self._ahead.values()
        if any(fit.candidate.label not in self._seconds for fit in ahead):
            return None
        return sum(self._seconds[fit.candidate.label] * len(fit.train) for fit in ahead)
