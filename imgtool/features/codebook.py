"""Codebooks, fitted to local descriptors: a projection and a mixture of Gaussians, or a dictionary of atoms.

Fitting a mixture needs scikit-learn, using one does not. A file is one safetensors file whose metadata holds a JSON
text, and a digest of that and of all numbers: data only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import ArrayLike

from imgtool.arrays import float_array, native_array, whole_number
from imgtool.batch.inputs import path_text
from imgtool.batch.outputs import write_file
from imgtool.errors import DataError, ParameterError
from imgtool.features.scikit_learn import scikit_learn
from imgtool.files import open_regular

LENGTH_BYTES = 8  # the header's length, before it
FORMAT = 2
TENSORS = ("pca_mean", "pca_basis", "means", "covariances", "priors")
KINDS = {"codebook": TENSORS, "dictionary": ("atoms",)}
PLACE_NUMBERS = 2  # x and y
MAX_VALUE = 1e15  # of what a codebook is fitted to: squares add up in float32
MAX_SEED = 2**32 - 1  # that scikit-learn takes
MAX_FILE_BYTES = 1 << 31
VARIANCE_FLOOR = 1e-3  # of the largest variance of the projected data


@dataclass(frozen=True)
class Codebook:
    """A projection of local descriptors, and the Gaussian mixture that encodes the projected descriptors.

    pca_mean (L,) and pca_basis (D, L) project a descriptor of L numbers; means and covariances (variances) are (K, D),
    or (K, D + 2) if each descriptor's position is appended; priors (K,). meta: how it was fitted (JSON).
    """

    pca_mean: np.ndarray
    pca_basis: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    priors: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together or hold impossible numbers."""
        for name in TENSORS:
            array = native_array(getattr(self, name))
            object.__setattr__(self, name, array)
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise DataError(f"the codebook's {name} are not finite floating-point numbers")
        ranks = [getattr(self, name).ndim for name in TENSORS]
        if ranks != [1, 2, 2, 2, 1] or self.means.shape[1] - len(self.pca_basis) not in (0, 2) or not self._agree():
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in TENSORS)
            raise DataError(f"the codebook's parts do not fit together: {shapes}")
        if not (self.covariances > 0).all() or not (self.priors >= 0).all() or abs(self.priors.sum() - 1) > 1e-3:
            raise DataError("the codebook's variances must be positive, its priors shares that add up to 1")

    def _agree(self) -> bool:
        """Tell whether the sizes agree, and none is zero."""
        sizes_agree = self.pca_mean.shape == self.pca_basis.shape[1:] and self.covariances.shape == self.means.shape
        return (
            bool(sizes_agree)
            and self.priors.shape == self.means.shape[:1]
            and self.means.size * self.pca_basis.size > 0
        )

    @property
    def components(self) -> int:
        """K, the number of Gaussians."""
        return len(self.priors)

    @property
    def dimensions(self) -> int:
        """The numbers that a descriptor has when it is encoded, its place included."""
        return int(self.means.shape[1])

    @property
    def has_places(self) -> bool:
        """True when each descriptor is followed by its place in the image."""
        return self.dimensions > len(self.pca_basis)

    def project(self, descriptors: ArrayLike, places: ArrayLike | None = None) -> np.ndarray:
        """Return descriptors (N, L) as they are encoded: projected, and followed by places (N, 2) if so fitted."""
        rows = float_array(descriptors, "descriptors", dimensions=2)
        if rows.shape[1] != len(self.pca_mean):
            raise ParameterError(f"the codebook takes descriptors of {len(self.pca_mean)} numbers, got {rows.shape[1]}")
        projected = np.asarray((rows - self.pca_mean) @ self.pca_basis.T)
        if not self.has_places:
            return projected
        if places is None:
            raise ParameterError("the codebook was fitted with places, and none are given")
        return _with_places(projected, places)


