"""What a comparison says, in words: which model to take, and which the images cannot tell apart.

Models are named here by their places in `Comparison.scored`, the best first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imgtool.evaluation.compared import Compared
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.significance import LEVEL, images_needed
from imgtool.evaluation.table import visible

NAMED = 3  # models in one sentence
MOST_IMAGES = 1_000_000  # that it makes sense to ask for
SEEN_SHARE = 0.01  # of the test images from which on a model that was trained on them is not to be taken
MUCH = 3  # times as fast, or as small, from which that is worth a word


def decision(comparison: Compared) -> str:
    """Return, in one sentence, which model to take and how sure that is.

    Models that were trained on held-out images, or that learned nothing, are not to be taken. Where all others are
    worse than the best by the corrected test: its error, the next best one's, and how seldom chance alone makes such a
    difference; else the models that the images cannot tell from it, and how many images would tell.
    """
    candidates = _candidates(comparison)
    if not candidates:
        return _nothing_to_take(comparison)
    best, *others = candidates
    if guess := _guess(comparison, best):
        return guess
    if unsure := _not_told(comparison, candidates):
        return f"Take {_name(comparison, best)}: {_cannot_tell(comparison, best, unsure)}."
    error = f"Take {_name(comparison, best)}: wrong on {_of_images(comparison, best)}"
    return f"{error}; {_next_best(comparison, best, others[0])}." if others else f"{error}."


def sentences(comparison: Compared) -> list[str]:
    """Return the decision, and what is to be known beside it: errors and costs of models that are not told apart."""
    candidates, lines = _candidates(comparison), [decision(comparison)]
    if not candidates or _guess(comparison, candidates[0]):
        return lines
    if candidates[0] > 0:
        lines.append(_passed_over(comparison, range(candidates[0])))
    if unsure := _not_told(comparison, candidates):
        several = [candidates[0], *unsure]
        lines += [_errors(comparison, several), *_costs(comparison, several)]
    return lines


def _candidates(comparison: Compared) -> list[int]:
    """Return the models that may be taken, the best first."""
    doubted = {id(result.predictions) for result in comparison.results if result.doubt}
    return [
        place
        for place, each in enumerate(comparison.scored)
        if not _trained_on(comparison, place) and id(each.predictions) not in doubted
    ]


def _trained_on(comparison: Compared, place: int) -> str:
    """Return which test images a model was trained on, "" where they are none, or so few that nothing depends on it."""
    each, n = comparison.scored[place], len(comparison.labels)
    if each.model in comparison.seen:
        return "these test images"
    return "some of these test images" if each.predictions.facts.get("seen_images", 0) >= SEEN_SHARE * n else ""


def _nothing_to_take(comparison: Compared) -> str:
    """Return why none of the models is to be taken."""
    if not comparison.scored:
        return "No model could be measured."
    return f"{_none(comparison)}{_reason(comparison, range(len(comparison.scored)))}."


def _none(comparison: Compared) -> str:
    """Return how a sentence begins that recommends no model: of one alone it speaks by name."""
    return "Take none of these: " if len(comparison.scored) > 1 else ""


def _passed_over(comparison: Compared, places: Sequence[int]) -> str:
    """Return why models with fewer errors than the best one are not to be taken."""
    rows = "its row is" if len(places) == 1 else "their rows are"
    return f"{_reason(comparison, places)}: {rows} not to be relied on."


def _reason(comparison: Compared, places: Sequence[int]) -> str:
    """Return why models are not to be taken."""
    seen = [_trained_on(comparison, place) for place in places]
    trained = f"{'was' if len(places) == 1 else 'were'} trained on {max(seen, key=len)}"
    reason = trained if all(seen) else f"learned nothing, or {trained}" if any(seen) else "learned nothing"
    return f"{_names(comparison, places)} {reason}"


def _guess(comparison: Compared, best: int) -> str:
    """Return what to say where the best model errs as often as always naming the most frequent class, else "".

    Why none with fewer errors is to be taken stands before that.
    """
    counts = np.bincount(comparison.labels, minlength=len(comparison.classes))
    n, wrong, most = len(comparison.labels), comparison.scored[best].wrong, int(counts.argmax())
    if wrong < n - counts[most] or counts[most] == n:
        return ""
    unit = _unit(wrong, n)
    always = f"always saying {visible(comparison.classes[most])!r} would be on {_number(1 - counts[most] / n, unit)}"
    passed = f"{_reason(comparison, range(best))}, and " if best else ""
    which = f"{_name(comparison, best)}{', the best,' if len(comparison.scored) > 1 and not best else ''}"
    return f"{_none(comparison)}{passed}{which} is wrong on {_of_images(comparison, best)}; {always}."


def _not_told(comparison: Compared, candidates: Sequence[int]) -> list[int]:
    """Return the models that the images cannot tell from the best one."""
    return [place for place in candidates[1:] if comparison.pairs[candidates[0], place].p >= LEVEL]


def _cannot_tell(comparison: Compared, best: int, unsure: Sequence[int]) -> str:
    """Return which models cannot be told from the best, and how many images would tell."""
    n = len(comparison.labels)
    lead = f"{n:,} image{'' if n == 1 else 's'} cannot tell it from {_names(comparison, unsure)}"
    needed = {place: number for place in unsure if (number := _needed(comparison, best, place))}
    if not needed:
        both, wrong = "both" if len(unsure) == 1 else "all", comparison.scored[best].wrong
        return f"{lead}; {both} are {f'wrong on {wrong:,} of them' if wrong else 'right on every one'}"
    which = f" tell it from {_names(comparison, [*needed])}" if len(needed) < len(unsure) else ""
    most = max(*needed.values(), n + 1)
    how_many = "more than a million" if most > MOST_IMAGES else f"about {_two_digits(most):,}"
    return f"{lead}; {how_many} would{which}"


def _needed(comparison: Compared, best: int, other: int) -> int | None:
    """Return how many images would tell a model from the best one; None where they err equally often."""
    pair = comparison.pairs[best, other]
    return images_needed(pair.only_first, pair.only_second, pair.n, pair.tests)


def _next_best(comparison: Compared, best: int, second: int) -> str:
    """Return the next best model's error, and how likely chance alone makes the difference."""
    p = comparison.pairs[best, second].p
    seldom = f"once in {_two_digits(1 / p):,}" if p * MOST_IMAGES > 1 else "less than once in a million"
    error = _error(comparison, second, _unit_of(comparison, best))
    return f"next best {error}; not luck: chance alone makes such a difference {seldom} comparisons"


