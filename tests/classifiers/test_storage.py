"""Model folders: what is written comes back, what is not as it should be is refused, and one is replaced whole."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from imgtool.classifiers import fields, storage
from imgtool.classifiers.storage import (
    ModelData,
    check_place,
    digest_of,
    load_description,
    load_model,
    quantize_rows,
    save_model,
    weights_data,
    weights_size,
)
from imgtool.errors import DataError, OutputError


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {"fc.weight": rng.standard_normal((3, 4)).astype(np.float32), "fc.bias": np.zeros(3, np.float32)}


TRAINED = {
    "kind": "trained",
    "data": {"images": 7, "sha256": "0" * 64},
    "seed": 3,
    "recipe": {"epochs": 2, "horizontal_flip": True, "learning_rate": 0.1},
    "history": [{"epoch": 1, "loss": 0.5, "validation_error": None}, {"cost": 1, "accuracy": {"0.1": 0.5}}],
    "accuracy": {"right": 3, "n": 4, "value": 0.75, "interval": [0.3, 0.95]},
    "imgtool": "0.1.0",
    "init": {"name": "lenet", "sha256": "0" * 64},
}
PUBLISHED = {
    "kind": "published",
    "source": "https://example.org",
    "license": "BSD-3-Clause",
    "accuracy": {"top-1": 0.6},
}
MODEL = ModelData("two-layer", {"hidden": 2}, [("a", None), ("b", "n01")], TRAINED, arrays(), 0.6, {"side": 2})
CRANES = [("crane", "n02012849"), ("crane", "n03126707"), ("heron", None)]


def save_changed(folder, seal=True, **fields):
    """Change fields of model.json, as one would who means harm: the digest made to fit. None takes one away."""
    path = folder / "model.json"
    description = {key: value for key, value in {**json.loads(path.read_text()), **fields}.items() if value is not None}
    if seal:
        description["digest"] = storage.hashlib.sha256(
            json.dumps({k: v for k, v in description.items() if k != "digest"}, sort_keys=True).encode()
        ).hexdigest()
    path.write_text(json.dumps(description))


def save_weights(folder, data):
    """Put other weights into a folder, with hash and digest made to fit."""
    name = json.loads((folder / "model.json").read_text())["weights"]["file"]
    (folder / name).write_bytes(data)
    save_changed(folder, weights={"file": name, "sha256": storage.hashlib.sha256(data).hexdigest()})


@pytest.mark.parametrize(
    "model",
    [MODEL, replace(MODEL, provenance=PUBLISHED), replace(MODEL, classes=CRANES), replace(MODEL, preprocessing=None)],
    ids=["trained", "published", "repeated names", "classic"],
)
def test_what_is_saved_is_loaded(model, tmp_path):
    stored = save_model(tmp_path / "above" / "model", model)
    loaded = load_model(tmp_path / "above" / "model")
    for field in ("name", "parameters", "classes", "provenance", "threshold", "preprocessing"):
        assert getattr(loaded, field) == getattr(model, field)
    assert (loaded.weights_hash, loaded.weights_bytes) == (stored.weights_hash, stored.weights_bytes)
    for name, array in arrays().items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    names = sorted(path.name for path in (tmp_path / "above" / "model").iterdir())
    assert names == ["model.json", f"weights-{stored.weights_hash[:16]}.safetensors"]


def test_many_classes_of_which_two_are_of_one_name_are_checked_in_a_moment():
    classes = [{"name": "crane", "id": "n01"}, *({"name": str(index)} for index in range(100_000))]
    assert fields._is_classes([*classes, {"name": "crane", "id": "n02"}])
    assert not fields._is_classes([*classes, {"name": "crane"}])


DATA = TRAINED["data"]
WRONG = [
    ("format", [None, 0, 1, "2", True, 2.5]),
    ("architecture", [None, "lenet", {}, {"name": ""}, {"name": "lenet"}, {"name": 3, "parameters": {}},
                      {"name": "a", "parameters": []}, {"name": "a", "parameters": {}, "code": "x"}]),
    ("classes", [None, [], "ab", ["a"], [{"name": ""}], [{"name": "a"}, {"name": "a"}], [{"name": 1}], [{"id": "n01"}],
                 [{"name": "\ud800"}], [{"name": "a", "id": "\udd00"}],
                 [{"name": "a", "id": "n01"}, {"name": "a"}], [{"name": "a", "more": "b"}],
                 [{"name": "a", "id": "n01"}, {"name": "a", "id": "n01"}]]),
    ("threshold", [None, -0.1, 1.1, "0.5", True]),
    ("preprocessing", [[], "x", 3]),
    ("weights", [None, "weights.safetensors", {}, {"file": "x"}, {"file": "x", "sha256": "0"},
                 {"file": "../weights-0000000000000000.safetensors", "sha256": "0" * 64},
                 {"file": "/etc/passwd", "sha256": "0" * 64}, {"file": "x", "sha256": "0" * 64, "url": "y"}]),
    ("provenance", [None, [], {}, {"kind": "found"}, {"kind": []}, {"kind": {}}, {**TRAINED, "code": "x"},
                    {**TRAINED, "data": None},
                    {**TRAINED, "data": {"images": 0, "sha256": "0" * 64}},
                    {**TRAINED, "data": {**DATA, "sha256": "0" * 63}}, {**TRAINED, "data": {**DATA, "images": True}},
                    *({**TRAINED, "seed": seed} for seed in (None, -1, 1.5, "0", True, 2**63)),
                    *({**TRAINED, "history": history} for history in (
                        None, {}, "x", [1], [[]], [{"loss": "x"}], [{"loss": [1]}], [{"a": {"b": {}}}],
                        [{"loss": 10**400}], [{"loss": True}])),
                    *({**TRAINED, "accuracy": {**TRAINED["accuracy"], **accuracy}} for accuracy in (
                        {"n": 0}, {"right": -1}, {"value": 0.9}, {"interval": [0.8, 0.9]}, {"interval": [0.3]},
                        {"interval": [0.3, 1.2]}, {"interval": ["0.3", 0.95]})),
                    {**TRAINED, "recipe": "fast"}, {**TRAINED, "recipe": {"a": [[[[[[[1]]]]]]]}},
                    {**PUBLISHED, "license": ""}, {**PUBLISHED, "source": None}, {**PUBLISHED, "history": []}]),
    ("digest", [None, "", 3, "0" * 64, "G" * 64]),
    ("code", ["import os"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG for value in values])
def test_a_wrong_field_is_refused_in_one_line(field, value, tmp_path):
    save_model(tmp_path / "model", MODEL)
    save_changed(tmp_path / "model", seal=field != "digest", **{field: value})
    with pytest.raises(DataError) as caught:
        load_model(tmp_path / "model")
    assert str(caught.value).startswith(f"{tmp_path / 'model'}: ")
    assert "\n" not in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"classes": []}, {"classes": [("a", None), ("a", None)]}, {"threshold": 2.0}, {"provenance": {}},
     {"provenance": {**TRAINED, "history": [{"loss": float("nan")}]}}, {"parameters": {"side": object()}}],
)  # fmt: skip
def test_what_could_not_be_loaded_is_not_saved(change, tmp_path):
    with pytest.raises(DataError):
        save_model(tmp_path / "model", replace(MODEL, **change))
    assert not list(tmp_path.iterdir())


@settings(max_examples=150)
@given(st.data())
def test_a_changed_byte_of_the_description_is_refused_or_changes_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed") / "model"
    save_model(folder, MODEL)
    whole, before = (folder / "model.json").read_bytes(), load_model(folder)
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    (folder / "model.json").write_bytes(whole[:place] + byte + whole[place + 1 :])
    try:
        after = load_model(folder)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert replace(after, arrays={}) == replace(before, arrays={})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_neither_saved_nor_loaded(value, tmp_path):
    broken = {**arrays(), "fc.bias": np.array([0, value, 0], np.float32)}
    with pytest.raises(DataError, match=r"fc\.bias holds NaN"):
        save_model(tmp_path / "model", replace(MODEL, arrays=broken))
    save_model(tmp_path / "model", MODEL)
    save_weights(tmp_path / "model", save(broken))
    with pytest.raises(DataError, match=r"fc\.bias holds NaN"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "\xff", "[" * 100_000, '{"format": 2}'])
def test_a_description_that_is_none_is_refused(text, tmp_path):
    save_model(tmp_path / "model", MODEL)
    (tmp_path / "model" / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"model\.json"):
        load_description(tmp_path / "model")


def test_a_description_of_no_sensible_size_is_refused_unread(tmp_path):
    save_model(tmp_path / "model", MODEL)
    with open(tmp_path / "model" / "model.json", "r+b") as file:
        file.truncate(storage.MAX_DESCRIPTION_BYTES + 1)  # a sparse file
    with pytest.raises(DataError, match="is larger than"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("which", ["model.json", "weights"])
def test_missing_files_and_what_is_no_file_are_refused(which, tmp_path):
    save_model(tmp_path / "model", MODEL)
    path = next((tmp_path / "model").glob(f"{which}*"))
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        load_model(tmp_path / "model")
    path.mkdir()
    with pytest.raises(DataError, match="missing"):
        load_model(tmp_path / "model")
    with pytest.raises(DataError, match="missing"):
        load_model(tmp_path / "nowhere")


@settings(max_examples=100)
@given(st.data())
def test_damaged_weights_are_refused_even_with_the_hash_made_to_fit(tmp_path_factory, data):
    """A changed byte of the values is another number, which nobody can tell; all others must be noticed."""
    folder = tmp_path_factory.mktemp("damaged") / "model"
    save_model(folder, MODEL)
    weights = next(folder.glob("weights*"))
    whole = weights.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    cut = data.draw(st.integers(0, len(whole) - 1))
    place, byte = data.draw(st.integers(0, header - 1)), data.draw(st.binary(min_size=1, max_size=1))
    for damaged in (whole[:cut], whole[:place] + byte + whole[place + 1 :]):
        weights.write_bytes(damaged)
        if damaged != whole:
            with pytest.raises(DataError, match="hash"):
                load_model(folder)
        save_weights(folder, damaged)
        try:
            tensors = load_model(folder).arrays
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert len(damaged) == len(whole)
            assert sum(array.nbytes for array in tensors.values()) <= len(whole) - header


def test_large_weights_are_mapped_and_hashed_only_when_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_HASHED_BYTES", 10)
    save_model(tmp_path / "model", MODEL, quantize=["fc.weight"])
    mapped = load_model(tmp_path / "model")
    np.testing.assert_array_equal(mapped.arrays["fc.bias"], arrays()["fc.bias"])
    assert isinstance(mapped.arrays["fc.bias"].base, np.ndarray | memoryview)
    assert not mapped.arrays["fc.bias"].flags.writeable
    weights = next((tmp_path / "model").glob("weights*"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    load_model(tmp_path / "model")
    with pytest.raises(DataError, match="hash"):
        load_model(tmp_path / "model", verify=True)
    weights.write_bytes(data[:-5])
    with pytest.raises(DataError, match="broken"):
        load_model(tmp_path / "model")


@settings(max_examples=50)
@given(
    st.integers(1, 5), st.lists(st.integers(1, 4), min_size=0, max_size=3), st.floats(1e-20, 1e20), st.integers(0, 99)
)
def test_8_bit_values_are_within_half_a_step_of_each_row(rows, others, size, seed):
    array = (np.random.default_rng(seed).standard_normal((rows, *others)) * size).astype(np.float32)
    stored = quantize_rows("w", array)
    assert stored["w"].dtype == np.int8
    assert stored["w.scale"].shape == (rows,)
    scale = stored["w.scale"].reshape(-1, *[1] * len(others))
    largest = np.abs(array).reshape(rows, -1).max(axis=1)
    np.testing.assert_allclose(stored["w.scale"] * 127, largest, rtol=1e-5)
    assert (np.abs(stored["w"] * scale - array) <= 0.5001 * scale).all()


def test_8_bit_arrays_come_back_as_float32_and_a_row_of_zeros_as_zeros(tmp_path):
    weight = arrays()["fc.weight"]
    weight[1] = 0
    save_model(tmp_path / "model", replace(MODEL, arrays={"fc.weight": weight}), quantize=["fc.weight"])
    assert load(next((tmp_path / "model").glob("weights*")).read_bytes())["fc.weight"].dtype == np.int8
    found = load_model(tmp_path / "model").arrays
    assert found.keys() == {"fc.weight"}
    assert found["fc.weight"].dtype == np.float32
    np.testing.assert_allclose(found["fc.weight"], weight, atol=np.abs(weight).max() / 250)
    assert (found["fc.weight"][1] == 0).all()


@pytest.mark.parametrize(
    "scale",
    [
        None,
        np.ones(2, np.float32),
        np.ones((3, 1), np.float32),
        np.ones(3),
        *(np.full(3, each, np.float32) for each in (np.nan, np.inf, 3e36)),
    ],
)
def test_scales_that_do_not_fit_are_refused(scale, tmp_path):
    save_model(tmp_path / "model", MODEL)
    tensors = {"w": np.ones((3, 4), np.int8)} | ({} if scale is None else {"w.scale": scale})
    save_weights(tmp_path / "model", save(tensors))
    with pytest.raises(DataError, match="w"):
        load_model(tmp_path / "model")


def test_a_single_number_has_no_scales(tmp_path):
    save_model(tmp_path / "model", MODEL)
    save_weights(tmp_path / "model", save({"w": np.array(3, np.int8), "w.scale": np.array(1, np.float32)}))
    with pytest.raises(DataError, match="the scales of w are missing or do not fit"):
        load_model(tmp_path / "model")


def test_large_numbers_that_are_no_scales_are_weights(tmp_path):
    weights = {"w.scale": np.array([3e38, -3e38], np.float32), "v.scale": np.array([1000], np.float16)}
    save_model(tmp_path / "model", MODEL)
    save_weights(tmp_path / "model", save(weights))
    np.testing.assert_array_equal(
        load_model(tmp_path / "model").arrays.get("w.scale", weights["w.scale"]), weights["w.scale"]
    )


@settings(max_examples=40)
@given(st.dictionaries(st.text("abcé.", min_size=1, max_size=8), st.lists(st.integers(0, 4), max_size=3), max_size=5))
def test_the_size_of_weights_is_known_without_writing_them(shapes):
    kinds = [np.float32, np.int8, np.float64]
    named = {name: np.zeros(shape, kinds[len(name) % 3]) for name, shape in shapes.items()}
    assert weights_size(named) == len(weights_data(named))


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    import pickle

    save_model(tmp_path / "model", MODEL)
    save_weights(tmp_path / "model", pickle.dumps(Trap()))
    with pytest.raises(DataError, match="broken"):
        load_model(tmp_path / "model")
    assert not (tmp_path / "trapped").exists()


def test_a_model_is_replaced_only_when_asked_and_then_whole(tmp_path):
    folder = tmp_path / "model"
    before = save_model(folder, MODEL)
    (folder / "CARD.md").write_text(f"of {before.weights_hash}")
    with pytest.raises(OutputError, match="exists"):
        save_model(folder, replace(MODEL, arrays=arrays(1)))
    np.testing.assert_array_equal(load_model(folder).arrays["fc.weight"], arrays()["fc.weight"])
    save_model(folder, replace(MODEL, threshold=0.7), overwrite=True)
    assert storage.card_of(folder, before.weights_hash) is not None  # it still speaks of these weights
    after = save_model(folder, replace(MODEL, arrays=arrays(1)), overwrite=True)
    np.testing.assert_array_equal(load_model(folder).arrays["fc.weight"], arrays(1)["fc.weight"])
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model.json", f"weights-{after.weights_hash[:16]}.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "files",
    [
        ["model.json"],
        ["model.json", "a.png"],
        ["CARD.md"],
        ["metrics.jsonl"],
        ["a/a.png", "model.json"],
        ["a.txt"],
        ["weights-0123456789abcdef.safetensors/a.png"],
        [".imgtool-0123456789abcdef.tmp/a.png"],
        ["CARD.md/a.png"],
    ],
)
def test_a_folder_that_holds_anything_else_is_never_replaced(files, tmp_path):
    for name in files:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="does not replace"):
        save_model(tmp_path / "data", MODEL, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_model_beside_another_file_is_not_replaced_either(tmp_path):
    save_model(tmp_path / "model", MODEL)
    (tmp_path / "model" / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"such as notes\.txt"):
        save_model(tmp_path / "model", MODEL, overwrite=True)


def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        check_place(tmp_path / "file" / "model")
    with pytest.raises(OutputError, match="is no folder"):
        check_place(tmp_path / "file", overwrite=True)
    check_place(tmp_path / "new" / "model")
    assert not (tmp_path / "new" / "model").exists()
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty")
    save_model(tmp_path / "empty", MODEL)


def test_a_write_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    save_model(folder, MODEL)
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="no space left"):
        save_model(folder, replace(MODEL, arrays=arrays(1)), overwrite=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(load_model(folder).arrays["fc.weight"], arrays()["fc.weight"])
    assert len(list(folder.iterdir())) == 2


def test_N4_metrics_that_cannot_be_written_are_named_and_the_model_stands(tmp_path, monkeypatch):
    calls, real = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"metrics\.jsonl: cannot be written: no space left"):
        save_model(tmp_path / "model", MODEL, metrics=[{"epoch": 1, "loss": 0.5}])
    assert load_model(tmp_path / "model").provenance == TRAINED
    save_model(tmp_path / "model", MODEL, overwrite=True, metrics=[{"epoch": 1, "loss": 0.5}, {"epoch": 2}])
    assert (tmp_path / "model" / "metrics.jsonl").read_text() == '{"epoch": 1, "loss": 0.5}\n{"epoch": 2}\n'
    save_model(tmp_path / "model", replace(MODEL, threshold=0.75), overwrite=True)
    assert (tmp_path / "model" / "metrics.jsonl").exists()  # they tell of the same weights


@pytest.mark.parametrize("failing", [1, 2])
def test_a_first_write_that_fails_leaves_nothing(tmp_path, failing, monkeypatch):
    calls, real = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        save_model(tmp_path / "new" / "model", MODEL)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_that_was_there_is_not_made_anew(tmp_path):
    (tmp_path / "model").mkdir(mode=0o700)
    before = (tmp_path / "model").stat()
    check_place(tmp_path / "model")
    assert (tmp_path / "model").stat().st_ino == before.st_ino


@pytest.mark.skipif(os.name == "nt", reason="there are no modes here")
def test_F20_a_replaced_model_keeps_its_mode_and_a_link_to_its_folder_stays(tmp_path):
    save_model(tmp_path / "model", MODEL)
    for path in (tmp_path / "model").iterdir():
        path.chmod(0o600)
    (tmp_path / "link").symlink_to("model")
    save_model(tmp_path / "link", replace(MODEL, arrays=arrays(1)), overwrite=True)
    assert (tmp_path / "link").is_symlink()
    found = list((tmp_path / "model").iterdir())
    assert len(found) == 2
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}


# A child that ends itself before the n-th event that touches the file system, for every n until it comes through.
KILLS = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_storage import MODEL, arrays
from imgtool.classifiers.storage import load_model, save_model
folder, old = Path(sys.argv[1]) / "model", sys.argv[3] == "old"
events, watched = 0, {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.scandir", "os.listdir"}

def hook(name, _):
    global events
    if name in watched:
        events += 1
        if events == last:
            os.kill(os.getpid(), signal.SIGKILL)

new, n, seen = replace(MODEL, arrays=arrays(1)), 0, set()
while True:
    n += 1
    if old:
        save_model(folder, MODEL, overwrite=True, metrics=[{"seed": 0}])
    child = os.fork()
    if child == 0:
        last = n
        sys.addaudithook(hook)
        save_model(folder, new, overwrite=True, metrics=[{"seed": 1}])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if (folder / "model.json").exists():
        stored = load_model(folder, verify=True).arrays["fc.weight"]
        is_old, is_new = ((stored == arrays(seed)["fc.weight"]).all() for seed in (0, 1))
        seen.add("new" if is_new else "old" if is_old else "neither")
        metrics = folder / "metrics.jsonl"
        assert not metrics.exists() or metrics.read_text() == f'{{"seed": {int(is_new)}}}\\n', metrics.read_text()
    else:
        seen.add("none")
    if status == 0:
        break
    import imgtool.batch.temporaries as temporaries
    temporaries._swept.clear()
    save_model(folder, replace(MODEL, arrays=arrays(n)), overwrite=True)
    assert len(list(folder.iterdir())) == 2, sorted(folder.iterdir())  # metrics of other weights are gone
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
print(n, sorted(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("before", "expected"), [("old", "['new', 'old']"), ("none", "['new', 'none']")])
def test_N8_killed_at_any_moment_the_old_or_the_new_model_stands_and_leftovers_are_swept(before, expected, tmp_path):
    script = [sys.executable, "-c", KILLS, str(tmp_path), os.path.dirname(__file__), before]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, seen = done.stdout.strip().split(" ", 1)
    assert int(count) > 8
    assert seen == expected


def test_class_names_are_any_text_that_a_folder_may_have(tmp_path):
    classes = [(name, None) for name in ("a\nb", "\u202egnp", "caf\udce9", "<b>", "日本")]
    save_model(tmp_path / "model", replace(MODEL, classes=classes))
    assert load_model(tmp_path / "model").classes == classes


def test_the_digest_is_over_all_other_fields_in_sorted_order():
    description = {"b": 1, "a": [0.1, "ü"], "digest": "x"}
    text = b'{"a": [0.1, "\\u00fc"], "b": 1}'
    assert digest_of(description) == storage.hashlib.sha256(text).hexdigest()
