"""Kernels from files and inline, and as text: numbers come back the same, anything else is refused in one line."""

import json
import os
import pickle
import re
import subprocess
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.cli.main import execute
from imgtool.errors import ParameterError
from imgtool.filters.kernel_files import load_kernel, matrix_text, parse_matrix
from imgtool.filters.kernel_text import read_matrix
from imgtool.filters.kernels import KERNELS, kernel
from locations import IMGTOOL

SUFFIXES = ("txt", "csv", "npy", "json")
matrices = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
                      elements=st.floats(allow_nan=False, allow_infinity=False))  # fmt: skip


def write(path, rows):
    """Write a matrix as each format has it."""
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(np.asarray(rows).tolist()))
    else:
        separator = "," if path.suffix == ".csv" else "  "
        path.write_text("\n".join(separator.join(map(repr, row)) for row in np.asarray(rows).tolist()) + "\n")
    return str(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(taps=matrices)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kernels_come_back_from_every_format(suffix, taps, tmp_path):
    np.testing.assert_array_equal(load_kernel(write(tmp_path / f"k.{suffix}", taps)), taps)


@given(matrices)
def test_text_is_read_back_to_the_bit(taps):
    text = matrix_text(taps)
    np.testing.assert_array_equal(parse_matrix(text), taps)
    assert len({len(line) for line in text.splitlines()}) == 1  # in columns


@pytest.mark.parametrize("name", KERNELS)
def test_every_named_kernel_is_read_back(name):
    np.testing.assert_array_equal(parse_matrix(matrix_text(kernel(name))), kernel(name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.txt", "1 0 -1\n2 0 -2\n1 0 -1\n"),
        ("k.txt", "\ufeff1\t0\t-1\r\n2 0 -2\r\n\r\n1 0 -1"),
        ("k", "1 0 -1;2 0 -2;1 0 -1"),
        ("k.csv", "1,0,-1\n2,0,-2\n1,0,-1"),
        ("K.JSON", "[[1,0,-1],[2,0,-2],[1,0,-1.0]]"),
    ],
)
def test_the_same_kernel_in_many_forms(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    np.testing.assert_array_equal(load_kernel(str(tmp_path / name)), kernel("sobel-x"))


SOBEL = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
CERTAIN = {
    "semicolons": ("1;0;-1\n2;0;-2\n1;0;-1\n", SOBEL),
    "semicolons at the ends too": ("1;0;-1;\r\n2;0;-2;\r\n1;0;-1;\r\n", SOBEL),
    "semicolons and blanks": ("1 ; 0 ; -1\n2 ; 0 ; -2\n1 ; 0 ; -1\n", SOBEL),
    "rows that end with semicolons": ("1 0 -1;\n2 0 -2;\n1 0 -1;\n", SOBEL),
    "a column with semicolons": ("1;\n0;\n-1;\n", [[1], [0], [-1]]),
    "a row a line and a semicolon": ("1 0 -1; 2 0 -2\n1 0 -1", SOBEL),
    "tabs": ("1\t0\t-1\n2\t0\t-2\n1\t0\t-1\n", SOBEL),
    "commas and blanks": ("1, 0, -1\n2 ,0, -2\n1,0,-1,\n", SOBEL),
    "decimal commas between semicolons": ("0,5;1;0,5\n1,25;2;-,5\n", [[0.5, 1, 0.5], [1.25, 2, -0.5]]),
    "decimal commas only between semicolons": ("0,5;0,1\n1,5;2,5\n", [[0.5, 0.1], [1.5, 2.5]]),
    "decimal commas between blanks": ("0,5 0,25\n1e-1 2,5E1\n", [[0.5, 0.25], [0.1, 25]]),
    "decimal commas between tabs": ("0,5\t1\n1\t2,5\n", [[0.5, 1], [1, 2.5]]),
    "two columns with a minus": ("1,0\n0,-1\n", [[1, 0], [0, -1]]),
    "two columns with a blank": ("1, 2\n3, 4\n", [[1, 2], [3, 4]]),
    "two columns with points": ("1.0,2.0\n3.5,4.0\n", [[1, 2], [3.5, 4]]),
    "taps like the sides of a mask": ("2.0 2.0\n1 2\n3 4\n", [[2, 2], [1, 2], [3, 4]]),
}
UNCERTAIN = {
    "a row or a column": ("1;0;-1\n", "rows that end with ';'.*';' between numbers"),
    "one number or two": ("0,5\n", "1 row of 2 .*1 row of 1"),
    "two columns or decimals": ("1,2\n3,4\n", "2 rows of 2 .commas.* 2 rows of 1 .decimal commas"),
    "pairs or decimals": ("0,5;0,25;0,5\n", "3 rows of 2 .*3 rows of 1"),
    "a mask or taps": ("2 2\n1 2\n3 4\n", "3 rows of 2 .*2 rows of 2 .a libvips mask"),
}


@pytest.mark.parametrize("what", CERTAIN)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "marked"])
def test_F24_kernels_as_other_programs_write_them(what, mark, tmp_path):
    text, taps = CERTAIN[what]
    for name in ("k.txt", "k.csv"):
        (tmp_path / name).write_bytes((mark + text).encode())
        np.testing.assert_array_equal(load_kernel(str(tmp_path / name)), taps)
    np.testing.assert_array_equal(parse_matrix(text), taps)


