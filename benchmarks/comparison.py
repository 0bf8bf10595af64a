"""The time that a comparison's table takes once all predictions are there, and the files made from them.

    python benchmarks/comparison.py [IMAGES] [MODELS] [CLASSES]

By default 50,000 images, ten models and ten classes; the bar is 10 seconds for the table with its sentences. With 1000
classes scores alone take 2 GB.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.runner import Result
from imgtool.evaluation.sentences import sentences
from imgtool.evaluation.store import Predictions

BAR_SECONDS = 10.0


def comparison(images: int, models: int, classes: int) -> Comparison:
    """Models that are right the more often, the later they come."""
    rng = np.random.default_rng(0)
    labels, names = rng.integers(0, classes, images), tuple(f"class {place}" for place in range(classes))
    results = []
    for model in range(models):
        scores = rng.standard_normal((images, classes), dtype=np.float32)
        scores[np.arange(images), labels] += 2 + 0.02 * model
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        results.append(Result(f"model-{model}", None, Predictions(f"model-{model}", "ab" * 32, names, scores)))
    return Comparison(names, labels, results)


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    images, models, classes = [*given, *(50_000, 10, 10)[len(given) :]]
    made = comparison(images, models, classes)
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "the table and its sentences": lambda: (made.rows(), sentences(made)),
            "errors by class, of each model": lambda: [made.by_class(each.model) for each in made.scored],
            "the picture of one confusion": made.confusion_picture,
            "the file of predictions": lambda: made.write_predictions(Path(folder, "p.csv")),
        }
        print(f"{images:,} images, {models} models, {classes:,} classes")
        for name, step in steps.items():
            begin = perf_counter()
            step()
            spent = perf_counter() - begin
            bar = f"  (at most {BAR_SECONDS:.0f})" if name.startswith("the table") else ""
            print(f"{name:32}{spent:8.2f} s{bar}")
    print(f"{'memory at its highest':32}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:8,.0f} MB")


if __name__ == "__main__":
    main()
