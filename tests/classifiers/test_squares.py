"""Images prepared for a network: the same in memory and in a file, where they are larger than a budget."""

import errno
import io
import os
import tempfile

import numpy as np
import pytest

from imgtool.classifiers import registry, squares
from imgtool.classifiers.squares import are_gray, prepared, without_colors
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load_dataset
from imgtool.errors import OutputError
from imgtool.events import Epoch
from imgtool.networks.preprocessing import Preprocessing
from locations import SAMPLES

SEEN = Preprocessing(side=20)


@pytest.fixture(scope="module")
def textures():
    return load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 4))


@pytest.fixture
def no_memory(monkeypatch):
    """Have nothing fit into memory."""
    monkeypatch.setattr(squares, "default_budget", lambda: 0)


def stack(count=30, *, colored=True):
    images = np.random.default_rng(0).integers(0, 256, (count, 24, 22, 3), np.uint8)
    return Dataset(images if colored else images[..., :1].repeat(3, 3), np.arange(count) % 3, ("a", "b", "c"))


@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("kind", ["files", "stack"])
def test_images_in_a_file_are_those_in_memory(kind, chunk, textures, tmp_path, monkeypatch):
    monkeypatch.setattr(squares, "STACK_IMAGES", chunk)
    data = textures if kind == "files" else stack()
    in_memory = prepared(data, SEEN)
    assert not isinstance(in_memory, np.memmap)
    np.testing.assert_array_equal(in_memory, [SEEN.prepare(data.image(index)) for index in range(len(data))])
    monkeypatch.setattr(squares, "default_budget", lambda: in_memory.nbytes - 1)
    in_file = prepared(data, SEEN, folder=tmp_path / "yet" / "to be made")
    assert isinstance(in_file, np.memmap)
    np.testing.assert_array_equal(in_file, in_memory)
    assert not list(tmp_path.iterdir())  # the file has no name
    monkeypatch.setattr(squares, "default_budget", lambda: in_memory.nbytes)
    assert not isinstance(prepared(data, SEEN), np.memmap)


@pytest.mark.parametrize("colored", [True, False])
@pytest.mark.usefixtures("no_memory")
def test_gray_images_in_a_file_are_found_and_not_read_again(colored):
    images = prepared(stack(colored=colored), SEEN)
    assert are_gray(images) == (not colored)
    one = without_colors(images)
    assert one.base is not None
    np.testing.assert_array_equal(one, without_colors(np.asarray(images)))


@pytest.mark.parametrize("model", ["two-layer", "lenet"])
@pytest.mark.parametrize("colored", [True, False])
def test_training_is_the_same_to_the_bit_and_goes_on_from_the_same_checkpoint(model, colored, tmp_path, monkeypatch):
    if model == "lenet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    results, data = [], stack(colored=colored)
    for budget in (1 << 30, 0):
        monkeypatch.setattr(squares, "default_budget", lambda budget=budget: budget)
        more = {"pca_color": 0.1} if model == "lenet" else {}
        trained = registry.create(model, epochs=3, batch=8, **more)
        trained.validation = stack(20) if model == "lenet" else None
        results.append(trained.fit(data, seed=2))
    for name, array in results[0].arrays().items():
        np.testing.assert_array_equal(array, results[1].arrays()[name])
    assert results[0].preprocessing == results[1].preprocessing
    assert results[0].provenance == results[1].provenance


def test_a_training_in_memory_goes_on_in_a_file(tmp_path, monkeypatch, textures):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    def stop(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise KeyboardInterrupt

    whole = registry.create("lenet", epochs=4).fit(textures)
    with pytest.raises(KeyboardInterrupt):
        registry.create("lenet", epochs=4).fit(textures, resume=tmp_path / "c", events=stop)
    monkeypatch.setattr(squares, "default_budget", lambda: 0)
    rest = registry.create("lenet", epochs=4).fit(textures, resume=tmp_path / "c")
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, rest.arrays()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.usefixtures("no_memory")
def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(OutputError, match="no space left") as caught:
        prepared(stack(), SEEN, folder=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