@pytest.mark.parametrize("what", UNCERTAIN)
def test_F24_kernels_with_two_readings_are_refused_naming_both(what, tmp_path, capsys):
    text, both = UNCERTAIN[what]
    (tmp_path / "k.csv").write_text(text)
    message = refused(capsys, tmp_path / "k.csv")
    assert re.search(both, message)
    if ";" not in text:
        with pytest.raises(ParameterError, match=both):
            parse_matrix(text)


MIXED = {
    "1 0 -1\n2,0,-2\n1 0 -1\n": "row 1 with blanks between numbers, row 2 with commas between numbers",
    "1;0;-1\n2;0;-2\n1,0,-1\n": "row 1 with ';' between numbers, row 3 with commas between numbers",
    "1,0,-1\n2\t0\t-2\n": "row 1 with commas between numbers, row 2 with blanks between numbers",
    "1,5 2\n1.5 2\n": "row 1 with decimal commas, row 2 with blanks between numbers",
    "1;2,5\n3.5;4\n": "row 1 with ';' between numbers and decimal commas, row 2 with ';' between numbers",
    "1 0 -1; 2,0,-2": "row 1 with blanks between numbers, row 2 with commas between numbers",
}


@pytest.mark.parametrize("text", MIXED)
def test_F24_kernels_whose_rows_are_written_in_different_ways_are_refused_saying_which(text, tmp_path, capsys):
    (tmp_path / "k.csv").write_text(text)
    message = refused(capsys, tmp_path / "k.csv")
    assert message.endswith(f"is written in more than one way: {MIXED[text]}\n")


@pytest.mark.parametrize("text", ["1 0 -1\n2 0\n", "1,2,3\n4,5\n", "1;2;3\n4,5\n"])
def test_rows_of_different_lengths_are_no_mixture(text, tmp_path, capsys):
    (tmp_path / "k.csv").write_text(text)
    assert "a kernel's rows must have the same length" in refused(capsys, tmp_path / "k.csv")


