"""Stored predictions: whole or absent, each byte under the digest, each field checked."""

import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import DataError, OutputError
from imgtool.evaluation.store import FIRST_LINE, Predictions, Store, decode, encode

SECONDS = {"read": 1.0, "prepare": 0.5, "features": 0.25, "decide": 0.0}


def predictions(scores=None, **more):
    scores = np.array([[0.25, 0.75], [1, 0]], np.float32) if scores is None else scores
    fields = {"model": "some/model", "images": "0f" * 32, "classes": ("b", "a"), "seconds": SECONDS}
    fields |= {"train_seconds": 2.5, "weights_bytes": 9, "facts": {"settings": {"k": [1, None]}, "weights": "x"}}
    return Predictions(**{**fields, "scores": scores, **more})


def assert_same(first, second):
    assert {**vars(first), "scores": 0} == {**vars(second), "scores": 0}
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.scores.dtype == second.scores.dtype


@given(st.integers(0, 5), st.integers(1, 4), st.sampled_from([np.float32, np.float64]), st.text(min_size=1))
def test_what_was_stored_comes_back(n, classes, dtype, name):
    scores = np.random.default_rng(n).random((n, classes)).astype(dtype)
    before = predictions(scores, model=name, classes=tuple(f"{name}{i}" for i in range(classes)), train_seconds=None)
    assert_same(decode(encode(before)), before)


def test_milliseconds_leave_reading_out():
    assert predictions().milliseconds == pytest.approx(1000 * 0.75 / 2)


def test_every_changed_missing_or_added_byte_is_refused():
    data = encode(predictions())
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(DataError):
                decode(bytes(changed))
        with pytest.raises(DataError):
            decode(data[:place])
    with pytest.raises(DataError):
        decode(data + b"\0")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""), ("model", 3), ("images", "0f"), ("images", "0F" * 32), ("classes", []), ("classes", ["a", "a"]),
        ("classes", ["a", ""]), ("classes", ["a"]), ("seconds", {**SECONDS, "read": -1}), ("seconds", {"read": 1}),
        ("seconds", {**SECONDS, "read": float("nan")}), ("train_seconds", "1"), ("train_seconds", -1),
        ("train_seconds", True), ("weights_bytes", 1.5), ("weights_bytes", -1), ("facts", []), ("facts", None),
        ("scores", {"shape": [2], "dtype": "float32"}), ("scores", {"shape": [2, 2], "dtype": "int8"}),
        ("scores", {"shape": [-2, 2], "dtype": "float32"}), ("scores", {"shape": [3, 2], "dtype": "float32"}),
        ("scores", {"shape": [2, 2], "dtype": "float64"}), ("scores", None), ("extra", 1), ("model", None),
    ],
)  # fmt: skip
def test_a_file_that_somebody_else_wrote_is_refused_field_by_field(field, value):
    """With a digest that fits: no field is believed."""
    text, _, numbers = encode(predictions()).partition(b"\n")[2].partition(b"\n")
    body = json.dumps({**json.loads(text), field: value}).encode() + b"\n" + numbers
    with pytest.raises(DataError):
        decode(FIRST_LINE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def test_scores_that_are_no_numbers_are_neither_stored_nor_read():
    with pytest.raises(DataError, match="NaN"):
        encode(predictions(np.full((1, 2), np.nan)))
    with pytest.raises(DataError, match="scores"):
        encode(predictions(np.zeros((1, 3), np.float32)))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_store_holds_what_was_put_last_under_any_key(tmp_path, in_memory):
    store = Store(None if in_memory else tmp_path / "work")
    keys = ["a", "A", "a/b", "../a", "x" * 500, "\udcff", "a b", ""]
    for number, key in enumerate(keys):
        assert store.get(key) is None
        store.put(key, predictions(weights_bytes=number))
    store.put("a", predictions(weights_bytes=77))
    assert [store.get(key).weights_bytes for key in keys] == [77, *range(1, len(keys))]
    if not in_memory:
        assert len(os.listdir(tmp_path / "work")) == len(keys)
        assert os.listdir(tmp_path) == ["work"]


def test_a_file_that_is_damaged_is_named_and_one_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put("model", predictions())
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    monkeypatch.setattr(os, "replace", os.rename)
    with pytest.raises(OutputError):
        store.put("model", predictions(weights_bytes=5))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(before[:-1])
    with pytest.raises(DataError, match=path.name):
        store.get("model")
