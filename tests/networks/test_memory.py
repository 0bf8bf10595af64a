"""Exhausted memory, of the machine or of a GPU: training goes on with half the batch."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from trainings import CHANGES, RECIPE, KilledError, samples  # noqa: E402

from imgtool.errors import TrainingError  # noqa: E402
from imgtool.events import Epoch, SmallerBatch, Step  # noqa: E402
from imgtool.networks.declaration import Sequence  # noqa: E402
from imgtool.networks.layers import BatchNorm, Dropout, Flatten, Linear  # noqa: E402
from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.torch_backend import arrays_of, build  # noqa: E402
from imgtool.networks.training import train  # noqa: E402

ERRORS = {
    "cpu": lambda: torch.empty(2**55),
    "numpy": lambda: np.empty(2**55),
    "cuda": lambda: fail(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")),
    "cublas": lambda: fail(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
}


def fail(error):
    raise error


class Hungry(torch.nn.Module):
    """A network with batch normalization that exhausts memory in training: by batches above a size, from some step."""

    def __init__(self, largest, exhaust, begin=0):
        super().__init__()
        self.inner = build(Sequence(norm=BatchNorm(1), flatten=Flatten(), drop=Dropout(0.2), fc=Linear(1024, 3)))
        self.largest, self.exhaust, self.begin, self.steps = largest, exhaust, begin, 0

    def forward(self, x):
        output = self.inner(x)  # which changes the statistics
        if self.training:
            self.steps += 1
            if len(x) > self.largest and self.steps > self.begin:
                self.exhaust()
        return output


@pytest.mark.parametrize("exhaust", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize(("largest", "batch"), [(8, 8), (15, 8), (1, 1)])
def test_N4_exhausted_memory_halves_the_batch_as_if_it_had_been_so_small_all_along(exhaust, largest, batch):
    events: list = []
    module, data = Hungry(largest, exhaust), samples(32)
    history = train(module, data, RECIPE, CHANGES, seed=5, validation=data, events=events.append)
    smaller = [event.batch for event in events if isinstance(event, SmallerBatch)]
    assert smaller == [each for each in (8, 4, 2, 1) if each >= batch]
    assert [row["batch"] for row in history] == [batch] * 4
    small = Hungry(100, exhaust)
    train(small, data, dataclasses.replace(RECIPE, batch=batch), CHANGES, seed=5, validation=data)
    for name, array in arrays_of(module).items():
        np.testing.assert_array_equal(array, arrays_of(small)[name])


def test_N4_exhausted_later_it_goes_on_from_the_last_epoch_and_remembers_when_it_is_resumed(tmp_path):
    events: list = []
    arguments = {"seed": 5, "validation": samples(seed=9)}
    whole = Hungry(8, ERRORS["cpu"], begin=4)  # the second step of the second epoch
    history = train(whole, samples(), RECIPE, CHANGES, events=events.append, **arguments)
    assert [event for event in events if isinstance(event, SmallerBatch)] == [SmallerBatch(2, 8)]
    assert [row.get("batch") for row in history] == [None, 8, 8, 8]
    assert [event.batch for event in events if isinstance(event, Epoch)] == [None, 8, 8, 8]
    assert [event.steps for event in events if isinstance(event, Step)][-1] == 6

    def kill(event):
        if isinstance(event, Epoch) and event.epoch == 3:
            raise KilledError

    cut = Hungry(8, ERRORS["cpu"], begin=4)
    with pytest.raises(KilledError):
        train(cut, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", events=kill, **arguments)
    again = Hungry(1000, ERRORS["cpu"])  # more memory than before
    resumed = train(again, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", **arguments)
    assert [row.get("batch") for row in resumed] == [None, 8, 8, 8]
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(array, arrays_of(again)[name])


def test_N4_memory_exhausted_by_one_image_is_one_line_and_keeps_the_last_checkpoint(tmp_path):
    def module(begin):
        torch.manual_seed(0)
        return Hungry(0, ERRORS["cpu"], begin)

    with pytest.raises(TrainingError, match=r"^memory is exhausted by a batch of one image$"):
        train(module(begin=3), samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c")
    rest = module(begin=100)
    history = train(rest, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c")
    assert rest.steps == 3 * 3  # the first epoch is not repeated
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]


def test_N4_weights_that_exhaust_memory_are_one_line(monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "to", lambda *_, **__: ERRORS["cuda"]())
    with pytest.raises(TrainingError, match=r"^memory is exhausted by the network's weights$"):
        train(build(lenet(3, 1)), samples(), RECIPE, CHANGES)


def test_N4_validation_images_are_looked_at_in_smaller_batches_too():
    seen: list = []

    class Watched(Hungry):
        def forward(self, x):
            if not self.training:
                seen.append(len(x))
                if len(x) > 100:
                    self.exhaust()
            return super().forward(x)

    train(Watched(100, ERRORS["cpu"]), samples(), RECIPE, CHANGES, validation=samples(200, seed=9))
    assert seen[:2] == [200, 100]
    assert max(seen[1:]) == 100
