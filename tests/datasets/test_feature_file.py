"""Feature files: what is saved is loaded; what is broken or hostile is refused in one line."""

import hashlib
import importlib.util
import io
import json
import pickle
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.datasets import formats
from imgtool.datasets.feature_file import (
    FeatureTable,
    check_suffix,
    digests,
    load,
    merge,
    numpy_files,
    read_blocks,
    save,
    write,
)
from imgtool.datasets.feature_file.digests import hash_of
from imgtool.datasets.feature_file.numpy_files import crc_of_concatenation
from imgtool.datasets.feature_file.table import Blocks, Local
from imgtool.errors import DataError, OutputError, ParameterError

META = {"descriptor": "hog", "parameters": {"cell": 8}, "version": "0"}
ODD = ["a.png", 'b/ü, "x"\n.png', "c\udce9.jpg"]  # the last is not UTF-8


def example():
    return FeatureTable(np.arange(12, dtype=np.float32).reshape(3, 4) / 7, ODD, ["cat", "dog", ""], META)


def local():
    generator = np.random.default_rng(0)
    values, frames = generator.random((5, 128)).astype(np.float32), generator.random((5, 3)).astype(np.float32)
    return FeatureTable(values, ODD, ["cat", "dog", ""], META, frames, np.array([0, 2, 2, 5]))


def needs(suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra 'parquet'")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".jsonl", ".parquet", ".NPZ"])
def test_what_is_saved_is_loaded(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / ("f" + suffix)
    save(path, example())
    found = load(path)
    np.testing.assert_array_equal(found.features, example().features)
    assert found.features.dtype == np.float32
    assert (list(found.paths), list(found.labels)) == (ODD, ["cat", "dog", ""])
    expected = {
        ".npz": META,
        ".parquet": META,
        ".csv": {},
        ".jsonl": {key: META[key] for key in ("descriptor", "parameters")},
    }
    assert found.meta == expected[suffix.lower()]


def test_npy_holds_the_features_alone(tmp_path):
    save(tmp_path / "f.npy", example())
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), example().features)
    assert list(load(tmp_path / "f.npy").paths) == ["", "", ""]


def test_npz_is_as_the_documentation_says(tmp_path):
    save(tmp_path / "f.npz", example())
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["features", "labels", "meta", "paths"]
        meta = json.loads(file["meta"].item())
        assert hashlib.sha256(file["features"]).hexdigest() == meta.pop("digest")["features"]
        assert meta == {**META, "format": 2}


def test_local_descriptors(tmp_path):
    path = tmp_path / "f.npz"
    save(path, local())
    found = load(path)
    np.testing.assert_array_equal(found.frames, local().frames)
    assert [found.rows(index).shape for index in range(3)] == [(2, 128), (0, 128), (3, 128)]
    np.testing.assert_array_equal(found.rows(2), local().features[2:])
    np.testing.assert_array_equal(example().rows(1), example().features[1:2])
    with pytest.raises(ParameterError, match="npz only"):
        save(tmp_path / "f.csv", local())


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
                  elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
       st.sampled_from([".npz", ".npy", ".csv", ".jsonl", ".parquet"]))  # fmt: skip
@settings(max_examples=40)
def test_every_number_survives(tmp_path_factory, features, suffix):
    if suffix == ".parquet" and not importlib.util.find_spec("pyarrow"):
        suffix = ".npz"
    path = tmp_path_factory.mktemp("f") / ("f" + suffix)
    names = [str(index) for index in range(len(features))]
    save(path, FeatureTable(features, names, names))
    np.testing.assert_array_equal(load(path).features, features)