@dataclass(frozen=True)
class Dictionary:
    """Atoms (K, L) of unit length; sparse sums of them approximate descriptors. meta: how it was learned (JSON)."""

    atoms: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be atoms."""
        object.__setattr__(self, "atoms", native_array(self.atoms))
        if self.atoms.dtype.kind != "f" or self.atoms.ndim != 2 or not self.atoms.size:
            raise DataError(f"the dictionary's atoms are no rows of numbers: {self.atoms.dtype} {self.atoms.shape}")
        if not (np.abs(self.atoms) < 2).all() or not np.allclose(np.linalg.norm(self.atoms, axis=1), 1, atol=1e-3):
            raise DataError("the dictionary's atoms must have length 1")


def fit_codebook(
    descriptors: ArrayLike,
    *,
    components: int = 64,
    dimensions: int = 64,
    seed: int = 0,
    places: ArrayLike | None = None,
    starts: int = 1,
    iterations: int = 100,
    meta: dict[str, Any] | None = None,
) -> Codebook:
    """Fit a codebook to local descriptors: a principal component analysis, then a mixture of diagonal Gaussians.

    Parameters
    ----------
    descriptors : array_like, (N, L)
        Local descriptors of many images, such as `values` of `dense_sift`.
    components : int
        Number of Gaussians; at most the number of descriptors.
    dimensions : int
        Principal components that a descriptor is projected to; at most as many as it has numbers.
    seed : int
        Random seed of k-means, which initializes the mixture.
    places : array_like, (N, 2), optional
        Position of each descriptor in its image, appended to it as two more numbers.
    starts : int
        Number of times that k-means and the mixture are fitted; the likeliest is kept.
    iterations : int
        Maximum number of iterations of the mixture's fit.
    meta : dict, optional
        How the descriptors were computed (JSON values); stored with the codebook.

    Returns
    -------
    Codebook
        With `project(descriptors)`, and `means`, `covariances` and `priors` as `fisher_vector` takes them.

    Raises
    ------
    DataError
        There are fewer than 2 descriptors.
    MissingExtraError
        scikit-learn is not installed.
    ParameterError
        An array is no matrix of numbers, or a number is out of range.

    Notes
    -----
    Perronnin, Sanchez and Mensink, ECCV 2010. The mixture is scikit-learn's; variances stay above a thousandth of the
    largest variance of the data. Equal data, seed and number of threads give equal codebooks.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> descriptors = np.random.default_rng(0).random((500, 128), np.float32)
    >>> book = imgtool.fit_codebook(descriptors, components=4, dimensions=16)  # needs the extra 'classic'
    >>> imgtool.fisher_vector(book.project(descriptors), book.means, book.covariances, book.priors).shape
    (128,)
    """
    components, dimensions = whole_number(components, "components"), whole_number(dimensions, "dimensions")
    seed = whole_number(seed, "seed", low=0, high=MAX_SEED)
    starts, iterations = whole_number(starts, "starts"), whole_number(iterations, "iterations")
    descriptors = _moderate(float_array(descriptors, "descriptors", dimensions=2), "descriptors")
    if len(descriptors) < 2:
        raise DataError("too few descriptors to fit a codebook; give more or larger images")
    mean, basis = _principal_components(descriptors, min(dimensions, *descriptors.shape))
    projected = (descriptors - mean) @ basis.T
    if places is not None:
        projected = _with_places(projected, places)
    means, covariances, priors = fit_mixture(projected, min(components, len(projected)), seed, starts, iterations)
    mean, basis, means, covariances, priors = (
        np.asarray(part, np.float32) for part in (mean, basis, means, covariances, priors)
    )
    return Codebook(mean, basis, means, covariances, priors, meta or {})


def _with_places(projected: np.ndarray, places: ArrayLike) -> np.ndarray:
    """Return rows followed by their places. Raises ParameterError unless these are an x and a y for each."""
    where = _moderate(float_array(places, "places", dimensions=2), "places")
    if where.shape != (len(projected), PLACE_NUMBERS):
        raise ParameterError(f"places must be of the shape ({len(projected)}, {PLACE_NUMBERS}), got {where.shape}")
    return np.concatenate([projected, where.astype(projected.dtype, copy=False)], axis=1)


def _moderate(values: np.ndarray, name: str) -> np.ndarray:
    """Return numbers whose squares can be added up in float32. Raises ParameterError for others, NaN included."""
    if values.size and not np.abs(values).max() <= MAX_VALUE:
        raise ParameterError(f"{name} must be numbers from {-MAX_VALUE:g} to {MAX_VALUE:g}, without NaN")
    return values


def _principal_components(descriptors: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and orthonormal rows (dimensions, L) of largest variance, each row's largest entry positive."""
    mean = descriptors.mean(axis=0, dtype=np.float64)
    centered = descriptors - mean.astype(descriptors.dtype)
    _, vectors = np.linalg.eigh((centered.T @ centered).astype(np.float64) / len(centered))
    basis = vectors[:, ::-1][:, :dimensions].T
    signs = np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)])
    return mean.astype(np.float32), (basis * signs[:, None]).astype(np.float32)


