"""Checkpoints: what they keep, and what is refused."""

import copy
import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import load as deserialize

from imgtool.errors import DataError, OutputError
from imgtool.networks import checkpoint
from imgtool.networks.checkpoint import Checkpoint, describe, load, save
from imgtool.networks.recipe import Augmentation, Recipe

ARRAYS = {
    "module.fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5,
    "module.steps": np.array(7, np.int64),
    "momentum.fc.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
}
BEST = {"best.fc.weight": np.ones((2, 3), np.float32), "best.steps": np.array(3, np.int64)}


def state(*, validation=True):
    """A small checkpoint after two epochs of four."""
    identity = {
        "recipe": Recipe(epochs=4).to_json(),
        "augmentation": Augmentation().to_json(),
        "seed": 5,
        "data": "a" * 64,
        "validation": "b" * 64 if validation else "",
        "network": "c" * 64,
        "start": "d" * 64,
        "tensors": describe(ARRAYS),
    }
    row = {"loss": 0.5, "error": 0.25, "learning_rate": 0.01, "images_per_second": 80.0, "seconds": 1.5}
    row |= {"validation_loss": 2.0, "validation_error": 1.0} if validation else {}
    history = [{"epoch": number, **row} for number in (1, 2)]
    return Checkpoint(identity, 2, history, ARRAYS | (BEST if validation else {}))


def refusal(path, identity, **settings):
    """Return the one line with which a checkpoint is refused."""
    with pytest.raises(DataError) as caught:
        load(path, identity, **settings)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("validation", [True, False])
def test_what_was_saved_comes_back(tmp_path, validation):
    saved = state(validation=validation)
    save(tmp_path / "c", saved)
    found = load(tmp_path / "c", saved.identity)
    assert (found.identity, found.threads, found.history) == (saved.identity, saved.threads, saved.history)
    assert found.arrays.keys() == saved.arrays.keys()
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_other_tools_read_the_arrays(tmp_path):
    save(tmp_path / "c", state())
    arrays = deserialize((tmp_path / "c").read_bytes())
    np.testing.assert_array_equal(arrays["module.fc.weight"], ARRAYS["module.fc.weight"])


def test_strided_arrays_are_stored_by_their_values(tmp_path):
    saved = state(validation=False)
    turned = {name: array.T.copy().T for name, array in saved.arrays.items()}
    save(tmp_path / "c", Checkpoint(saved.identity, 1, saved.history, turned))
    found = load(tmp_path / "c", saved.identity).arrays
    np.testing.assert_array_equal(found["module.fc.weight"], ARRAYS["module.fc.weight"])


def test_a_newer_one_takes_the_place_of_an_older_or_leaves_it_whole(tmp_path, monkeypatch):
    first = state()
    save(tmp_path / "c", first)
    second = Checkpoint(first.identity, 2, [*first.history, {**first.history[0], "epoch": 3}], first.arrays)

    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="no space left"):
            save(tmp_path / "c", second)
    assert len(load(tmp_path / "c", first.identity).history) == 2
    save(tmp_path / "c", second)
    assert len(load(tmp_path / "c", first.identity).history) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_N7_each_changed_byte_is_refused(tmp_path):
    saved, path = state(), tmp_path / "c"
    save(path, saved)
    data = path.read_bytes()
    with path.open("r+b") as file:
        for place, byte in enumerate(data):
            for changed in (byte ^ 1 << place % 8, byte):
                file.seek(place)
                file.write(bytes([changed]))
                file.flush()
                if changed != byte:
                    assert refusal(path, saved.identity), place
    load(path, saved.identity)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -1, -8])
def test_a_shorter_or_longer_file_is_refused(tmp_path, length):
    saved, path = state(), tmp_path / "c"
    save(path, saved)
    data = path.read_bytes()
    for changed in (data[:length], data + b"0" * (abs(length) + 1)):
        path.write_bytes(changed)
        refusal(path, saved.identity)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda own: own["recipe"].update(learning_rate=0.5), "learning_rate 0.01 there, 0.5 here"),
        (lambda own: own["recipe"].update(bf16=True), "bf16 False there, True here"),
        (lambda own: own["augmentation"].update(shift=0.25), "shift 0.0 there, 0.25 here"),
        (lambda own: own.update(seed=6), "seed 5 there, 6 here"),
        (lambda own: own.update(data="c" * 64), "other training images"),
        (lambda own: own.update(validation=""), "other validation images"),
        (lambda own: own["tensors"].update({"module.fc.weight": ["float32", [2, 4]]}), "other tensors"),
        (lambda own: own["tensors"].update(extra=["float32", [1]]), "other tensors"),
        (lambda own: own.update(network="e"), "other network"),
        (lambda own: own.update(start="e"), "other first weights"),
        (lambda own: own.update(seed=1, data="d"), "other training images, seed 5 there, 1 here"),
    ],
)
def test_one_of_another_training_is_refused_and_says_what_differs(tmp_path, change, line):
    saved = state()
    save(tmp_path / "c", saved)
    own = copy.deepcopy(saved.identity)
    change(own)
    assert refusal(tmp_path / "c", own) == f"is the checkpoint of another training: {line}"


def test_threads_count_only_where_they_are_given(tmp_path):
    saved = state()
    save(tmp_path / "c", saved)
    assert load(tmp_path / "c", saved.identity).threads == load(tmp_path / "c", saved.identity, threads=2).threads == 2
    line = refusal(tmp_path / "c", saved.identity, threads=1)
    assert line == "is the checkpoint of another training: threads 2 there, 1 here"


