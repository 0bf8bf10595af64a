"""Feature files in Parquet, by pyarrow (extra `parquet`), which is imported when one is read or written.

The columns are path, label (texts) and features (a list of float32 of one length); the schema's metadata has `imgtool`,
the same JSON as an .npz file's meta, and `imgtool.features`. Files of other programs have neither, and so no digest. A
path that is not UTF-8 is null, and its bytes stand in a fourth column, path_bytes; in a label such bytes are escaped.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from imgtool.batch.pool import batched
from imgtool.datasets.feature_file import digests
from imgtool.datasets.feature_file.numpy_files import LARGEST_RATIO, meta_text, parse_meta
from imgtool.datasets.feature_file.table import Blocks, Header, check_blocks, check_parts
from imgtool.datasets.feature_file.text_files import is_unicode
from imgtool.errors import DataError, MissingExtraError
from imgtool.files import open_regular

if TYPE_CHECKING:
    import pyarrow

META, MARK = b"imgtool", b"imgtool.features"  # two keys: where one is damaged, the other tells whose file it is
COLUMNS = ("path", "label", "features")
_GROUP_VALUES = 2**22  # numbers in a row group, which is in memory at once


def require() -> None:
    """Raise MissingExtraError when pyarrow is not there."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("parquet", "Parquet")


def write_parquet(file: BinaryIO, table: Blocks) -> None:
    """Write one vector an image, row group by row group."""
    import pyarrow as pa
    from pyarrow import parquet

    odd = any(not is_unicode(path) for path, _ in table.names())
    stored = replace(table, names=lambda: ((path, _stored_label(label)) for path, label in table.names()))
    meta = meta_text(stored, digests.hash_of(table.features()), digests.hash_of(()))
    schema = _schema(table.shape[1], odd).with_metadata({META: meta, MARK: "1"})
    rows = max(_GROUP_VALUES // max(table.shape[1], 1), 1)
    vectors = (row for block in table.features() for row in block)
    with parquet.ParquetWriter(file, schema, compression="none", use_dictionary=["label"]) as writer:
        for part in batched(zip(table.names(), vectors, strict=True), rows):
            names, values = zip(*part, strict=True)
            writer.write_batch(_batch(pa, schema, names, np.stack(values)), row_group_size=rows)


def _schema(width: int, odd: bool) -> pyarrow.Schema:
    """Return the columns. odd: there are paths that are not UTF-8."""
    import pyarrow as pa

    features = pa.list_(pa.field("element", pa.float32(), nullable=False), width)
    fields = [pa.field("path", pa.string()), pa.field("label", pa.string()), pa.field("features", features)]
    return pa.schema([*fields, pa.field("path_bytes", pa.binary())] if odd else fields)


def _batch(pa: Any, schema: pyarrow.Schema, names: tuple[tuple[str, str], ...], values: np.ndarray) -> Any:
    """Return some rows."""
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=schema.field("features").type)
    paths = [path if is_unicode(path) else None for path, _ in names]
    labels = [_stored_label(label) for _, label in names]
    columns = [pa.array(paths, pa.string()), pa.array(labels, pa.string()), numbers]
    if len(schema) > len(COLUMNS):
        columns.append(pa.array([None if is_unicode(path) else os.fsencode(path) for path, _ in names], pa.binary()))
    return pa.record_batch(columns, schema=schema)


def _stored_label(label: str) -> str:
    """Return a label with what is no UTF-8 escaped."""
    return label.encode("utf-8", "backslashreplace").decode()


