"""Predicting many images: order, batches by place, errors, several models, memory, timings."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import DataError, ImageError
from imgtool.pipelines.predict import STAGES, batch_size, predict


class Shade:
    """A classifier of gray images by their brightness, which remembers the batches that it was asked for."""

    name, classes = "shade", ("dark", "bright")

    def __init__(self, gain=1.0):
        self.gain, self.batches = gain, []

    def prepare(self, image):
        return image.mean(keepdims=True) / 255

    def features(self, batch):
        self.batches.append(tuple(round(float(each[0, 0]) * 255) for each in batch))
        return np.concatenate(batch).astype(np.float32)

    def decide(self, features):
        bright = features * np.float32(self.gain)
        return np.concatenate([1 - bright, bright], axis=1)


def shade(index):
    return np.full((4, 4), index % 256, np.uint8)


@pytest.mark.parametrize("jobs", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 31, 100])
def test_each_image_in_order_by_every_model(jobs, count):
    models = [Shade(), Shade(0.5)]
    found = list(predict(models, count, shade, jobs=jobs))
    assert [each.index for each in found] == list(range(count))
    for model, column in zip(models, zip(*(each.scores for each in found), strict=True), strict=bool(count)):
        expected = model.decide(model.features([model.prepare(shade(index)) for index in range(count)]))
        np.testing.assert_allclose(np.stack(column), expected, atol=1e-7)
    assert all(each.errors == (None, None) and each.error is None for each in found)


@given(st.integers(1, 400), st.integers(1, 4), st.sampled_from([None, 1, 3, 64]))
def test_batches_follow_from_the_place(count, jobs, batch):
    """No thread, no delay and no bad neighbor moves an image into another batch."""
    model, size = Shade(), batch or batch_size(count)

    def read(index):
        if index % 50 == 7:
            raise ImageError("is broken")
        return shade(index % 250)

    for _ in predict([model], count, read, jobs=jobs, batch=batch):
        pass
    expected = [
        tuple(each % 250 for each in range(begin, min(begin + size, count)) if each % 50 != 7)
        for begin in range(0, count, size)
    ]
    assert sorted(model.batches) == sorted(filter(None, expected))


def test_small_inputs_have_work_for_every_thread():
    assert batch_size(1) == batch_size(32) == 1
    assert [batch_size(count) for count in (64, 100, 1000, 10**6)] == [2, 4, 32, 32]


def test_an_image_that_cannot_be_read_is_an_error_of_all_models_and_the_others_go_on():
    def read(index):
        if index == 5:
            raise ImageError("is broken")
        return shade(index)

    found = list(predict([Shade(), Shade()], 100, read, jobs=3))
    assert [each.index for each in found if each.error] == [5]
    assert found[5].scores == (None, None)
    assert [str(error) for error in found[5].errors] == ["is broken"] * 2


class Picky(Shade):
    """Fails at images of some brightness, in one of its stages."""

    def __init__(self, stage, bad):
        super().__init__()
        self.stage, self.bad = stage, bad

    def prepare(self, image):
        self.check("prepare", image)
        return super().prepare(image)

    def features(self, batch):
        self.check("features", *(each * 255 for each in batch))
        return super().features(batch)

    def decide(self, features):
        self.check("decide", *(features * 255))
        return super().decide(features)

    def check(self, stage, *images):
        if stage == self.stage and any(round(float(image.mean())) == self.bad for image in images):
            raise ZeroDivisionError(stage)


@pytest.mark.parametrize("stage", ["prepare", "features", "decide"])
def test_a_model_that_fails_at_one_image_takes_neither_its_batch_nor_other_models_along(stage):
    found = list(predict([Picky(stage, 11), Shade()], 64, shade, jobs=2, batch=16))
    assert [each.index for each in found if each.scores[0] is None] == [11]
    assert str(found[11].errors[0]) == stage
    assert all(each.scores[1] is not None and each.errors[1] is None for each in found)


def test_what_is_no_probability_is_an_error():
    for gain, reason in ((np.nan, "too large"), (1.0, "of 2 classes")):
        model = Shade(gain)
        if gain == 1.0:
            model.decide = lambda features: np.zeros((len(features), 3), np.float32)
        (found,) = predict([model], 1, shade)
        assert isinstance(found.error, DataError)
        assert reason in str(found.error)


def test_reading_is_ahead_and_bounded():
    """While nobody takes results, as many batches as are asked for are begun, and no more."""
    read, lock = [], threading.Lock()

    def slow(index):
        with lock:
            read.append(index)
        return shade(index)

    predictions = predict([Shade()], 1000, slow, jobs=3, batch=10)
    next(predictions)
    deadline = time.monotonic() + 20
    while len(read) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 20 <= len(read) <= 2 * 3 * 10
    predictions.close()
    time.sleep(0.1)
    count = len(read)
    time.sleep(0.1)
    assert len(read) == count < 1000


def test_decoded_images_do_not_pile_up():
    """A batch holds prepared images; of the images themselves there is one for each thread."""
    alive, most, lock = [0], [0], threading.Lock()

    class Counted(np.ndarray):
        def __array_finalize__(self, _):
            pass

        def __del__(self):
            with lock:
                alive[0] -= 1

    class Mean(Shade):
        def prepare(self, image):
            return np.array([[float(np.asarray(image)[0, 0]) / 255]])

    def read(index):
        with lock:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
        return np.ndarray.__new__(Counted, (4, 4), np.uint8)

    list(predict([Mean()], 300, read, jobs=4, batch=50))
    assert 1 <= most[0] <= 8  # one read and one just read of each thread


def test_each_image_is_read_once_for_all_models():
    read = []
    list(predict([Shade(), Shade(), Shade()], 70, lambda index: read.append(index) or shade(index), jobs=2))
    assert sorted(read) == list(range(70))


def test_timings_are_returned_for_each_model_and_kept_on_none():
    class Slow(Shade):
        def features(self, batch):
            time.sleep(0.002 * len(batch))
            return super().features(batch)

    models = [Shade(), Slow()]
    predictions = predict(models, 20, lambda index: time.sleep(0.001) or shade(index), jobs=2)
    list(predictions)
    quick, slow = predictions.timings
    assert quick.seconds.keys() == set(STAGES)
    assert quick.seconds["read"] == slow.seconds["read"] >= 0.02
    assert slow.seconds["features"] >= 0.04
    assert slow.seconds["features"] > quick.seconds["features"]
    assert quick.images == slow.images == 20
    assert 2 <= slow.milliseconds == 1000 * (sum(slow.seconds.values()) - slow.seconds["read"]) / 20
    assert not hasattr(models[1], "seconds")