def forge(path, monkeypatch, *, change=None, arrays=None):
    """Write a checkpoint whose digests are right and one of whose fields is not; return its training's identity."""
    saved, dumps = state(), json.dumps

    def dumps_changed(value, **settings):
        value = copy.deepcopy(value)
        change(value)
        return dumps(value)

    with monkeypatch.context() as patched:
        if change:
            patched.setattr(checkpoint.json, "dumps", dumps_changed)
        save(path, Checkpoint(saved.identity, saved.threads, saved.history, arrays or saved.arrays))
    return saved.identity


FIELDS = [
    ("format",), ("identity",), ("threads",), ("history",), ("history", 0), ("unknown",), ("identity", "recipe"),
    ("identity", "augmentation"), ("identity", "seed"), ("identity", "data"), ("identity", "validation"),
    ("identity", "tensors"), ("identity", "network"), ("identity", "start"), ("identity", "unknown"),
    ("identity", "recipe", "epochs"),
    ("identity", "tensors", "module.steps"), ("history", 1, "epoch"), ("history", 1, "loss"), ("history", 1, "error"),
    ("history", 1, "seconds"), ("history", 1, "learning_rate"), ("history", 1, "images_per_second"),
    ("history", 1, "validation_loss"), ("history", 1, "validation_error"),
    ("history", 1, "unknown"),
]  # fmt: skip
VALUES = [None, True, -1, -0.5, 1e400, float("nan"), "x", [], {}, 10**400, "delete"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:9])
@pytest.mark.parametrize("keys", FIELDS, ids=lambda keys: ".".join(map(str, keys)))
def test_N7_each_field_is_checked(tmp_path, monkeypatch, keys, value):
    def change(where):
        for key in keys[:-1]:
            where = where[key]
        if value == "delete" and keys[-1] != "unknown":
            del where[keys[-1]]
        else:
            where[keys[-1]] = value

    assert refusal(tmp_path / "c", forge(tmp_path / "c", monkeypatch, change=change))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"error": 1.5}, "row 3"), ({"epoch": 2}, "row 3"), ({"epoch": 3}, "5 epochs of 4")],
)
def test_a_history_that_does_not_fit_its_epochs_is_refused(tmp_path, monkeypatch, change, words):
    def lengthen(value):
        row = value["history"][0]
        value["history"] += [{**row, "epoch": 3, **change}, *([{**row, "epoch": 4}, row] if "5" in words else [])]

    assert words in refusal(tmp_path / "c", forge(tmp_path / "c", monkeypatch, change=lengthen))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [("momentum.fc.weight", None, "damaged"), ("module.more", np.zeros(2, np.float32), "damaged"),
     ("module.fc.weight", np.zeros((3, 2), np.float32), "module.fc.weight is float32 (3, 2), not float32 (2, 3)"),
     ("module.fc.weight", np.zeros((2, 3), np.int32), "module.fc.weight is int32"),
     ("best.fc.weight", np.full((2, 3), np.nan, np.float32), "best.fc.weight holds numbers that are not finite"),
     ("momentum.fc.weight", np.full((2, 3), np.inf, np.float32), "momentum.fc.weight holds numbers that are not")],
)  # fmt: skip
def test_each_array_is_checked(tmp_path, monkeypatch, name, array, words):
    arrays = {**state().arrays, name: array}
    if array is None:
        del arrays[name]
    assert words in refusal(tmp_path / "c", forge(tmp_path / "c", monkeypatch, arrays=arrays))


def test_an_array_under_another_name_is_refused(tmp_path, monkeypatch):
    arrays = {f"{name}\n" if name == "best.steps" else name: array for name, array in state().arrays.items()}
    assert "best.steps is missing" in refusal(tmp_path / "c", forge(tmp_path / "c", monkeypatch, arrays=arrays))


@pytest.mark.parametrize(
    ("batches", "is_right"),
    [((None, 16), True), ((16, 16), True), ((8, 4), True), ((1, 1), True), ((32, 32), True), ((16, None), False),
     ((4, 8), False), ((64, 64), False), ((0, 0), False), ((8, 0), False), ((8.0, 4), False), ((True, True), False),
     (("8", 4), False)],
)  # fmt: skip
def test_N7_batches_only_become_smaller(tmp_path, monkeypatch, batches, is_right):
    def change(value):
        for row, batch in zip(value["history"], batches, strict=True):
            row.update({} if batch is None else {"batch": batch})

    identity = forge(tmp_path / "c", monkeypatch, change=change)
    if is_right:
        assert [row.get("batch") for row in load(tmp_path / "c", identity).history] == list(batches)
    else:
        assert "batches of its history" in refusal(tmp_path / "c", identity)


@pytest.mark.parametrize(("kind", "is_right"), [("square", False), ("steps", False), ("mean", True)])
def test_N7_what_adamw_keeps_is_checked(tmp_path, kind, is_right):
    saved = state(validation=False)
    arrays = {**ARRAYS, f"{kind}.fc.weight": np.array([0.5, -1e-9], np.float32)}
    saved = Checkpoint({**saved.identity, "tensors": describe(arrays)}, 1, saved.history, arrays)
    save(tmp_path / "c", saved)
    if is_right:
        load(tmp_path / "c", saved.identity)
    else:
        assert "below 0" in refusal(tmp_path / "c", saved.identity)


def test_hostile_and_foreign_files_execute_nothing(tmp_path, monkeypatch):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, ("executed",))

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c"
    deep = b"[" * 100_000
    texts = (pickle.dumps(Hostile(), 2), b"no checkpoint", b"\xff" * 8, len(deep).to_bytes(8, "little") + deep)
    for data in texts:
        path.write_bytes(data)
        assert refusal(path, state().identity) == "is no checkpoint of imgtool"
    assert not (tmp_path / "executed").exists()


def test_what_is_no_file_is_refused(tmp_path):
    assert refusal(tmp_path, state().identity) == "cannot be read: is a directory"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe", state().identity) == "cannot be read: is not a regular file"
