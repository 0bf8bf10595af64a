"""Comparisons that never were, with all that a report can show, and what a page of HTML consists of."""

from html.parser import HTMLParser

import numpy as np

from imgtool.classifiers.registry import create
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.runner import Result
from imgtool.evaluation.store import Predictions
from imgtool.networks.initialization import draw_arrays


def comparison_of(classes, models, *, n=60, paths=(), images=None, fitted=None, word="word", failed=(), **facts):
    """Return a comparison of models by these names, of which each is wrong more often than the one before it."""
    rng, size = np.random.default_rng(0), len(classes)
    labels = np.arange(n) % size
    results = []
    for place, name in enumerate(models):
        wrong = rng.random(n) < 0.1 + 0.5 * place / len(models)
        said = np.where(wrong, rng.integers(size, size=n), labels)
        scores = rng.random((n, size)) / size + np.eye(size)[said] * rng.uniform(1, 3, (n, 1))
        scores /= scores.sum(axis=1, keepdims=True)
        results.append(Result(name, None, _predictions(name, classes, scores, place, word)))
    results += [Result(name, reason) for name, reason in failed]
    sizes = [_size(name, place, count) for place, name in enumerate(models) for count in (5, 10, 20)]
    counts = {
        "train": dict.fromkeys(classes, 20),
        "test": dict(zip(classes, np.bincount(labels).tolist(), strict=False)),
    }
    more = {"seed": 7, "settings": {word: word}, "train_sizes": sizes, "sha256": {"test": "ab" * 32}, **facts}
    beside = (images, paths, fitted or {})
    about = ([(word, word)], (), counts, more, word, "model", word, [word], {})
    return Comparison(classes, labels, results, *about, *beside)


def _predictions(name, classes, scores, place, word):
    """Return predictions with every figure that a model can have."""
    history = [{"epoch": epoch, "loss": 2 / epoch, "error": 0.9 / epoch, "validation_loss": 2.5 / epoch,
                "validation_error": 0.95 / epoch, "learning_rate": 0.1} for epoch in range(1, 6)]  # fmt: skip
    facts = {"classes": len(classes), "settings": {word: [word, 1, None]}, "weights": "cd" * 32, "history": history,
             "ms_per_image": 0.4 * 3.0**place, "ms_per_image_p95": 0.6 * 3.0**place, "images_per_second": 30.0,
             "batch": 32, "parameters": 62_006, "peak_bytes": 200_000_000, "device": "cpu"}  # fmt: skip
    return Predictions(name, "ab" * 32, classes, scores, train_seconds=1.5 * place, weights_bytes=250_000, facts=facts)


def _size(name, place, count):
    """Return a model's error after training on few images."""
    error = min(0.9, (1 + place / 10) / count**0.4)
    return {"model": name, "per_class": count, "images": 3 * count, "error": error,
            "interval": [error - 0.05, error + 0.05], "n": 60}  # fmt: skip


def photograph(index):
    """Return a picture that is another one for each index."""
    rng = np.random.default_rng(index)
    rows, columns = 240, 200 + 10 * (index % 20)
    base = np.add.outer(np.arange(rows), np.arange(columns))[..., None] * rng.random(3)
    return np.clip(base % 256 + rng.normal(0, 12, (rows, columns, 3)), 0, 255).astype(np.uint8)


def drawn_network(classes):
    """Return a network for these classes, with weights as they are before any training."""
    network = create("lenet")
    network.classes = tuple(classes)
    network.restore(draw_arrays(network.network(), 0))
    return network


class Page(HTMLParser):
    """tags: (name, attributes) of each element; text: all that is shown; style: the sheet."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.style, self._open = [], [], "", []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    @property
    def text(self):
        return " ".join(self.texts)

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.texts.append(data)

    def named(self, tag):
        """Return the attributes of all elements of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def shape(self):
        """Return what elements there are, with which attributes: all of a page but names and numbers."""
        return [(name, tuple(attributes)) for name, attributes in self.tags]