@pytest.mark.parametrize("table", [example(), local()], ids=["vectors", "local"])
def test_npz_is_what_numpy_would_write(tmp_path, table):
    """NumPy itself is the reference, for every byte."""
    save(tmp_path / "f.npz", table)
    arrays = {"features": table.features}
    if table.offsets is not None:
        arrays |= {"frames": table.frames, "offsets": table.offsets}
    arrays |= {"paths": np.array(table.paths), "labels": np.array(table.labels)}
    arrays |= {"meta": np.array(meta_of(arrays, table.meta))}
    np.savez(tmp_path / "n.npz", **arrays)
    assert (tmp_path / "f.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()


def test_parquet_is_as_the_documentation_says(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra 'parquet'")
    table = FeatureTable(example().features, ["a.png", "b/ü.png", "c.png"], ["cat", "dog", ""], META)
    save(tmp_path / "f.parquet", table)
    found = pq.read_table(tmp_path / "f.parquet")
    assert found.column_names == ["path", "label", "features"]
    assert found.column("path").to_pylist() == table.paths
    assert found.column("label").to_pylist() == table.labels
    np.testing.assert_array_equal(np.array(found.column("features").to_pylist(), np.float32), table.features)
    meta = json.loads(found.schema.metadata[b"imgtool"])
    assert hashlib.sha256(table.features).hexdigest() == meta.pop("digest")["features"]
    assert meta == {**META, "format": 2}
    save(tmp_path / "odd.parquet", example())
    odd = pq.read_table(tmp_path / "odd.parquet")
    assert odd.column("path").to_pylist() == [*ODD[:2], None]
    assert odd.column("path_bytes").to_pylist() == [None, None, b"c\xe9.jpg"]


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".jsonl", ".parquet"])
def test_blocks_give_the_bytes_of_the_whole(tmp_path, suffix):
    needs(suffix)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 7)).astype(np.float32)
    names = [f"{'long/' * (index % 3)}{index}.png" for index in range(3000)]
    labels = [str(index % 3) for index in range(3000)]
    table = FeatureTable(features, names, labels, META)
    save(tmp_path / f"whole{suffix}", table)
    parts = replace(table.blocks(), features=lambda: (features[index : index + 7] for index in range(0, 3000, 7)))
    write(tmp_path / f"parts{suffix}", parts)
    assert (tmp_path / f"whole{suffix}").read_bytes() == (tmp_path / f"parts{suffix}").read_bytes()


def many(seed, *, frame_width=0):
    """A table of some hundred numbers; frame_width: of local descriptors, 0 for vectors."""
    rng = np.random.default_rng(seed)
    names = [f"{seed}/{index}" for index in range(30)]
    if not frame_width:
        return FeatureTable(rng.normal(size=(30, 7)).astype(np.float32), names, names, META)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, 30))])
    values, frames = (rng.normal(size=(offsets[-1], width)).astype(np.float32) for width in (7, frame_width))
    return FeatureTable(values, names, names, META, frames, offsets)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(numpy_files, "_BLOCK_VALUES", 50)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".jsonl", ".parquet"])
