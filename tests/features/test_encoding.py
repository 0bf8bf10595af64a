"""From images to Fisher vectors."""

import numpy as np
import pytest

from imgtool.errors import DataError, ParameterError
from imgtool.features import encoding
from imgtool.features.codebook import Codebook, Dictionary
from imgtool.features.encoding import (
    ENCODINGS,
    LocalSettings,
    encode,
    encode_sparsely,
    fit_dictionary,
    fit_to_images,
    length,
)
from imgtool.features.fisher import fisher_vector
from imgtool.features.phow import phow
from imgtool.features.pyramid import places
from imgtool.features.sift import root
from imgtool.features.sparse import llc_codes, sparse_codes
from locations import REFERENCE

CAMERA = np.load(REFERENCE / "images.npz")["camera_128"]


def codebook(local=None, with_places=False, **meta):
    generator = np.random.default_rng(0)
    dimensions = 6 + 2 * with_places
    basis = np.linalg.qr(generator.normal(size=(128, 6)))[0].T.astype(np.float32)
    means = generator.normal(scale=0.2, size=(3, dimensions)).astype(np.float32)
    covariances = generator.uniform(0.01, 0.1, means.shape).astype(np.float32)
    mean, priors = np.full(128, 0.05, np.float32), np.array([0.2, 0.3, 0.5], np.float32)
    meta = meta or {"sift": (local or LocalSettings()).to_meta()}
    return Codebook(mean, basis, means, covariances, priors, meta)


@pytest.mark.parametrize("with_places", [False, True])
def test_encode_is_sift_projected_and_encoded(with_places):
    book = codebook(LocalSettings(step=6, bins=(4, 6), root=True), with_places)
    found = phow(CAMERA, step=6, sizes=(4, 6))
    kept = found.norms >= 0.005
    data = (root(found.values[kept]) - book.pca_mean) @ book.pca_basis.T
    if with_places:
        data = np.hstack([data, places(found.frames[kept], 128, 128)])
    expected = fisher_vector(data, book.means, book.covariances, book.priors)
    np.testing.assert_allclose(encode(CAMERA, book), expected, atol=1e-6)


def test_pyramid_joins_the_cells():
    book = codebook()
    whole, halves = encode(CAMERA, book), encode(CAMERA, book, levels=["1x1", "2x1"])
    assert halves.shape == (length(book, ["1x1", "2x1"]),) == (3 * length(book),)
    np.testing.assert_allclose(halves[: len(whole)], whole / np.sqrt(3), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(halves), 1, atol=1e-5)


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-12)


def plainly(encoding, data, book):
    """One cell's vector, written out."""
    apart = data[:, None] - book.means
    nearest = np.eye(len(book.means))[(apart**2).sum(axis=2).argmin(axis=1)]
    if encoding == "bow":
        return unit(np.sqrt(nearest.sum(axis=0)))
    if encoding == "vlad":
        sums = np.einsum("nk,nkd->kd", nearest, apart).ravel()
        return unit(np.sign(sums) * np.sqrt(np.abs(sums)))
    return fisher_vector(data, book.means, book.covariances, book.priors)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("with_places", [False, True])
def test_each_cell_is_encoded_and_scaled_then_the_whole(encoding, with_places):
    book = codebook(with_places=with_places)
    image = np.vstack([CAMERA[:64], np.full((70, 128), 9, np.uint8)])  # its lowest third says nothing
    found = phow(image, step=4, sizes=(4, 6, 8))
    kept = found.norms >= 0.005
    x, y = places(found.frames[kept], *image.shape).T
    data = (root(found.values[kept]).astype(float) - book.pca_mean) @ book.pca_basis.T
    data = np.column_stack([data, x, y]) if with_places else data
    cells = [data, *(data[np.floor(3 * (y + 0.5)) == third] for third in range(3))]
    assert not len(cells[-1])
    expected = unit(np.concatenate([plainly(encoding, cell, book) for cell in cells]))
    actual = encode(image, book, encoding=encoding, levels=["1x1", "3x1"])
    np.testing.assert_allclose(actual, expected, atol=2e-5)
    np.testing.assert_allclose(encode(image, book, encoding=encoding), plainly(encoding, data, book), atol=2e-5)
    assert actual.dtype == np.float32


@pytest.mark.parametrize("encoding", [*ENCODINGS, "sparse"])
def test_with_its_mirror_image_an_image_is_the_same_either_way_round(encoding):
    local, levels = LocalSettings(step=3, bins=(4,)), ["1x1", "2x2"]  # leaves no rest in 127 pixels
    image = CAMERA[:, 1:]
    dictionary = Dictionary(np.eye(128, dtype=np.float32), {"sift": local.to_meta()})

    def encoded(image, **options):
        if encoding == "sparse":
            return encode_sparsely(image, dictionary, levels=levels, solver="llc", **options)
        return encode(image, codebook(local, with_places=True), encoding=encoding, levels=levels, **options)

    one, other = encoded(image, mirror=True), encoded(image[:, ::-1], mirror=True)
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(encoded(image) - encoded(image[:, ::-1])).max() > 0.01
    symmetric = np.hstack([image, image[:, -2::-1]])  # 253 pixels wide
    np.testing.assert_allclose(encoded(symmetric, mirror=True), encoded(symmetric), atol=1e-4)