@pytest.mark.parametrize("text", ["0,5", "1 x", "1 2; 3"])
def test_F24_a_matrix_that_is_none_is_refused_by_its_option(text, capsys):
    assert execute(["filter", "--matrix", text, "--print-kernel"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("imgtool: --matrix: ")
    assert err.count("\n") == 1


def test_F24_what_the_refusal_advises_is_read(tmp_path):
    for text, taps in (("0.5", [[0.5]]), ("0 5", [[0, 5]]), ("1 0 -1", [[1, 0, -1]]), ("1\n0\n-1", [[1], [0], [-1]])):
        np.testing.assert_array_equal(parse_matrix(text), taps)
        (tmp_path / "k.csv").write_text(text)
        np.testing.assert_array_equal(load_kernel(str(tmp_path / "k.csv")), taps)


@given(matrices, st.sampled_from(" \t,;"))
def test_F24_any_matrix_by_any_separator_is_itself_or_refused(taps, separator):
    text = "\n".join(separator.join(repr(tap) for tap in row) for row in taps.tolist())
    try:
        read = read_matrix(text).taps
    except ParameterError:
        assert separator == ";"
        assert len(taps) == 1
        return
    np.testing.assert_array_equal(read, taps)


def test_F24_in_a_single_line_that_is_typed_a_semicolon_ends_a_row():
    np.testing.assert_array_equal(parse_matrix("1; 0; -1"), [[1], [0], [-1]])
    np.testing.assert_array_equal(parse_matrix("1,0,-1; 2,0,-2; 1,0,-1"), SOBEL)


MASKS = {
    "sides": ("3 3\n1 0 -1\n2 0 -2\n1 0 -1\n", 1),
    "scale": ("3 3 4 0\n1 0 -1\n2 0 -2\n1 0 -1\n", 4),
    "commas": ("3,3,4,0\n1,0,-1\n2,0,-2\n1,0,-1\n", 4),
    "sides in blanks": ("3 3 4.0 0.0\n1;0;-1\n2;0;-2\n1;0;-1\n", 4),
}


@pytest.mark.parametrize("what", MASKS)
def test_F24_masks_of_libvips_are_read_and_said(what, tmp_path, capsys):
    text, scale = MASKS[what]
    (tmp_path / "k.mat").write_text(text)
    np.testing.assert_array_equal(load_kernel("k.mat"), np.array(SOBEL) / scale)
    assert execute(["filter", "--kernel-file", "k.mat", "--print-kernel"]) == 0
    captured = capsys.readouterr()
    assert parse_matrix(captured.out).shape == (3, 3)
    assert captured.err.count("\n") == 1
    assert "libvips mask of 3x3" in captured.err
    assert ("scale 4" in captured.err) == (scale == 4)
    np.save("a.npy", np.zeros((4, 4), np.uint8))
    assert execute(["filter", "--kernel-file", "k.mat", "a.npy", "-o", "b.npy"]) == 0
    assert "libvips mask" in capsys.readouterr().err
    assert execute(["filter", "--quiet", "--kernel-file", "k.mat", "a.npy", "-o", "c.npy"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("head", ["3 3 4 128", "3 3 0 0"])
def test_F24_masks_that_are_no_kernels_are_refused(head, tmp_path, capsys):
    (tmp_path / "k.txt").write_text(f"{head}\n1 0 -1\n2 0 -2\n1 0 -1\n")
    assert "libvips mask with the" in refused(capsys, tmp_path / "k.txt")


@pytest.mark.parametrize("dtype", ["int8", "uint16", ">i4", "float16", ">f8", "float32"])
def test_npy_of_any_real_type_and_order(tmp_path, dtype):
    taps = np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype))
    np.testing.assert_array_equal(load_kernel(write(tmp_path / "k.npy", taps)), taps.astype(float))
    row = np.arange(3.0)
    np.testing.assert_array_equal(load_kernel(write(tmp_path / "row.npy", row)), row[None])


@pytest.mark.parametrize("text", ["", ";", "1 2; 3", "1 x", "nan 1", "inf", "1e999", "1 " * 4097, "1;" * 4097])
def test_bad_matrices_are_refused(text):
    with pytest.raises(ParameterError):
        parse_matrix(text)


class Hostile:
    def __reduce__(self):
        return (open, ("executed", "w"))


def refused(capsys, path):
    """Run the real command with a kernel file; return its one line."""
    assert execute(["filter", "--kernel-file", str(path), "image.png", "-o", "out.png"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"imgtool: {path}: ")
    assert not os.path.exists("out.png")
    assert not os.path.exists("executed")
    return captured.err


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


TEXTS = {
    "txt": {"words": "one two", "ragged": "1 2\n3", "NaN": "1 nan", "infinite": "1 inf", "empty": "", "blank": " \n",
            "header": "# kernel\n1 2", "underscores": "1_0 2", "an empty place": "1,,2", "mixed": "1 0, 2 0",
            "uneven by semicolons": "1;2;3\n4;5", "a number too many": "1;2\n3"},
    "csv": {"words": "a,b\n1,2", "ragged": "1,2\n3,4,5", "NaN": "1,NaN", "infinite": "-inf,1", "empty": "",
            "quoted": '"1","2"'},
    "json": {"words": '[["a"]]', "number texts": '[["1", "2"]]', "ragged": "[[1, 2], [3]]", "NaN": "[[1, NaN]]",
             "infinite": "[[1, Infinity]]", "empty": "", "object": "{}", "null": "[[1, null]]", "true": "true",
             "true inside": "[[true]]", "three axes": "[[[1]]]", "mixed": "[[1], 2]", "no rows": "[]",
             "empty rows": "[[], []]", "cut": "[[1, 2", "deep": "[" * 100_000, "deeper": '{"a":' * 100_000,
             "huge integer": f"[[1{'0' * 400}]]", "endless integer": f"[[{'9' * 10_000}]]"},
}  # fmt: skip


@pytest.mark.parametrize(("suffix", "what"), [(suffix, what) for suffix in TEXTS for what in TEXTS[suffix]])
def test_F14_text_that_is_no_kernel(suffix, what, tmp_path, capsys):
    path = tmp_path / f"k.{suffix}"
    path.write_text(TEXTS[suffix][what])
    refused(capsys, path)


ARRAYS = {
    "NaN": np.array([[1, np.nan]]),
    "infinite": np.array([[1, -np.inf]]),
    "texts": np.array([["1", "2"]]),
    "complex": np.array([[1j]]),
    "booleans": np.array([[True]]),
    "times": np.array([["2020-01-01"]], "datetime64[D]"),
    "records": np.zeros((2, 2), [("a", float)]),
    "three axes": np.zeros((1, 1, 1)),
    "no taps": np.zeros((0, 3)),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_F14_arrays_that_are_no_kernel(what, tmp_path, capsys):
    np.save(tmp_path / "k.npy", ARRAYS[what])
    refused(capsys, tmp_path / "k.npy")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_F14_too_many_taps(suffix, tmp_path, capsys):
    for shape in ((1, 4097), (4097, 1)):
        assert "4096" in refused(capsys, write(tmp_path / f"k.{suffix}", np.ones(shape)))
    assert load_kernel(write(tmp_path / f"k.{suffix}", np.ones((1, 4096)))).shape == (1, 4096)
    assert load_kernel(write(tmp_path / f"k.{suffix}", np.ones((4096, 1)))).shape == (4096, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_F14_pickles_execute_nothing(suffix, tmp_path, capsys):
    path = tmp_path / f"k.{suffix}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Hostile(), protocol))
        refused(capsys, path)
    with open(path, "wb") as file:
        np.save(file, np.array([[Hostile()]], dtype=object), allow_pickle=True)
    refused(capsys, path)
    with open(path, "wb") as file:
        np.savez(file, kernel=np.array([[Hostile()]], dtype=object))
    refused(capsys, path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_F14_is_one_line_of_a_real_process(suffix, tmp_path):
    path = tmp_path / f"k.{suffix}"
    arguments = [*IMGTOOL, "filter", "--kernel-file", path, "image.png", "-o", "out.png"]
    np.save("hostile.npy", np.array([[Hostile()]], dtype=object), allow_pickle=True)
    for content in (pickle.dumps(Hostile()), Path("hostile.npy").read_bytes(), b"", b"\x93NUMPY\1\0\xff\xff{(["):
        path.write_bytes(content)
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert done.stderr.startswith(f"imgtool: {path}: ")
        assert not {"executed", "out.png"} & set(os.listdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_F14_binary_junk(suffix, tmp_path, capsys):
    rng = np.random.default_rng(0)
    path = tmp_path / f"k.{suffix}"
    for size in (1, 7, 100, 10_000):
        path.write_bytes(rng.bytes(size).replace(b";", b"x") + b"\xff\0")
        refused(capsys, path)


def test_F14_mutated_npy(tmp_path, capsys):
    """A file with some bytes changed is a kernel or is refused; nothing else happens."""
    write(tmp_path / "good.npy", np.ones((3, 3)))
    good = (tmp_path / "good.npy").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "k.npy"
    for turn in range(600):
        data = bytearray(good[: rng.integers(8, len(good))] if turn % 4 == 0 else good)
        for place in rng.integers(0, 128, rng.integers(1, 4)):
            data[place % len(data)] = rng.choice(list(b"\0 (),'{}[]0123456789<>fiOVL:\xff\n"))
        path.write_bytes(data)
        try:
            assert np.isfinite(load_kernel(str(path))).all()
        except ParameterError:
            refused(capsys, path)


@pytest.mark.parametrize("shape", ["(1000000, 1000000)", "(99999999999999999999, 2)", "(-1, 3)", "(4096, 4096)", "(2"])
def test_F14_npy_headers_that_lie(shape, tmp_path, capsys):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "k.npy").write_bytes(
        b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 99
    )
    refused(capsys, tmp_path / "k.npy")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_F14_huge_files_are_not_loaded(suffix, tmp_path, capsys):
    path = tmp_path / f"k.{suffix}"
    with open(path, "wb") as file:
        if suffix == "npy":
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f8", "fortran_order": False, "shape": (10_000, 12_500)}
            )
        file.truncate(1_000_000_000)  # a sparse file
    tracemalloc.start()
    try:
        refused(capsys, path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


MUCH = {"numbers.txt": "12 " * 4000 + "\n", "lines.csv": "1\n", "lists.json": "[],", "dicts.json": "{},",
        "numbers.json": "1.5,", "nested.json": "[[[[[[[]]]]]]],"}  # fmt: skip


@pytest.mark.parametrize("name", MUCH)
def test_F14_much_text_takes_less_than_1_gb(name, tmp_path, measured):
    opening, closing = ("[", "0]") if name.endswith("json") else ("", "x")
    row = MUCH[name]
    (tmp_path / name).write_text(opening + row * ((16 << 20) // len(row) - 1) + closing)
    done, megabytes = measured("filter", "--kernel-file", name, "image.png", cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"imgtool: {name}: ")
    assert megabytes < 1 << 10


def test_F14_places_without_a_kernel(tmp_path, capsys):
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "dangling.npy").symlink_to("nothing")
    for name in ("folder.txt", "folder.npy", "dangling.npy", "missing.json", "missing.npy"):
        refused(capsys, tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero here")
def test_F14_endless_devices(tmp_path, capsys):
    for suffix in ("txt", "json", "npy"):
        (tmp_path / f"zero.{suffix}").symlink_to("/dev/zero")
        refused(capsys, tmp_path / f"zero.{suffix}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_kernel_comes_through_a_pipe(tmp_path):
    """As from bash's <(...)."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("1 0 -1",))
    writer.start()
    np.testing.assert_array_equal(load_kernel(str(tmp_path / "pipe")), [[1, 0, -1]])
    writer.join()