def test_files_merged_block_by_block_are_those_of_the_whole_tables(tmp_path, small_blocks, suffix):
    needs(suffix)
    tables = [many(0), many(1)]
    whole = FeatureTable(np.concatenate([each.features for each in tables]), tables[0].paths + tables[1].paths,
                         tables[0].labels + tables[1].labels, META)  # fmt: skip
    save(tmp_path / f"whole{suffix}", whole)
    for index, table in enumerate(tables):
        save(tmp_path / f"{index}.npz", table)
    parts = [read_blocks(tmp_path / f"{index}.npz") for index in range(2)]
    assert len(list(parts[0].features())) == 5
    write(tmp_path / f"parts{suffix}", merge(parts, ["0", "1"]))
    assert (tmp_path / f"parts{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    write(tmp_path / f"again{suffix}", read_blocks(tmp_path / f"whole{suffix}"))
    save(tmp_path / f"loaded{suffix}", load(tmp_path / f"whole{suffix}"))
    assert (tmp_path / f"again{suffix}").read_bytes() == (tmp_path / f"loaded{suffix}").read_bytes()


def test_local_descriptors_are_merged_block_by_block(tmp_path, small_blocks):
    one, other = many(0, frame_width=3), many(1, frame_width=3)
    assert one.offsets is not None
    assert other.offsets is not None
    offsets = np.concatenate([one.offsets, one.offsets[-1] + other.offsets[1:]])
    stacked = [np.concatenate(pair) for pair in ((one.features, other.features), (one.frames, other.frames))]
    whole = FeatureTable(stacked[0], one.paths + other.paths, one.labels + other.labels, META, stacked[1], offsets)
    for name, table in (("whole", whole), ("one", one), ("other", other)):
        save(tmp_path / f"{name}.npz", table)
    parts = [read_blocks(tmp_path / f"{name}.npz") for name in ("one", "other")]
    write(tmp_path / "parts.npz", merge(parts, ["one", "other"]))
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    with pytest.raises(DataError, match=r"b: was not made as a was: .*frames of 4"):
        merge([parts[0], many(1, frame_width=4).blocks()], ["a", "b"])
    with pytest.raises(DataError, match="b: was not made as a was"):
        merge([parts[0], many(1).blocks()], ["a", "b"])


@pytest.mark.parametrize("member", ["features", "frames"])
def test_D3_a_changed_bit_is_found_where_blocks_are_read(tmp_path, small_blocks, member):
    table = many(0, frame_width=3)
    save(tmp_path / "f.npz", table)
    whole, numbers = (tmp_path / "f.npz").read_bytes(), getattr(table, member).tobytes()
    begin = whole.index(numbers)
    for place in (begin, begin + len(numbers) // 2, begin + len(numbers) - 1):
        changed = bytes([whole[place] ^ 1])
        (tmp_path / "f.npz").write_bytes(whole[:place] + changed + whole[place + 1 :])
        with pytest.raises(DataError, match=r"f\.npz: is no whole .npz file"):
            write(tmp_path / "g.npz", read_blocks(tmp_path / "f.npz"))
    assert [each.name for each in tmp_path.iterdir()] == ["f.npz"]


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_D3_numbers_and_files_that_change_are_refused_where_blocks_are_read(tmp_path, small_blocks, suffix):
    needs(suffix)
    path, other = tmp_path / f"f{suffix}", tmp_path / f"g{suffix}"
    save(path, many(0))
    table = read_blocks(path)
    for change in (example(), FeatureTable(np.ones((60, 7), np.float32), ["a"] * 60, ["b"] * 60, META)):
        save(path, change, overwrite=True)
        with pytest.raises(DataError, match=rf"f{suffix}: "):
            write(other, table)
    path.unlink()
    with pytest.raises(DataError, match=rf"f{suffix}: no such file"):
        write(other, table)
    features = many(0).features
    features[29, 6] = np.nan
    write(path, replace(many(0).blocks(), features=lambda: iter([features])))
    with pytest.raises(DataError, match=rf"f{suffix}: features hold NaN"):
        write(other, read_blocks(path))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("change", ["<f2", "<f8", ">f4", "columns first"])
def test_arrays_of_other_programs_are_read_block_by_block(tmp_path, small_blocks, change):
    numbers = many(0).features.astype("<f2").astype("<f4")
    stored = np.asfortranarray(numbers) if change == "columns first" else numbers.astype(change)
    np.save(tmp_path / "f.npy", stored)
    assert load(tmp_path / "f.npy").features.tolist() == numbers.tolist()
    arrays = {"features": numbers, "paths": np.array(many(0).paths), "labels": np.array(many(0).labels)}
    np.savez_compressed(tmp_path / "f.npz", meta=np.array(meta_of(arrays, {})), **{**arrays, "features": stored})
    if stored.itemsize == 4:
        assert load(tmp_path / "f.npz").features.tolist() == numbers.tolist()
    else:
        with pytest.raises(DataError, match=r"must be \(N, D\) float32"):
            load(tmp_path / "f.npz")


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("comma", [False, True])
def test_F24_tables_as_spreadsheets_write_them(separator, comma, tmp_path):
    if comma and separator == ",":
        return
    rows = [["path", "label", "0", "1"], ["a.png", "b", "0.5", "-1e-3"], ["c.png", "d", "2", "7.25"]]
    rows = [[cell.replace(".", ",") if comma and row > 0 and column > 1 else cell for column, cell in enumerate(cells)]
            for row, cells in enumerate(rows)]  # fmt: skip
    (tmp_path / "f.csv").write_text("\ufeff" + "\r\n".join(separator.join(row) for row in rows))
    assert load(tmp_path / "f.csv").features.tolist() == np.array([[0.5, -1e-3], [2, 7.25]], np.float32).tolist()
    assert formats.load_dataset(tmp_path / "f.csv").train.classes == ("b", "d")


def test_F24_tables_whose_decimals_are_not_certain_are_refused(tmp_path):
    (tmp_path / "f.csv").write_text("path;label;0;1\na;b;1,5;2.5\n")
    with pytest.raises(DataError, match="points and numbers with commas"):
        load(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_bytes("path,label,0\na,b,1\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        load(tmp_path / "f.csv")


def test_a_csv_that_begins_with_a_mark_is_read(tmp_path):
    """Spreadsheets write a byte order mark."""
    (tmp_path / "f.csv").write_text("\ufeffpath,label,0\na,b,1\nc,d,2\n", encoding="utf-8")
    assert load(tmp_path / "f.csv").features.tolist() == [[1], [2]]
    assert formats.load_dataset(tmp_path / "f.csv").train.classes == ("b", "d")


def test_D3_rows_of_no_numbers_are_refused(tmp_path):
    """pyarrow dies of a list of no numbers, and a small file could name any number of such rows."""
    np.save(tmp_path / "f.npy", np.zeros((10**9, 0), np.float32))
    with pytest.raises(DataError, match=r"D at least 1, got \(1000000000, 0\)"):
        load(tmp_path / "f.npy")


def test_equal_tables_give_equal_bytes_and_nothing_is_overwritten(tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    save(first, example())
    save(second, example())
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        save(first, example())
    save(first, local(), overwrite=True)
    assert load(first).offsets is not None


@pytest.mark.parametrize("name", ["f.txt", "f", "f.partial"])
def test_other_names_are_refused(name):
    with pytest.raises(ParameterError, match="npz"):
        check_suffix(name)


class Bomb:
    def __reduce__(self):
        return (open, ("executed", "w"))


def npz(**changes):
    """Return a file as `save` writes it, some members changed or left out (None); the digest fits where it can."""
    table = local()
    arrays = {
        "features": table.features, "paths": np.array(["a", "b", "c"]), "labels": np.array(["", "", ""]),
        "frames": table.frames, "offsets": table.offsets,
    }  # fmt: skip
    good = meta_of(arrays, {})
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    if "meta" not in changes:
        try:
            arrays["meta"] = np.array(meta_of(arrays, {}))
        except (AttributeError, KeyError, TypeError, ValueError):
            arrays["meta"] = np.array(good)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def meta_of(arrays, meta):
    """Return the JSON text for arrays by name, with their digest."""
    features, frames, offsets = (arrays.get(name) for name in ("features", "frames", "offsets"))
    parts = None if frames is None else Local(frames.shape[1], lambda: iter([frames]), offsets)
    paths, labels = arrays["paths"].tolist(), arrays["labels"].tolist()
    table = Blocks(len(paths), features.shape, iter, lambda: zip(paths, labels, strict=True), meta, parts)
    numbers = [hash_of([] if each is None else [each]) for each in (features, frames)]
    return numpy_files.meta_text(table, *numbers)


def zipped(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as numpy_files:
        for name, content in members.items():
            numpy_files.writestr(name, content)
    return stream.getvalue()


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as numpy_files:
        return {name: numpy_files.read(name) for name in numpy_files.namelist()}


def header_of(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


GOOD = npz()
EMPTY = npz(features=np.ones((0, 128), np.float32), frames=None, offsets=None, paths=np.array([], "U1"),
            labels=np.array([], "U1"))  # fmt: skip
NAN = np.full((5, 128), np.nan, np.float32)
BROKEN = {
    "empty": b"",
    "noise": bytes(range(256)) * 4,
    "pickle": pickle.dumps(Bomb()),
    "cut": GOOD[:-30],
    "cut early": GOOD[: len(GOOD) // 2],
    "flipped": GOOD[:300] + bytes([GOOD[300] ^ 255]) + GOOD[301:],
    "no member": zipped({}),
    "strange member": zipped({**members_of(GOOD), "../evil.npy": b"x"}),
    "objects": npz(paths=np.array([Bomb(), 1, 2], dtype=object)),
    "header of other length": zipped({**members_of(GOOD), "features.npy": members_of(GOOD)["features.npy"][:-4]}),
    "huge shape": zipped(
        {**members_of(GOOD), "features.npy": members_of(GOOD)["features.npy"].replace(b"(5, 128)", b"(9**99,)")}
    ),
    "zip bomb": zipped({**members_of(GOOD), "features.npy": bytes(10**7)}, zipfile.ZIP_DEFLATED),
    "no features": npz(features=None),
    "no paths": npz(paths=None),
    "no meta": npz(meta=None),
    "no frames": npz(frames=None),
    "negative width": zipped({**members_of(EMPTY), "features.npy": header_of((0, -128))}),
    "features of one dimension": npz(features=np.ones(5, np.float32)),
    "features of doubles": npz(features=np.ones((5, 128))),
    "features of NaN": npz(features=NAN),
    "features of no numbers": npz(features=np.ones((5, 0), np.float32)),
    "paths are numbers": npz(paths=np.arange(3)),
    "two paths": npz(paths=np.array(["a", "b"])),
    "labels of two dimensions": npz(labels=np.array([["a", "b", "c"]])),
    "meta is no text": npz(meta=np.array(1)),
    "meta is no JSON": npz(meta=np.array("{")),
    "meta is deep": npz(meta=np.array("[" * 100_000)),
    "meta is no object": npz(meta=np.array("[1]")),
    "format without digest": npz(meta=np.array('{"format": 1}')),
    "other format": npz(meta=np.array('{"format": 3}')),
    "no digest": npz(meta=np.array('{"format": 2}')),
    "digest of other kinds": npz(meta=np.array('{"format": 2, "digest": {"features": 1, "frames": 2, "rest": 3}}')),
    "no format": npz(meta=np.array("{}")),
    "four frames": npz(frames=np.ones((4, 3), np.float32)),
    "offsets fall": npz(offsets=np.array([0, 3, 2, 5])),
    "offsets too far": npz(offsets=np.array([0, 3, 4, 6])),
    "offsets are few": npz(offsets=np.array([0, 5])),
    "offsets are no whole numbers": npz(offsets=np.array([0.0, 2, 2, 5])),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_D3_broken_npz_is_refused_in_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "f.npz"
    path.write_bytes(BROKEN[kind])
    with pytest.raises(DataError, match=r"f\.npz: ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["f.npz"]


def test_the_unbroken_ones_are_read(tmp_path):
    for content, shape in ((GOOD, (5, 128)), (EMPTY, (0, 128))):
        (tmp_path / "f.npz").write_bytes(content)
        assert load(tmp_path / "f.npz").features.shape == shape


def test_D3_a_directory_that_claims_more_than_the_file_is_refused(tmp_path):
    """The sizes of a member, packed and not, stand 20 bytes behind the beginning of its entry in the directory."""
    place = GOOD.index(b"PK\x01\x02") + 20
    (tmp_path / "f.npz").write_bytes(GOOD[:place] + b"\xf0\xff\xff\xff" * 2 + GOOD[place + 8 :])
    with pytest.raises(DataError, match=r"would unpack to 4294967280 bytes"):
        load(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.csv", ""),
        ("f.csv", "a,b\n1,2\n"),
        ("f.csv", "path,label,0\na,b\n"),
        ("f.csv", "path,label\na,b\n"),
        ("f.csv", "path,label,0\na,b,nan\n"),
        ("f.csv", "path,label,0\na,b,1e99\n"),
        ("f.csv", "path,label,0\na,b,x\n"),
        ("f.csv", 'path,label,0\n"a,b,1\n'),
        ("f.jsonl", ""),
        ("f.jsonl", "{}\n"),
        ("f.jsonl", "[" * 100_000),
        ("f.jsonl", '{"path": "a", "values": [1]}\n{"path": "b", "values": [1, 2]}\n'),
        ("f.jsonl", '{"path": "a", "values": ["1"]}\n'),
        ("f.jsonl", '{"path": "a", "values": [[1]]}\n'),
        ("f.jsonl", '{"path": "a", "values": []}\n'),
        ("f.jsonl", '{"path": "a", "values": [NaN]}\n'),
        ("f.jsonl", '{"path": 1, "values": [1]}\n'),
        ("f.jsonl", '{"path": "a", "label": 1, "values": [1]}\n'),
        ("f.jsonl", '{"path": "a\\ud800", "values": [1]}\n'),
        ("f.jsonl", '{"path": "a", "label": "\\udd00", "values": [1]}\n'),
        ("f.npy", "x"),
    ],
)
def test_D3_broken_texts_are_refused_in_one_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=name) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def parquet_columns():
    """Columns as `save` writes them, and the schema's metadata."""
    import pyarrow as pa

    numbers = pa.array(np.arange(12, dtype=np.float32))
    features = pa.FixedSizeListArray.from_arrays(numbers, 4)
    return {"path": pa.array(["a", "b", "c"]), "label": pa.array(["", "x", "x"]), "features": features}


def parquet_of(metadata=None, compression="none", **changes):
    """Return a Parquet file of another program, or of imgtool, with some columns changed, added, or left out (None)."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: column for name, column in (parquet_columns() | changes).items() if column is not None}
    own = {"imgtool": metadata, "imgtool.features": "1"} if metadata else {}
    table = pa.table(columns).replace_schema_metadata(own)
    stream = io.BytesIO()
    parquet.write_table(table, stream, compression=compression)
    return stream.getvalue()


def lists(values, width=4, value_type="float32"):
    import pyarrow as pa

    return pa.array(values, pa.list_(getattr(pa, value_type)(), *([width] if width else [])))


BROKEN_PARQUET = {
    "no path": lambda: parquet_of(path=None),
    "no features": lambda: parquet_of(features=None),
    "strange column": lambda: parquet_of(more=parquet_columns()["path"]),
    "paths are numbers": lambda: parquet_of(path=np.arange(3)),
    "labels are numbers": lambda: parquet_of(label=np.arange(3)),
    "path_bytes are texts": lambda: parquet_of(path_bytes=parquet_columns()["path"]),
    "a path is missing": lambda: parquet_of(path=["a", None, "c"]),
    "a label is missing": lambda: parquet_of(label=["a", None, "c"]),
    "features are missing": lambda: parquet_of(features=lists([[1] * 4, None, [1] * 4])),
    "a number is missing": lambda: parquet_of(features=lists([[1] * 4, [1, None, 1, 1], [1] * 4])),
    "features of several lengths": lambda: parquet_of(features=lists([[1], [1, 2], []], width=0)),
    "features of doubles": lambda: parquet_of(features=lists([[1] * 4] * 3, value_type="float64")),
    "features are no lists": lambda: parquet_of(features=np.ones(3, np.float32)),
    "features of NaN": lambda: parquet_of(features=lists([[1, 2, np.nan, 4]] * 3)),
    "meta is no JSON": lambda: parquet_of(b"{"),
    "meta is no text": lambda: parquet_of(b"\xff"),
    "meta is deep": lambda: parquet_of(b"[" * 100_000),
    "format without digest": lambda: parquet_of(b'{"format": 1}'),
    "other format": lambda: parquet_of(b'{"format": 3}'),
    "no digest": lambda: parquet_of(b'{"format": 2}'),
    "cut": lambda: parquet_of()[:-30],
    "cut early": lambda: parquet_of()[:50],
    "a pickle": lambda: pickle.dumps(Bomb()),
    "bomb": lambda: parquet_of(path=[""] * 500, label=[""] * 500, compression="zstd",
                               features=lists(np.zeros((500, 5000), np.float32).tolist(), 5000)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_PARQUET)
def test_D3_broken_parquet_is_refused_in_one_line(tmp_path, monkeypatch, kind):
    needs(".parquet")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.parquet").write_bytes(BROKEN_PARQUET[kind]())
    with pytest.raises(DataError, match=r"f\.parquet: ") as caught:
        load("f.parquet")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["f.parquet"]


def test_parquet_of_others_is_read(tmp_path):
    needs(".parquet")
    (tmp_path / "f.parquet").write_bytes(parquet_of(compression="zstd"))
    assert load(tmp_path / "f.parquet").features.tolist() == np.arange(12.0).reshape(3, 4).tolist()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".jsonl", ".parquet"])
def test_D3_files_with_changed_bytes_are_read_or_refused_in_one_line(tmp_path, suffix):
    needs(suffix)
    path = tmp_path / f"f{suffix}"
    save(path, local() if suffix == ".npz" else example())
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), []
    for turn in range(400):
        content = bytearray(whole)
        place = int(rng.integers(len(content)))
        if turn % 4 == 0:
            del content[place:]
        elif turn % 4 == 1:
            content[place:place] = content[max(place - 20, 0) : place]
        else:
            for each in rng.integers(len(content), size=turn % 4):
                content[each] = rng.integers(256)
        path.write_bytes(content)
        try:
            load(path)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert [each for each in refused if not each.startswith(str(path)) or "\n" in each] == []


@pytest.mark.parametrize("kind", ["vectors", "local", "parquet", "odd parquet"])
def test_D6_a_changed_bit_is_refused_or_changes_nothing(tmp_path, kind):
    """Every byte of the file, one bit of it."""
    tables = {"local": local(), "parquet": replace(example(), paths=["a", "b", "c"])}
    table = tables.get(kind, example())
    needs(suffix := ".parquet" if "parquet" in kind else ".npz")
    path = tmp_path / f"f{suffix}"
    save(path, table)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), []
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place] + bytes([byte ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        try:
            assert same(load(path), table), place
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > len(whole) // 2
    assert [each for each in refused if not each.startswith(f"{path}: ") or "\n" in each] == []


def same(one, other):
    """Tell whether two tables hold the same."""
    arrays = [(getattr(one, name), getattr(other, name)) for name in ("features", "frames", "offsets")]
    texts = [(list(getattr(one, name)), list(getattr(other, name))) for name in ("paths", "labels")]
    equal = all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in arrays)
    return equal and all(a == b for a, b in texts) and one.meta == other.meta


def test_D6_a_change_that_fits_all_checksums_is_refused(tmp_path):
    """NumPy reads the members and writes them anew, with other numbers, names or settings."""
    save(tmp_path / "f.npz", local())
    with np.load(tmp_path / "f.npz") as file:
        members = {name: file[name] for name in file.files}
    meta = members["meta"].item()
    changes = {
        "features": members["features"] + np.float32(1),
        "frames": members["frames"][::-1],
        "offsets": np.array([0, 1, 2, 5]),
        "paths": members["paths"][::-1],
        "labels": np.array(["dog", "dog", ""]),
        "meta": np.array(meta.replace('"cell": 8', '"cell": 9')),
    }
    for name, change in changes.items():
        np.savez(tmp_path / "g.npz", **{**members, name: change})
        with pytest.raises(DataError, match=r"is damaged: .* changed since they were written"):
            load(tmp_path / "g.npz")
    assert changes.keys() == members.keys()


def test_missing_files_and_folders_are_refused(tmp_path):
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "f.npz")
    with pytest.raises(DataError, match="is a directory"):
        load(tmp_path / "d.npz")


@given(st.binary(max_size=300), st.integers(0, 3000))
def test_checksum_of_two_parts_is_that_of_both(first, length):
    second = bytes(range(256)) * (length // 256 + 1)
    second = second[:length]
    assert crc_of_concatenation(zlib.crc32(first), zlib.crc32(second), length) == zlib.crc32(first + second)


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_D6_large_blocks_are_hashed_beside_reading_and_writing_to_the_same_digest(suffix, tmp_path, monkeypatch):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    values = np.random.default_rng(0).random((3000, 512), np.float32)
    table = FeatureTable(values, [f"{index}.png" for index in range(3000)], [""] * 3000, {"a": 1})
    contents, threads = [], []
    update = ThreadPoolExecutor.submit
    monkeypatch.setattr(
        ThreadPoolExecutor, "submit", lambda *given: (threads.append(given[2].nbytes), update(*given))[1]
    )
    for least in (digests.BESIDE_BYTES, 1 << 40, 1):
        monkeypatch.setattr(digests, "BESIDE_BYTES", least)
        place = tmp_path / f"{least}.{suffix}"
        save(place, table)
        contents.append(place.read_bytes())
        np.testing.assert_array_equal(load(place).features, values)
    assert contents[0] == contents[1] == contents[2]
    assert sum(threads) >= 2 * values.nbytes  # written and read
    meta = json.loads(str(np.load(tmp_path / f"1.{suffix}")["meta"])) if suffix == "npz" else None
    assert meta is None or meta["digest"]["features"] == hashlib.sha256(values.tobytes()).hexdigest()


def test_a_reader_that_stops_early_leaves_no_thread_behind(tmp_path):
    blocks = digests.hashed((np.zeros((512, 1024), np.float32) for _ in range(9)), hashlib.sha256())
    next(blocks)
    before = threading.active_count()
    blocks.close()
    assert threading.active_count() < before