@pytest.mark.parametrize(("solver", "codes_of"), [("feature-sign", sparse_codes), ("llc", llc_codes)])
def test_sparse_codes_are_pooled_by_their_largest(solver, codes_of):
    atoms = np.abs(np.random.default_rng(0).normal(size=(12, 128))).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    dictionary = Dictionary(atoms, {"sift": LocalSettings(step=8, bins=(4,), root=False).to_meta()})
    found = phow(CAMERA, step=8, sizes=(4,))
    kept = found.norms >= 0.005
    codes, (x, y) = np.abs(codes_of(found.values[kept], atoms)), places(found.frames[kept], 128, 128).T
    cells = [codes[(y < 0) == top][(x[(y < 0) == top] < 0) == left] for top in (True, False) for left in (True, False)]
    expected = unit(np.concatenate([cell.max(axis=0) for cell in [codes, *cells]]))
    actual = encode_sparsely(CAMERA, dictionary, solver=solver, levels=["1x1", "2x2"])
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert encode_sparsely(CAMERA, dictionary, solver=solver).shape == (21 * 12,)
    assert not encode_sparsely(np.zeros((60, 60)), dictionary, solver=solver).any()


def test_unknown_encodings_and_solvers_are_refused():
    dictionary = Dictionary(np.eye(3, 128), {"sift": LocalSettings().to_meta()})
    with pytest.raises(ParameterError, match="no encoding 'sparse'; there are fisher, vlad, bow"):
        encode(CAMERA, codebook(), encoding="sparse")
    with pytest.raises(ParameterError, match="no solver 'omp'; there are feature-sign, llc"):
        encode_sparsely(CAMERA, dictionary, solver="omp")


def test_brightness_scale_depth_and_color_do_not_matter():
    expected = encode(CAMERA, codebook())
    for same in (CAMERA.astype(np.uint16) * 257, CAMERA / 255, np.dstack([CAMERA] * 3)):
        np.testing.assert_allclose(encode(same, codebook()), expected, atol=1e-5)


def test_a_flat_image_gives_zeros():
    for levels in (["1x1"], ["1x1", "2x2"]):
        found = encode(np.full((40, 60), 7, np.uint8), codebook(), levels=levels)
        assert found.shape == (length(codebook(), levels),)
        assert not found.any()


@pytest.mark.parametrize(
    "sift",
    [
        None,
        {},
        {"step": 4, "bins": [4], "window": "flat"},
        {"step": "4", "bins": [4], "window": "flat", "root": True},
        {"step": 4, "bins": [4.5], "window": "flat", "root": True},
        {"step": True, "bins": [4], "window": "flat", "root": True},
        {"step": 0, "bins": [4], "window": "flat", "root": True},
        {"step": 4, "bins": [], "window": "flat", "root": True},
        {"step": 4, "bins": [10**9], "window": "flat", "root": True},
        {"step": 4, "bins": [4], "window": "box", "root": True},
        {"step": 4, "bins": [4], "window": "flat", "root": True, "more": 1},
    ],
)
def test_a_codebook_that_does_not_say_which_sift_is_refused(sift):
    with pytest.raises(DataError, match="codebook"):
        encode(CAMERA, codebook(sift=sift))


def test_settings_survive_json_and_wrong_ones_are_refused():
    local = LocalSettings(step=7, bins=(3, 9), window="gaussian", root=False)
    assert LocalSettings.of(codebook(local)) == local
    with pytest.raises(ParameterError, match="step"):
        LocalSettings(step=0)


def test_fit_to_images_passes_over_what_cannot_be_described():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (60, 50), np.uint8) for _ in range(4)]
    images += [np.zeros((5, 5), np.uint8), np.full((60, 60), np.nan), np.zeros((60, 60), np.uint8)]
    told = []
    settings = {"local": LocalSettings(), "components": 64, "dimensions": 8, "with_places": True, "seed": 1}
    book = fit_to_images(iter(images), len(images), samples=1500, progress=told.append, **settings)
    assert book.dimensions == 10
    assert 1 <= book.components <= 3  # 500 descriptors for each
    assert told == [1, 2, 3, 4, 7]
    assert book.meta["sift"] == LocalSettings().to_meta()
    again = fit_to_images(iter(images), len(images), samples=1500, **settings)
    np.testing.assert_array_equal(book.means, again.means)
    np.testing.assert_allclose(np.linalg.norm(encode(CAMERA, book)), 1, atol=1e-5)


def test_a_dictionary_is_learned_from_images_and_repeatable():
    images = [np.random.default_rng(seed).integers(0, 256, (60, 50), np.uint8) for seed in range(3)]
    first, second, other = (
        fit_dictionary(iter(images), 3, local=LocalSettings(), atoms=20, samples=300, seed=seed) for seed in (1, 1, 2)
    )
    assert first.atoms.shape == (20, 128)
    assert first.meta == {"sift": LocalSettings().to_meta(), "seed": 1, "images": 3}
    np.testing.assert_array_equal(first.atoms, second.atoms)
    assert not np.array_equal(first.atoms, other.atoms)
    with pytest.raises(DataError, match="300 descriptors are too few for 301 atoms"):
        fit_dictionary(iter(images), 3, local=LocalSettings(), atoms=301, samples=300)


def test_the_seed_is_the_dictionarys_too(monkeypatch):
    """The descriptors being the same, whatever the seed, it decides where atoms begin."""
    values = np.abs(np.random.default_rng(0).normal(size=(300, 128))).astype(np.float32)
    monkeypatch.setattr(encoding, "_draw_descriptors", lambda *_: (values, None))
    told = []
    first, second, other = (
        fit_dictionary([], 0, local=LocalSettings(), atoms=20, seed=seed, progress=lambda *step: told.append(step))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.atoms, second.atoms)
    assert not np.array_equal(first.atoms, other.atoms)
    assert told == [(1, 2, "dictionary"), (2, 2, "dictionary")] * 3


def test_fit_to_nothing_is_refused():
    with pytest.raises(DataError, match="too few"):
        fit_to_images([np.zeros((60, 60), np.uint8)], 1, local=LocalSettings(), components=2, dimensions=2)
