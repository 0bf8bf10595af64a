"""Model folders: what is written comes back, and what is not as it should be is refused."""

import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from imgtool.classifiers.storage import load_description, load_folder, prepare_place, quantised, save_folder
from imgtool.errors import DataError, OutputError

DESCRIPTION = {
    "name": "two-layer",
    "classes": ["a", "b"],
    "settings": {"side": 2},
    "data": {"images": 7, "sha256": "0" * 64},
    "seed": 3,
    "history": [{"epoch": 1.0, "loss": 0.5}, {"cost": 1, "accuracy": {"0.1": 0.5}}],
}
MEASURED = {**DESCRIPTION, "accuracy": {"right": 3, "n": 4, "value": 0.75, "interval": [0.3, 0.95]}}


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {"fc.weight": rng.standard_normal((3, 4)).astype(np.float32), "fc.bias": np.zeros(3, np.float32)}


def rewritten(folder, **fields):
    """Change fields of model.json; None takes one away."""
    path = folder / "model.json"
    text = {key: value for key, value in {**json.loads(path.read_text()), **fields}.items() if value is not None}
    path.write_text(json.dumps(text))


def with_weights(folder, data):
    """Put other weights into a folder, and their hash into model.json, as one would who means harm."""
    (folder / "weights.safetensors").write_bytes(data)
    rewritten(folder, sha256=hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("description", [DESCRIPTION, MEASURED], ids=["trained", "measured"])
def test_what_is_saved_is_loaded(description, tmp_path):
    save_folder(tmp_path / "above" / "model", description, arrays())
    found, tensors = load_folder(tmp_path / "above" / "model")
    assert {key: found[key] for key in description} == description
    assert tensors.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(tensors[name], array)
    assert [path.name for path in (tmp_path / "above").iterdir()] == ["model"]


WRONG = [
    ("format", [None, 0, 2, "1", True, 1.5]),
    ("name", [None, "", 3, ["a"]]),
    ("classes", [None, [], "ab", ["a", "a"], ["a", ""], ["a", 1], {"a": 1}]),
    ("settings", [None, [], "side", 3]),
    ("data", [None, [], {}, {"images": 7}, {"images": 0, "sha256": "0" * 64}, {"images": True, "sha256": "0" * 64},
              {"images": 7.5, "sha256": "0" * 64}, {"images": 7, "sha256": "0" * 63}, {"images": 7, "sha256": 0}]),
    ("seed", [None, -1, 1.5, "0", True, 2**63]),
    ("history", [None, {}, "x", [1], [[]], [{"loss": "x"}], [{"loss": None}], [{"loss": [1]}], [{"a": {"b": {}}}],
                 [{"loss": float("nan")}], [{"loss": float("inf")}], [{"loss": 10**400}], [{"loss": True}]]),
    ("accuracy", [[], 0.75, {}, {**MEASURED["accuracy"], "n": 0}, {**MEASURED["accuracy"], "right": -1},
                  {**MEASURED["accuracy"], "value": 0.9}, {**MEASURED["accuracy"], "interval": [0.8, 0.9]},
                  {**MEASURED["accuracy"], "interval": [0.3]}, {**MEASURED["accuracy"], "interval": [0.3, 1.2]},
                  {**MEASURED["accuracy"], "interval": ["0.3", 0.95]}]),
    ("sha256", [None, "", 3, "0" * 64, "G" * 64]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG for value in values])
def test_a_wrong_field_is_refused_in_one_line(field, value, tmp_path):
    save_folder(tmp_path / "model", MEASURED, arrays())
    rewritten(tmp_path / "model", **{field: value})
    with pytest.raises(DataError) as caught:
        load_folder(tmp_path / "model")
    assert str(caught.value).startswith(f"{tmp_path / 'model'}: ")
    assert "\n" not in str(caught.value)
    assert field in str(caught.value) or field == "sha256"


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, vs in WRONG if f not in ("format", "sha256") for v in vs])
def test_what_could_not_be_loaded_is_not_saved(field, value, tmp_path):
    description = {key: kept for key, kept in {**MEASURED, field: value}.items() if kept is not None}
    with pytest.raises(DataError, match=field):
        save_folder(tmp_path / "model", description, arrays())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_neither_saved_nor_loaded(value, tmp_path):
    broken = {**arrays(), "fc.bias": np.array([0, value, 0], np.float32)}
    with pytest.raises(DataError, match=r"fc\.bias holds NaN"):
        save_folder(tmp_path / "model", DESCRIPTION, broken)
    save_folder(tmp_path / "model", DESCRIPTION, arrays())
    with_weights(tmp_path / "model", save(broken))
    with pytest.raises(DataError, match=r"fc\.bias holds NaN"):
        load_folder(tmp_path / "model")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "\xff", "[" * 100_000, '{"format": 1}'])
