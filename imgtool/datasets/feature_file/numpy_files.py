"""Feature files of NumPy: `.npz`, which holds everything, and `.npy`, which holds the features alone."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

import numpy as np

from imgtool.batch.pool import batched
from imgtool.datasets.feature_file import digests
from imgtool.datasets.feature_file.table import Blocks, Header, Local, check_blocks, check_parts
from imgtool.errors import DataError
from imgtool.files import open_regular

FORMAT = 2
FIELDS = ("features", "paths", "labels", "meta")
LOCAL_FIELDS = ("frames", "offsets")
NPY_HEADER_BYTES = 128  # bytes before the features of an .npy file
NPZ_HEADER_BYTES = 190  # and of an .npz file, whose first member they are
LARGEST_RATIO = 200  # of unpacked to packed size; more is an attack, not features
_BLOCK_NAMES = 1024
_BLOCK_VALUES = 1 << 20
_HASHED_BYTES = 1 << 20  # at once


def write_npz(file: BinaryIO, table: Blocks) -> None:
    """Write everything, member by member, as numpy.savez would."""
    found = hashlib.sha256()
    with zipfile.ZipFile(file, "w") as archive:
        features = digests.hashed(table.features(), found)
        _write_member(archive, "features", np.dtype(np.float32), table.shape, features)
        _write_what_follows(archive, table, found.hexdigest())


def finish_npz(file: BinaryIO, table: Blocks, checksum: int) -> None:
    """Write what `write_npz` does around features that stand in the file already, after NPZ_HEADER_BYTES bytes.

    checksum: the features' CRC-32.
    """
    header, size = _features_header(table), 4 * math.prod(table.shape)
    member = zipfile.ZipInfo("features.npy")
    member.header_offset, member.external_attr = 0, 0o600 << 16  # as zipfile does
    member.file_size = member.compress_size = len(header) + size
    member.CRC = crc_of_concatenation(zlib.crc32(header), checksum, size)
    file.seek(0)
    file.write(member.FileHeader(zip64=True) + header)
    found = _hash_of_file(file, NPZ_HEADER_BYTES, size)
    file.seek(NPZ_HEADER_BYTES + size)
    with zipfile.ZipFile(file, "w") as archive:
        archive.filelist.append(member)
        _write_what_follows(archive, table, found)


def _hash_of_file(file: BinaryIO, begin: int, size: int) -> str:
    """Return the SHA-256 of so many bytes of a file."""
    file.seek(begin)
    found = hashlib.sha256()
    while size and (part := file.read(min(size, _HASHED_BYTES))):
        found.update(part)
        size -= len(part)
    return found.hexdigest()


def finish_npy(file: BinaryIO, table: Blocks, _checksum: int) -> None:
    """Write what comes before features that stand in the file already, after NPY_HEADER_BYTES bytes."""
    file.seek(0)
    file.write(_features_header(table))


def _features_header(table: Blocks) -> bytes:
    """Return the beginning of the features' .npy file, which is as long for any number of rows."""
    header = io.BytesIO()
    _write_array(header, np.dtype(np.float32), table.shape, [])
    return header.getvalue()


def crc_of_concatenation(first: int, second: int, length: int) -> int:
    """Return the CRC-32 of two byte strings, one after the other, from those of each and the length of the second.

    What comes first counts times x^(8 length), modulo the polynomial of CRC-32 (as zlib's crc32_combine).
    """
    power, factor = 1 << 31, 1 << 23  # 1 and x^8: the highest bit is the coefficient of x^0
    while length:
        if length & 1:
            power = _product(power, factor)
        factor = _product(factor, factor)
        length >>= 1
    return _product(power, first) ^ second


def _product(first: int, second: int) -> int:
    """Multiply two polynomials modulo that of CRC-32."""
    product = 0
    for bit in range(31, -1, -1):
        if first >> bit & 1:
            product ^= second
        second = second >> 1 ^ (0xEDB88320 if second & 1 else 0)
    return product


