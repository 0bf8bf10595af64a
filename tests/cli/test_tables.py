"""Rows as JSON Lines, CSV, TSV and tables."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.cli.messages import printable
from imgtool.cli.tables import align, cell, json_line, write_rows


def test_json_writes_what_json_has():
    row = {"path": "a.png", "values": np.array([0.1, np.nan, np.inf], np.float32), "n": np.int64(3), "none": None}
    assert json_line(row) == '{"path": "a.png", "values": [0.1, null, null], "n": 3, "none": null}\n'


def test_path_that_is_not_unicode_comes_as_bytes():
    raw = b"caf\xe9.png"
    row = json.loads(json_line({"path": raw.decode("utf-8", "surrogateescape")}))
    assert row == {"path_bytes": base64.b64encode(raw).decode()}


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=5), elements=st.floats(width=32, allow_nan=False)))
def test_float32_survives_json(values):
    back = np.array(json.loads(json_line({"v": values}))["v"], dtype=float)
    expected = np.where(np.isfinite(values), values, np.nan)
    np.testing.assert_array_equal(back.astype(np.float32), expected)


@given(st.text())
def test_nothing_printed_can_move_the_cursor(text):
    shown = printable(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200f\ud800" for c in shown)


def test_table_aligns_numbers_to_the_right_and_wide_letters_by_their_width():
    text = align(["path", "n"], [["日本.png", "5"], ["a.png", "10"]])
    assert text == "path       n\n日本.png   5\na.png     10\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.123456, "0.1235"),
        (True, "yes"),
        ([1, 2.5], "1 2.5"),
        (np.arange(6.0), "0 1 2 3 ..."),
        ("a\tb", "a\\tb"),
    ],
)
def test_cell(value, shown):
    assert cell(value) == shown


def test_separated_rows_leave_out_failures_and_spread_arrays(capsys):
    rows = [{"path": 'a,"b', "v": np.array([1.5, 2])}, {"path": "bad", "error": "no"}]
    write_rows(rows, format="csv", columns=("path", "v"))
    assert capsys.readouterr().out == 'path,v0,v1\n"a,""b",1.5,2.0\n'
    write_rows(rows, format="tsv", columns=("path", "v"))
    assert capsys.readouterr().out == 'a,"b\t1.5\t2.0\n'