def fit_mixture(
    data: np.ndarray, components: int, seed: int, starts: int = 1, iterations: int = 100
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, variances and priors fitted to data (N, D) by scikit-learn."""
    largest = float(data.var(axis=0).max())
    with scikit_learn("fitting a codebook"):
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            components,
            covariance_type="diag",
            reg_covar=max(largest * VARIANCE_FLOOR, 1e-12),
            max_iter=iterations,
            n_init=starts,
            random_state=seed,
        )
        mixture.fit(data)
    return mixture.means_, mixture.covariances_, mixture.weights_


def save_codebook(path: str | os.PathLike[str], book: Codebook | Dictionary, *, overwrite: bool = False) -> None:
    """Write a codebook or a dictionary to a file, whole or not at all.

    Parameters
    ----------
    path : path
        One safetensors file.
    book : Codebook or Dictionary
        What is written.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None

    Raises
    ------
    OutputError
        The file exists, or cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import imgtool
    >>> path = os.path.join(tempfile.mkdtemp(), "atoms.safetensors")
    >>> imgtool.save_codebook(path, imgtool.Dictionary(np.eye(4)))
    >>> imgtool.load_codebook(path).atoms.shape
    (4, 4)
    """
    path = path_text(path)
    if not isinstance(book, Codebook | Dictionary):
        raise ParameterError(f"only a Codebook or a Dictionary can be saved, not {type(book)}")
    text, tensors = _content(book)
    metadata = {"imgtool": text, "sha256": _digest(text, tensors)}
    write_file(path, _in_order(safetensors.numpy.save(tensors, metadata=metadata)), overwrite=overwrite)


def hash_of(book: Codebook | Dictionary) -> str:
    """Return the SHA-256 of all that a codebook says, which its file holds too."""
    return _digest(*_content(book))


def _content(book: Codebook | Dictionary) -> tuple[str, dict[str, np.ndarray]]:
    """Return what a file holds of a codebook: its description, and the numbers by name."""
    kind = "codebook" if isinstance(book, Codebook) else "dictionary"
    text = json.dumps({"kind": kind, "format": FORMAT, **book.meta}, sort_keys=True)
    return text, {name: np.ascontiguousarray(getattr(book, name)) for name in KINDS[kind]}


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its header's entries in one order, which safetensors leaves to chance."""
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    text = json.dumps(json.loads(data[LENGTH_BYTES:end]), sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of eight bytes
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + data[end:]


def _digest(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of everything that a file says: its JSON, and each tensor's name, type, shape and numbers."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(tensors.items()):
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(json.dumps([name, little.dtype.str, little.shape]).encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def load_codebook(path: str | os.PathLike[str]) -> Codebook | Dictionary:
    """Read a codebook or a dictionary; nothing in the file is executed.

    Parameters
    ----------
    path : path
        As `save_codebook` wrote it.

    Returns
    -------
    Codebook or Dictionary

    Raises
    ------
    DataError
        The file does not exist, or is not a codebook.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.load_codebook("absent.safetensors")
    Traceback (most recent call last):
    imgtool.errors.DataError: absent.safetensors: no such codebook
    """
    name = path_text(path)
    if not os.path.lexists(name):
        raise DataError(f"{name}: no such codebook")
    try:
        with open_regular(name) as file:  # safe_open would wait for a pipe
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise DataError(f"is no codebook: it holds more than {MAX_FILE_BYTES} bytes")
        with safetensors.safe_open(name, framework="numpy") as content:
            metadata = content.metadata() or {}
            kind, meta = _parse_description(metadata)
            if set(content.keys()) != set(KINDS[kind]):
                raise DataError(f"is no {kind}: it needs {', '.join(KINDS[kind])}")
            tensors: dict[str, Any] = {tensor: content.get_tensor(tensor) for tensor in KINDS[kind]}
        if metadata.get("sha256") != _digest(metadata["imgtool"], tensors):
            raise DataError("is damaged: it has changed since it was written")
        return Codebook(**tensors, meta=meta) if kind == "codebook" else Dictionary(**tensors, meta=meta)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except OSError as error:
        raise DataError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{name}: is no codebook ({error})") from None


def _parse_description(metadata: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the kind that the file's JSON names, and what it says beside kind and format."""
    try:
        description = json.loads(metadata.get("imgtool", ""))
    except (ValueError, RecursionError):
        raise DataError("is no codebook of imgtool: its description is missing or no JSON") from None
    kind = description.pop("kind", None) if isinstance(description, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError("is no codebook of imgtool")
    if (version := description.pop("format", None)) != FORMAT:
        older = "; fit it again" if version == 1 else ""
        raise DataError(f"is a {kind} of format {version!r}; this imgtool reads format {FORMAT}{older}")
    return kind, description