def _write_what_follows(archive: zipfile.ZipFile, table: Blocks, features: str) -> None:
    """Write all members but the first, the features, whose SHA-256 is given; meta comes last, with the digest."""
    frames = hashlib.sha256()
    if local := table.local:
        shape = (table.shape[0], local.width)
        _write_member(archive, "frames", np.dtype(np.float32), shape, digests.hashed(local.frames(), frames))
        _write_member(archive, "offsets", local.offsets.dtype, local.offsets.shape, [local.offsets])
    _write_texts(archive, "paths", table.images, lambda: (path for path, _ in table.names()))
    _write_texts(archive, "labels", table.images, lambda: (label for _, label in table.names()))
    meta = np.array(meta_text(table, features, frames.hexdigest()))
    _write_member(archive, "meta", meta.dtype, (), [meta])


def meta_text(table: Blocks, features: str, frames: str) -> str:
    """Return how features were made, the format's number and the digest, given that of the numbers, as JSON."""
    digest = digests.complete(table, features, frames)
    return json.dumps({"format": FORMAT, "digest": digest, **table.meta}, sort_keys=True)


def _write_member(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> None:
    """Write one array that comes in blocks."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        _write_array(member, dtype, shape, blocks)


def _write_texts(archive: zipfile.ZipFile, name: str, count: int, texts: Callable[[], Iterator[str]]) -> None:
    """Write a list of texts, which NumPy stores as long as the longest."""
    dtype = np.dtype(f"U{max(1, max(map(len, texts()), default=1))}")
    blocks = (np.array(part, dtype) for part in batched(texts(), _BLOCK_NAMES))
    _write_member(archive, name, dtype, (count,), blocks)


def _write_array(file: Any, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    """Write an array as an .npy file."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(np.ascontiguousarray(block))


def read_npz(path: str) -> Blocks:
    """Check an archive and read all but features and frames, which are read when they are asked for."""
    arrays, large = dict[str, np.ndarray](), dict[str, Header]()
    with _open(path) as (archive, members):
        for name, member in members.items():
            with archive.open(member) as stream:
                header = _header(stream, member.file_size, name)
                if name in ("features", "frames"):
                    large[name] = header
                else:
                    arrays[name] = _read(stream, header.shape, header, name)
    for name in ("paths", "labels"):
        if arrays[name].ndim != 1 or arrays[name].dtype.kind != "U":
            raise DataError(f"{name} are no list of texts")
    paths, labels, meta = arrays["paths"].tolist(), arrays["labels"].tolist(), arrays["meta"]
    features, frames, offsets = large["features"], large.get("frames"), arrays.get("offsets")
    check_parts(features, paths, labels, frames, offsets)
    made_by, digest = parse_meta(meta.item() if meta.shape == () and meta.dtype.kind == "U" else "")

    def blocks(name: str) -> Iterator[np.ndarray]:
        return digests.verified(_member_blocks(path, name, large[name]), digest, name)

    local = None
    if frames is not None and offsets is not None:
        local = Local(frames.shape[1], lambda: blocks("frames"), offsets)
    table = Blocks(
        len(paths),
        features.shape,
        lambda: check_blocks(blocks("features"), features.shape[0]),
        lambda: zip(paths, labels, strict=True),
        made_by,
        local,
    )
    digests.check_rest(table, digest)
    return table


@contextmanager
def _open(path: str) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Hold open an archive, with its members by their names; what shows it to be broken becomes a DataError."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
            _check_members(members, os.path.getsize(path))
            yield archive, members
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        # What zipfile raises for a broken file: RuntimeError for a member with a password, NotImplementedError
        # for a compression unknown to it, ValueError for impossible places; KeyError for a member gone by now.
        raise DataError(f"is no whole .npz file ({error})") from None


def _check_members(members: dict[str, zipfile.ZipInfo], size: int) -> None:
    """Refuse an archive with other members than ours, or one that unpacks to far more than it is."""
    if missing := [name for name in FIELDS if name not in members]:
        raise DataError(f"is no feature file: it lacks {', '.join(missing)}")
    if unknown := sorted(set(members) - {*FIELDS, *LOCAL_FIELDS}):
        raise DataError(f"is no feature file: it holds {unknown[0][:40]!r}")
    for name, member in members.items():
        packed = min(member.compress_size, size)
        if member.file_size > LARGEST_RATIO * packed + 4096:
            raise DataError(f"{name} would unpack to {member.file_size} bytes from {packed}")


def _member_blocks(path: str, name: str, header: Header) -> Iterator[np.ndarray]:
    """Yield the rows of one array of an archive; its checksum is checked with the last ones."""
    with _open(path) as (archive, members), archive.open(members[name]) as stream:
        yield from _blocks(stream, members[name].file_size, header, name)


def _blocks(stream: IO[bytes], size: int, header: Header, name: str) -> Iterator[np.ndarray]:
    """Yield the rows of an .npy file as float32, some at once; all at once where its columns come first."""
    if _header(stream, size, name) != header:
        raise DataError(f"{name} changed while they were read")
    rows, width = header.shape
    height = max(rows if header.fortran else _BLOCK_VALUES // max(width, 1), 1)
    for start in range(0, rows, height):
        with np.errstate(over="ignore"):
            block = _read(stream, (min(height, rows - start), width), header, name).astype(np.float32, copy=False)
        yield block


def _header(stream: IO[bytes], size: int, name: str) -> Header:
    """Return the header of an .npy file of so many bytes, which must say exactly what is there."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except (ValueError, OSError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise DataError(f"{name} has a broken header ({str(error).splitlines()[0][:80]})") from None
    if dtype.kind not in "fiuU":
        raise DataError(f"{name} holds {dtype.name}, neither numbers nor texts; imgtool unpickles nothing")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise DataError(f"{name} of shape {shape} has {size - stream.tell()} bytes")
    return Header(shape, dtype, fortran)


def _read(stream: IO[bytes], shape: tuple[int, ...], header: Header, name: str) -> np.ndarray:
    """Return the next numbers or texts of an .npy file."""
    size = math.prod(shape) * header.stored.itemsize
    content = stream.read(size)
    if len(content) != size:
        raise DataError(f"{name} end early")
    if not header.stored.itemsize:
        return np.zeros(shape, header.dtype)
    array = np.frombuffer(content, header.stored).reshape(shape, order="F" if header.fortran else "C")
    return np.ascontiguousarray(array).reshape(shape).astype(header.dtype, copy=False)


def parse_meta(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse the JSON text and check its format number; return how features were made, and the digest."""
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise DataError("meta is no JSON object")
    if (version := meta.pop("format", None)) != FORMAT:
        older = "; describe the images again" if version == 1 else ""
        raise DataError(f"has the format {version!r}; this imgtool reads format {FORMAT}{older}")
    return meta, digests.require_form(meta.pop("digest", None))


def write_npy(file: BinaryIO, table: Blocks) -> None:
    """Write the features alone."""
    _write_array(file, np.dtype(np.float32), table.shape, table.features())


def read_npy(path: str) -> Blocks:
    """Check features, which have neither paths nor labels; they are read when they are asked for."""
    with open_regular(path) as file:
        header = _header(file, os.path.getsize(path), "features")
    if header.dtype.kind != "f":
        raise DataError(f"features are {header.dtype}, not floating point")
    named = len(header.shape) == 2 and header.shape[1]  # or a small file could claim any number of rows
    names = [""] * header.shape[0] if named else []
    check_parts(header._replace(stored=np.dtype(np.float32)), names, names)

    def blocks() -> Iterator[np.ndarray]:
        with open_regular(path) as file:
            yield from check_blocks(_blocks(file, os.path.getsize(path), header, "features"), len(names))

    return Blocks(len(names), header.shape, blocks, lambda: zip(names, names, strict=True), {})