def _errors(comparison: Compared, several: Sequence[int]) -> str:
    """Return the errors of models that cannot be told apart."""
    best, *others = several[: NAMED + 1]
    said = [_error(comparison, place, _unit_of(comparison, best)) for place in others]
    return f"{_name(comparison, best)} is wrong on {_of_images(comparison, best)}, {', '.join(said)}."


def _costs(comparison: Compared, several: Sequence[int]) -> list[str]:
    """Return which of the models that cannot be told apart is much faster or smaller than the best; none if none is."""
    rows, words = comparison.rows(), dict[int, str]()
    for key, word in (("ms_per_image", "faster"), ("bytes", "smaller")):
        costs = {place: rows[place][key] for place in several}
        if all(costs.values()):
            least = min(several, key=costs.__getitem__)
            if costs[several[0]] >= MUCH * costs[least]:
                words[least] = f"{words[least]} and {word}" if least in words else f"much {word}"
    lines = [f"{_name(comparison, place)} is {text}" for place, text in words.items()]
    return [f"{', '.join(lines)}."] if lines else []


def _of_images(comparison: Compared, place: int) -> str:
    """Return a model's error in words: "8 of 100 new images (7 to 10)"."""
    unit, wrong, n = _unit_of(comparison, place), comparison.scored[place].wrong, len(comparison.labels)
    return f"{_number(wrong / n, unit)} of {unit:,} new images ({_interval(wrong, n, unit)})"


def _error(comparison: Compared, place: int, unit: int) -> str:
    """Return a further model's error: "lenet on 12 (10 to 14)"."""
    wrong, n = comparison.scored[place].wrong, len(comparison.labels)
    return f"{_name(comparison, place)} on {_number(wrong / n, unit)} ({_interval(wrong, n, unit)})"


def _unit_of(comparison: Compared, place: int) -> int:
    """Return of how many images a model's error is told."""
    return _unit(comparison.scored[place].wrong, len(comparison.labels))


def _unit(wrong: int, n: int) -> int:
    """Return of how many images an error is told: so many that its interval's ends are two of them apart."""
    low, high = wilson(wrong, n)
    return next((unit for unit in (100, 1000, 10_000) if (high - low) * unit >= 2), 100_000)


def _interval(wrong: int, n: int, unit: int) -> str:
    """Return the interval of an error as numbers of images."""
    return " to ".join(_number(end, unit) for end in wilson(wrong, n))


def _number(share: float, unit: int) -> str:
    """Return a share as a number of images."""
    return f"{round(share * unit):,}"


def _name(comparison: Compared, place: int) -> str:
    """Return a model's name as readers see it."""
    return visible(comparison.scored[place].model)


def _names(comparison: Compared, places: Sequence[int]) -> str:
    """Return names in a row, the last after "and"; of many the first ones, and how many more."""
    names = [_name(comparison, place) for place in places[:NAMED]]
    names += [f"{len(places) - NAMED} more"] if len(places) > NAMED else []
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _two_digits(number: float) -> int:
    """Return a number rounded to two digits."""
    power: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / power) * power