def test_a_description_that_is_none_is_refused(text, tmp_path):
    save_folder(tmp_path / "model", DESCRIPTION, arrays())
    (tmp_path / "model" / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"model\.json"):
        load_description(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_missing_files_and_what_is_no_file_are_refused(name, tmp_path):
    save_folder(tmp_path / "model", DESCRIPTION, arrays())
    (tmp_path / "model" / name).unlink()
    with pytest.raises(DataError, match="missing"):
        load_folder(tmp_path / "model")
    (tmp_path / "model" / name).mkdir()
    with pytest.raises(DataError, match="missing"):
        load_folder(tmp_path / "model")
    with pytest.raises(DataError, match="missing"):
        load_folder(tmp_path / "nowhere")


@settings(max_examples=100)
@given(st.data())
def test_damaged_weights_are_refused_even_with_the_hash_made_to_fit(tmp_path_factory, data):
    """A changed byte of the values is another number, which nobody can tell; all others must be noticed."""
    folder = tmp_path_factory.mktemp("damaged") / "model"
    save_folder(folder, DESCRIPTION, arrays())
    whole = (folder / "weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    cut = data.draw(st.integers(0, len(whole) - 1))
    place, byte = data.draw(st.integers(0, header - 1)), data.draw(st.binary(min_size=1, max_size=1))
    for damaged in (whole[:cut], whole[:place] + byte + whole[place + 1 :]):
        (folder / "weights.safetensors").write_bytes(damaged)
        if damaged != whole:
            with pytest.raises(DataError, match="hash"):
                load_folder(folder)
        with_weights(folder, damaged)
        try:
            tensors = load_folder(folder)[1]
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert len(damaged) == len(whole)
            assert sum(array.nbytes for array in tensors.values()) <= len(whole) - header


@settings(max_examples=50)
@given(
    st.integers(1, 5), st.lists(st.integers(1, 4), min_size=0, max_size=3), st.floats(1e-20, 1e20), st.integers(0, 99)
)
def test_8_bit_values_are_within_half_a_step_of_each_row(rows, others, size, seed):
    array = (np.random.default_rng(seed).standard_normal((rows, *others)) * size).astype(np.float32)
    stored = quantised("w", array)
    assert stored["w"].dtype == np.int8
    assert stored["w.scale"].shape == (rows,)
    scale = stored["w.scale"].reshape(-1, *[1] * len(others))
    largest = np.abs(array).reshape(rows, -1).max(axis=1)
    np.testing.assert_allclose(stored["w.scale"] * 127, largest, rtol=1e-5)
    assert (np.abs(stored["w"] * scale - array) <= 0.5001 * scale).all()


def test_8_bit_arrays_come_back_as_float32_and_a_row_of_zeros_as_zeros(tmp_path):
    weight = arrays()["fc.weight"]
    weight[1] = 0
    save_folder(tmp_path / "model", DESCRIPTION, {"fc.weight": weight}, quantise=["fc.weight"])
    assert load((tmp_path / "model" / "weights.safetensors").read_bytes())["fc.weight"].dtype == np.int8
    found = load_folder(tmp_path / "model")[1]
    assert found.keys() == {"fc.weight"}
    assert found["fc.weight"].dtype == np.float32
    np.testing.assert_allclose(found["fc.weight"], weight, atol=np.abs(weight).max() / 250)
    assert (found["fc.weight"][1] == 0).all()


@pytest.mark.parametrize(
    "scale", [None, np.ones(2, np.float32), np.ones((3, 1), np.float32), np.ones(3), np.full(3, np.nan, np.float32)]
)
def test_scales_that_do_not_fit_are_refused(scale, tmp_path):
    save_folder(tmp_path / "model", DESCRIPTION, arrays())
    tensors = {"w": np.ones((3, 4), np.int8)} | ({} if scale is None else {"w.scale": scale})
    with_weights(tmp_path / "model", save(tensors))
    with pytest.raises(DataError, match="w"):
        load_folder(tmp_path / "model")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    import pickle

    save_folder(tmp_path / "model", DESCRIPTION, arrays())
    with_weights(tmp_path / "model", pickle.dumps(Trap()))
    with pytest.raises(DataError, match="broken"):
        load_folder(tmp_path / "model")
    assert not (tmp_path / "trapped").exists()


def test_a_model_is_overwritten_only_when_told_and_then_whole(tmp_path):
    folder = tmp_path / "model"
    save_folder(folder, DESCRIPTION, arrays())
    (folder / "CARD.md").write_text("of the old one")
    with pytest.raises(OutputError, match="--force"):
        save_folder(folder, DESCRIPTION, arrays(1))
    np.testing.assert_array_equal(load_folder(folder)[1]["fc.weight"], arrays()["fc.weight"])
    save_folder(folder, DESCRIPTION, arrays(1), overwrite=True)
    np.testing.assert_array_equal(load_folder(folder)[1]["fc.weight"], arrays(1)["fc.weight"])
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_write_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    save_folder(folder, DESCRIPTION, arrays())
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match="no space left"):
        save_folder(folder, DESCRIPTION, arrays(1), overwrite=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(load_folder(folder)[1]["fc.weight"], arrays()["fc.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        prepare_place(tmp_path / "file" / "model")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("precious")
    with pytest.raises(OutputError, match="other things"):
        prepare_place(tmp_path / "photos", overwrite=True)
    prepare_place(tmp_path / "new" / "model")
    assert not list((tmp_path / "new").iterdir())


def test_class_names_are_any_text_that_a_folder_may_have(tmp_path):
    classes = ["a\nb", "\u202egnp", "caf\udce9", "<b>", "日本"]
    save_folder(tmp_path / "model", {**DESCRIPTION, "classes": classes}, arrays())
    assert load_description(tmp_path / "model")["classes"] == classes