def read_parquet(path: str) -> Blocks:
    """Check the columns and read names; features are read, row group by row group, when they are asked for."""
    paths, labels = list[str](), list[str]()
    with _open(path) as content:
        width = _require_width(content, os.path.getsize(path))
        columns = [name for name in content.schema_arrow.names if name != "features"]
        for group in range(content.num_row_groups):
            rows = content.read_row_group(group, columns=columns)
            paths += _paths(rows)
            labels += _texts(rows, "label")
        metadata = content.schema_arrow.metadata or {}
        shape = (content.metadata.num_rows, width)
    if None in labels:
        raise DataError("holds a row without a label")
    check_parts(Header(shape, np.dtype(np.float32)), paths, labels)
    own = META in metadata or MARK in metadata
    made_by, digest = parse_meta(metadata.get(META, b"").decode("utf-8", "replace")) if own else ({}, {})
    if own and MARK not in metadata:
        raise DataError("is damaged: its metadata changed since they were written")

    def blocks() -> Iterator[np.ndarray]:
        numbers = _row_groups(path, width)
        return check_blocks(digests.verified(numbers, digest, "features") if own else numbers, shape[0])

    names = lambda: zip(paths, labels, strict=True)  # noqa: E731
    table = Blocks(len(paths), shape, blocks, names, made_by)
    if own:
        digests.check_rest(table, digest)
    return table


@contextmanager
def _open(path: str) -> Iterator[Any]:
    """Hold open a file; what shows it to be broken becomes a DataError."""
    import pyarrow as pa
    from pyarrow import parquet

    with open_regular(path) as file:
        try:
            texts = [name for name in ("path", "label", "path_bytes") if name in parquet.read_schema(file).names]
            with parquet.ParquetFile(file, read_dictionary=texts) as content:
                yield content
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
            text = str(error).split("\n")[0][:80]
            raise DataError(f"is no whole Parquet file of features ({text})") from None


def _row_groups(path: str, width: int) -> Iterator[np.ndarray]:
    """Yield the numbers of each row group."""
    with _open(path) as content:
        for group in range(content.num_row_groups):
            yield _numbers(content.read_row_group(group, columns=["features"]), width)


def _require_width(content: Any, size: int) -> int:
    """Return how many numbers a row has; refuse other columns than ours, and rows that the file is too small for."""
    import pyarrow as pa

    schema = content.schema_arrow
    if {*schema.names} - {"path_bytes"} != {*COLUMNS} or len({*schema.names}) != len(schema.names):
        raise DataError(f"needs the columns {', '.join(COLUMNS)}, has {str(schema.names)[:60]}")
    features = schema.field("features").type
    is_vector = pa.types.is_fixed_size_list(features) and features.list_size > 0
    if not is_vector or features.value_type != pa.float32():
        raise DataError("its features are no lists of float32 of one length")
    for name in {*schema.names} - {"features"}:
        kind, wanted = schema.field(name).type, pa.binary() if name == "path_bytes" else pa.string()
        if not pa.types.is_dictionary(kind) or kind.value_type != wanted:
            raise DataError(f"its column {name} is no {wanted}")
    width = int(features.list_size)
    if content.metadata.num_rows * width * 4 > LARGEST_RATIO * size:
        raise DataError(f"would unpack to {content.metadata.num_rows} rows of {width} numbers from {size} bytes")
    return width


def _numbers(rows: Any, width: int) -> np.ndarray:
    """Return the numbers of some rows."""
    parts = rows.column("features").chunks
    if any(part.null_count or part.flatten().null_count for part in parts):
        raise DataError("holds a row without features")
    flat = [part.flatten().to_numpy(zero_copy_only=False) for part in parts]
    return np.concatenate([np.zeros(0, np.float32), *flat]).reshape(len(rows), width)


def _texts(rows: Any, name: str) -> list[Any]:
    """Return one column; a text that stands in many rows is in memory once, or a small file could fill it."""
    found: list[Any] = []
    for part in rows.column(name).chunks:
        values = part.dictionary.to_pylist()
        found += [None if index is None else values[index] for index in part.indices.to_pylist()]
    return found


def _paths(rows: Any) -> list[str]:
    """Return the paths of some rows, whichever column they stand in."""
    texts = _texts(rows, "path")
    odd = _texts(rows, "path_bytes") if "path_bytes" in rows.column_names else [None] * len(texts)
    paths = [os.fsdecode(other) if text is None and other else text for text, other in zip(texts, odd, strict=True)]
    if None in paths:
        raise DataError("holds a row without a path")
    return paths
