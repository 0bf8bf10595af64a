"""One table of columns: every form of it holds the same numbers."""

import csv
import io
import json
import re

import numpy as np
import pytest
from results import one_hot, result

from imgtool.cli.tables import align, align_within
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.runner import Result
from imgtool.evaluation.table import COLUMNS, blocks, cells, to_csv, to_markdown

LABELS = np.arange(60) % 6
MEASURED = {
    "settings": {"k": 1}, "ms_per_image": 4.0, "ms_per_image_p95": 5.5, "images_per_second": 812.4, "batch": 64,
    "parameters": 1_234_567, "peak_bytes": 98_700_000, "device": "cpu", "history": [{"epoch": 1}],
}  # fmt: skip


@pytest.fixture
def comparison():
    wrong = (LABELS + (np.arange(60) < 12)) % 6
    seconds = {"read": 9.0, "prepare": 0.03, "features": 0.06, "decide": 0.06}
    results = [
        result("a|b", one_hot(LABELS, 6), train_seconds=1.25, weights_bytes=3_456_789, seconds=seconds),
        result("second", one_hot(wrong, 6), weights_bytes=120_000, facts=MEASURED),
        Result("gone", "needs <the> extra 'torch'"),
    ]
    return Comparison(tuple("abcdef"), LABELS, results)


def test_every_key_of_a_row_has_one_column(comparison):
    keys = [column.key for column in COLUMNS]
    assert len(set(keys)) == len(keys)
    assert set(comparison.rows()[0]) <= set(keys)
    assert set(comparison.rows()[1]) - set(keys) == {"settings"}  # what a model tells of itself stands in JSON only


def test_each_form_shows_the_same_numbers(comparison):
    rows = comparison.rows()
    headings, lines = cells(rows)
    markdown = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in to_markdown(rows).splitlines()
    ]
    assert [markdown[0], *markdown[2:]] == [headings, *lines]
    plain = list(csv.DictReader(io.StringIO(to_csv(rows))))
    for row, each, line in zip(json.loads(comparison.to_json())["models"], plain, lines, strict=True):
        assert (row["model"], row.get("error") or "") == (each["model"], each["reason"])
        if row.get("error"):
            assert set(line[1:]) == {"-", row["error"]}
            continue
        words = ("model", "reason", "among", "device")
        numbers = {key: float(each[key]) for key in each if each[key] and key not in words}
        for key in ("top1", "top5", *(["difference"] if row["difference"] is not None else [])):
            assert [numbers.pop(f"{key}_low"), numbers.pop(f"{key}_high")] == row[f"{key}_interval"]
        assert numbers == {key: row[key] for key in numbers}
        empty = {re.sub("_(low|high)$", "_interval", key) for key in each if not each[key]} - {"reason"}
        assert {key for key, value in row.items() if value is None} == empty
        text = dict(zip(headings, line, strict=True))
        assert text["top-1 error"] == f"{100 * row['top1_error']:.1f}%"
        assert text["ms/image"] == f"{row['ms_per_image']:.1f}"
        assert text["MB"] == f"{row['bytes'] / 1e6:.2f}"


def test_the_table_as_it_is_read(comparison):
    assert to_markdown(comparison.rows()[:2]) == (
        "| model | top-1 error | 95 % CI | top-5 error | 95 % CI | worse by | 95 % CI | p | class acc. "
        "| log loss | ECE | train s | ms/image | p95 ms | images/s | batch | parameters | MB | peak MB | device |\n"
        f"| --- |{' --: |' * 19}\n"
        "| a\\|b | 0.0% | 0.0-6.0 | 0.0% | 0.0-6.0 | - | - | - | 100.0% | 0.09 | 8.3% "
        "| 1.2 | 2.5 | - | - | - | - | 3.46 | - | - |\n"
        "| second | 20.0% | 11.8-31.8 | 6.7% | 2.6-15.9 | 20.0% | 9.7 to 30.6 | 0.00049 | 80.0% | 0.89 | 11.7% "
        "| - | 4.0 | 5.5 | 812 | 64 | 1,234,567 | 0.12 | 99 | cpu |\n"
    )


def test_a_terminal_shows_errors_then_costs_then_failures(comparison):
    (errors, lines), (costs, more), (reasons, failed) = blocks(comparison.rows())
    assert errors == ["model", "top-1 error", "95 % CI", "worse by", "95 % CI", "p"]
    assert costs == ["model", "top-5 error", "class acc.", "log loss", "ECE", "train s", "ms/image", "images/s", "MB"]
    assert reasons == ["model", "reason"]
    assert [line[0] for line in lines] == [line[0] for line in more] == ["a|b", "second"]
    assert failed == [["gone", "needs <the> extra 'torch'"]]
    assert len(blocks(comparison.rows()[2:])) == 1


@pytest.mark.parametrize("name", ["a", "two-layer", "alexnet@imagenette", 40 * "a"])
@pytest.mark.parametrize("width", [70, 80, 110, 200])
def test_tables_that_are_too_wide_are_divided_evenly(comparison, name, width):
    rows = [{**row, "model": name} for row in comparison.rows()[:2]]
    for headings, lines in blocks(rows):
        whole, parts = align(headings, lines), align_within(width, headings, lines, kept=["95 % CI"]).split("\n\n")
        assert max(len(line) for part in parts for line in part.splitlines()) <= width
        if max(map(len, whole.splitlines())) <= width:
            assert parts == [whole]
        cells = [[re.split(r"\s{2,}", line) for line in part.splitlines()] for part in parts]
        assert all(line[0] == name for part in cells for line in part[1:])
        assert [cell for part in cells for cell in part[0][1:]] == headings[1:]
        assert not any(part[0][1] == "95 % CI" for part in cells)
        for place, line in enumerate(lines, 1):
            assert [cell for part in cells for cell in part[place][1:]] == line[1:]


def test_columns_where_no_row_has_anything_are_left_out(comparison):
    first = comparison.rows()[0]
    assert not {"worse by", "p", "batch", "reason", "among"} & set(cells([first])[0])
    assert "among" in cells([{**first, "among": "data"}])[0]


def test_names_cannot_break_out_of_a_line():
    name = "a\nb\u202e\udcff<b>"
    rows = [{"model": name, "error": name}]
    for text in (to_markdown(rows).splitlines()[-1], to_csv(rows).splitlines()[-1]):
        assert text.count("a\\nb\\u202e\\udcff<b>") == 2
