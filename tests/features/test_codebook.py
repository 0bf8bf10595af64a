"""Codebooks: fitted as scikit-learn would, stored as data only, refused when anything in them is wrong."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from imgtool.errors import DataError, MissingExtraError, OutputError, ParameterError
from imgtool.features import codebook
from imgtool.features.codebook import (
    TENSORS,
    Codebook,
    Dictionary,
    fit_codebook,
    fit_mixture,
    load_codebook,
    save_codebook,
)


def example(places=0):
    generator = np.random.default_rng(0)
    shapes = {"pca_mean": (12,), "pca_basis": (5, 12), "means": (3, 5 + places), "covariances": (3, 5 + places)}
    parts = {name: generator.random(shape).astype(np.float32) + 0.1 for name, shape in shapes.items()}
    return Codebook(**parts, priors=np.array([0.5, 0.25, 0.25], np.float32), meta={"seed": 3})


def parts_of(book):
    return {name: getattr(book, name) for name in TENSORS}


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "book.safetensors"
    save_codebook(path, example())
    found = load_codebook(path)
    assert found.meta == {"seed": 3}
    assert (found.components, found.dimensions, found.has_places) == (3, 5, False)
    for name, part in parts_of(example()).items():
        np.testing.assert_array_equal(getattr(found, name), part)
    with pytest.raises(OutputError, match="exists"):
        save_codebook(path, found)


def test_a_dictionary_that_is_saved_is_loaded(tmp_path):
    atoms = np.eye(3, 5, dtype=np.float32)
    save_codebook(tmp_path / "atoms.safetensors", Dictionary(atoms, {"seed": 3}))
    found = load_codebook(tmp_path / "atoms.safetensors")
    assert isinstance(found, Dictionary)
    assert found.meta == {"seed": 3}
    np.testing.assert_array_equal(found.atoms, atoms)


@pytest.mark.parametrize(
    "atoms",
    [np.ones((2, 3)), np.eye(3, dtype=int), np.full((2, 3), np.nan), np.zeros((0, 3)), np.ones(1), np.zeros((2, 3))],
)
def test_what_cannot_be_atoms_is_refused(atoms):
    with pytest.raises(DataError, match="atoms"):
        Dictionary(atoms)


def test_project_centers_turns_and_appends_places():
    descriptors = np.random.default_rng(1).random((7, 12)).astype(np.float32)
    book, where = example(places=2), np.ones((7, 2), np.float32)
    expected = [book.pca_basis @ (row - book.pca_mean) for row in descriptors]
    found = book.project(descriptors, where)
    np.testing.assert_allclose(found[:, :5], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:, 5:], where)
    with pytest.raises(ParameterError, match="places"):
        book.project(descriptors)
    with pytest.raises(ParameterError, match="12 numbers"):
        book.project(descriptors[:, :4])


@pytest.mark.parametrize("tensor", TENSORS)
@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[..., :-1],
        lambda a: a[None],
        lambda a: a * np.float32(np.nan),
        lambda a: a.astype(np.int32),
        lambda a: a[:0],
    ],
)
def test_D3_wrong_parts_are_refused(tensor, change):
    with pytest.raises(DataError, match="codebook"):
        Codebook(**{**parts_of(example()), tensor: change(getattr(example(), tensor))})


@pytest.mark.parametrize(
    ("tensor", "value"), [("covariances", 0), ("covariances", -1), ("priors", 0.9), ("priors", -1 / 3)]
)
def test_D3_impossible_numbers_are_refused(tensor, value):
    part = np.full_like(getattr(example(), tensor), value)
    with pytest.raises(DataError, match="positive"):
        Codebook(**{**parts_of(example()), tensor: part})


class Bomb:
    def __reduce__(self):
        return (open, ("executed", "w"))


def written(tensors=None, **metadata):
    """Return a file whose digest fits, so that it is refused for what else is wrong with it."""
    tensors = parts_of(example()) if tensors is None else tensors
    if "imgtool" in metadata:
        metadata = {"sha256": codebook._digest(metadata["imgtool"], tensors), **metadata}
    return safetensors.numpy.save(tensors, metadata=metadata or None)


GOOD = {"kind": "codebook", "format": 2}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        pickle.dumps(Bomb()),
        written(imgtool=json.dumps(GOOD))[:-1],
        written(),
        written(imgtool="no JSON"),
        written(imgtool="[" * 100_000),
        written(imgtool=json.dumps({"format": 2})),
        written(imgtool=json.dumps({**GOOD, "format": 1})),
        written(imgtool=json.dumps({**GOOD, "format": 3})),
        written(imgtool=json.dumps(GOOD), sha256=""),
        written(imgtool=json.dumps(GOOD), sha256="0" * 64),
        written({"means": np.ones((2, 2))}, imgtool=json.dumps(GOOD)),
        written({**parts_of(example()), "more": np.ones(1)}, imgtool=json.dumps(GOOD)),
        written({**parts_of(example()), "priors": np.ones(3)}, imgtool=json.dumps(GOOD)),
        written(imgtool=json.dumps({**GOOD, "kind": "dictionary"})),
        written(imgtool=json.dumps({**GOOD, "kind": ["codebook"]})),
        written({"atoms": np.ones((2, 3))}, imgtool=json.dumps({**GOOD, "kind": "dictionary"})),
        written({"atoms": np.eye(3)}, imgtool=json.dumps(GOOD)),
    ],
)
def test_D3_files_that_are_no_codebooks_are_refused_in_one_line(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "book.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"book\.safetensors: ") as caught:
        load_codebook(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", ["codebook", "dictionary"])
def test_D6_a_changed_bit_is_refused_or_changes_nothing(tmp_path, kind):
    """Every byte of the file, one bit of it."""
    path = tmp_path / "book.safetensors"
    book = example() if kind == "codebook" else Dictionary(np.eye(3, dtype=np.float32), {"step": 4})
    save_codebook(path, book)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), []
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place] + bytes([byte ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        try:
            found = load_codebook(path)
            assert found.meta == book.meta
            for name in codebook.KINDS[kind]:
                np.testing.assert_array_equal(getattr(found, name), getattr(book, name))
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > len(whole) // 2
    assert [each for each in refused if not each.startswith(f"{path}: ") or "\n" in each] == []


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such codebook"):
        load_codebook(tmp_path / "none")
    with pytest.raises(DataError, match="is a directory"):
        load_codebook(tmp_path)


def test_fit_finds_the_clusters_that_are_there():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    generator = np.random.default_rng(0)
    centers = np.zeros((3, 10))
    centers[0, 0], centers[1, 4], centers[2, 7] = 9, 9, 9
    data = np.concatenate([center + generator.normal(size=(400, 10)) for center in centers]).astype(np.float32)
    book = fit_codebook(data, components=3, dimensions=2, seed=1)
    found = book.means @ book.pca_basis + book.pca_mean
    order = [int(np.linalg.norm(found - center, axis=1).argmin()) for center in centers]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], centers, atol=0.2)
    np.testing.assert_allclose(book.priors, 1 / 3, atol=0.01)


def test_projection_equals_scikit_learns():
    decomposition = pytest.importorskip("sklearn.decomposition", reason="needs the extra 'classic'")
    generator = np.random.default_rng(0)
    data = generator.normal(size=(500, 8)) * np.arange(1, 9)
    expected = decomposition.PCA(4).fit(data)
    book = fit_codebook(data.astype(np.float32), components=2, dimensions=4)
    np.testing.assert_allclose(book.pca_mean, expected.mean_, atol=1e-5)
    overlap = np.abs(expected.components_ @ book.pca_basis.T)
    np.testing.assert_allclose(overlap, np.eye(4), atol=1e-4)


def test_fit_is_repeatable_and_lowers_what_the_data_do_not_hold():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    data = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    first, second = (fit_codebook(data, components=64, dimensions=64, seed=5) for _ in range(2))
    assert (first.components, first.dimensions) == (6, 6)
    for name in TENSORS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.covariances > 0).all()


def test_of_several_starts_the_likeliest_is_kept():
    mixtures = pytest.importorskip("sklearn.mixture", reason="needs the extra 'classic'")
    data = np.random.default_rng(0).normal(size=(400, 3)) ** 3

    def likelihood(starts):
        found = mixtures.GaussianMixture(8, covariance_type="diag")
        found.means_, found.covariances_, found.weights_ = fit_mixture(data, 8, seed=0, starts=starts)
        found.precisions_cholesky_ = 1 / np.sqrt(found.covariances_)
        return found.score(data)

    assert likelihood(8) > likelihood(1) + 0.01


def test_variances_have_a_floor():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    data = np.random.default_rng(0).normal(size=(300, 4)) * [3, 1, 1e-6, 0]
    _, covariances, _ = fit_mixture(data, 5, seed=0)
    assert covariances.min() >= 1e-3 * data.var(axis=0).max() * 0.999


def test_too_little_and_wrong_sizes_are_refused():
    with pytest.raises(DataError, match="too few"):
        fit_codebook(np.zeros((1, 128), np.float32))
    with pytest.raises(ParameterError, match="at least 1"):
        fit_codebook(np.zeros((9, 128), np.float32), components=0)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.mixture", None)
    monkeypatch.setitem(__import__("sys").modules, "sklearn.exceptions", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn>=1"):
        fit_codebook(np.random.default_rng(0).random((50, 9)).astype(np.float32), components=2)


@pytest.mark.parametrize("first", ["imgtool", "sha256"])
def test_equal_codebooks_are_equal_bytes_in_whichever_order_safetensors_writes_its_header(first, tmp_path, monkeypatch):
    save_codebook(tmp_path / "a.safetensors", example())
    real = safetensors.numpy.save

    def turned(tensors, metadata):
        """The same file with one of the two entries first."""
        data = real(tensors, metadata=metadata)
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        header["__metadata__"] = dict(sorted(header["__metadata__"].items(), key=lambda pair: pair[0] != first))
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[end:]

    monkeypatch.setattr(safetensors.numpy, "save", turned)
    save_codebook(tmp_path / "b.safetensors", example())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    np.testing.assert_array_equal(load_codebook(tmp_path / "b.safetensors").means, example().means)
