"""A comparison as one self-contained page of HTML: no script, every name escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from imgtool.evaluation.table import html_table, to_html, visible

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td:first-child, .facts td, .facts th { text-align: left; }
td { overflow-wrap: anywhere; }
.facts td:first-child { min-width: 12rem; }
thead th { border-bottom: 2px solid #222; }
.models { width: 100%; }
.models td:not(:first-child) { white-space: nowrap; }
.fail { color: #a40000; }
svg { width: 100%; height: auto; }
"""
EXPLANATION = (
    "Errors are shares of the same {n} held-out images. Intervals are Wilson's at 95 %. p is McNemar's exact test "
    "against the first model: the probability of a difference at least as large if both erred equally often. With "
    "several models, one small p among many is to be expected. Times are wall time on the machine that ran this; an "
    "image's time leaves reading it out."
)
SHOWN_PAIRS = 20
SHOWN_ELSEWHERE = {"path", "images", "classes", "models", "duplicates", "seen", "counts"}
NAME_LENGTH = 22  # characters that fit beside a bar


def page(record: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """Return the page for a comparison's record; remarks: its warnings."""
    rows = record["models"]
    good = [row for row in rows if not row.get("error")]
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>imgtool compare</title><style>{STYLE}</style></head><body>",
        "<h1>Comparison of classifiers</h1>",
        *map(_warning, remarks),
        to_html(rows) if good else "",
        *(_warning(f"{row['model']}: failed: {row['error']}") for row in rows if row.get("error")),
        _bars(good) if good else "",
        f"<p>{EXPLANATION.format(n=record['images'])}</p>",
        "<h2>Data</h2>",
        _facts({"data": record["path"]}),
        _counts(record["counts"]),
        _pairs(record["duplicates"]),
        "<h2>How it was made</h2>",
        _facts({name.replace("_", " "): value for name, value in record.items() if name not in SHOWN_ELSEWHERE}),
        _facts({row["model"]: _about(row) for row in good}),
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def text(value: object) -> str:
    """Return a value as HTML's text: markup escaped, characters that are no ink or reorder a line as their codes."""
    return escape(visible(_words(value)))


def _words(value: object) -> str:
    """Return a setting or a fact as a reader wants it."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return "–" if value is None or value == "" else str(value)


def _bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a drawing: each model's top-1 error as a dot, its interval as a line."""
    line, left, right = 34, 205, 775
    top: float = max(0.05, max(row["top1_interval"][1] for row in rows))
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if top / step <= 8)

    def x(share: float) -> str:
        return f"{left + (right - left) * share / top:.1f}"

    height = line * len(rows) + 40
    parts = [f'<svg viewBox="0 0 800 {height}" role="img" aria-label="top-1 error with 95 % intervals">']
    for tick in range(int(top / step) + 1):
        at = x(tick * step)
        parts.append(f'<line x1="{at}" x2="{at}" y1="5" y2="{height - 28}" stroke="#ddd"/>')
        label = f"{100 * tick * step:g} %"
        parts.append(f'<text x="{at}" y="{height - 8}" text-anchor="middle" font-size="13">{label}</text>')
    for index, row in enumerate(rows):
        y, (low, high) = line * index + 22, row["top1_interval"]
        name = row["model"] if len(row["model"]) <= NAME_LENGTH else "…" + row["model"][1 - NAME_LENGTH :]
        parts.append(f'<text x="{left - 12}" y="{y + 5}" text-anchor="end" font-size="14">{text(name)}</text>')
        parts.append(f'<line x1="{x(low)}" x2="{x(high)}" y1="{y}" y2="{y}" stroke="#369" stroke-width="3"/>')
        parts.append(f'<circle cx="{x(row["top1_error"])}" cy="{y}" r="5" fill="#369"/>')
    return "\n".join([*parts, "</svg>"])


def _counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return how many images each class has in each part."""
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    lines = [(text(name), *(str(part.get(name, 0)) for part in counts.values())) for name in names]
    sums = ("all", *(str(sum(part.values())) for part in counts.values()))
    return html_table(("class", *map(text, counts)), [*lines, sums])


def _facts(facts: Mapping[str, Any]) -> str:
    """Return names and values, a line each."""
    return html_table((), [(text(name), text(value) or "–") for name, value in facts.items()], "facts")


def _about(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about one model: settings, weights, data."""
    return {key: row[key] for key in ("classes", "settings", "init", "weights", "data") if row.get(key) is not None}


def _warning(line: str) -> str:
    """Return a warning, as HTML."""
    return f'<p class="fail">{text(line)}</p>'


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the list of equal images."""
    if not pairs:
        return ""
    some = f", the first {SHOWN_PAIRS} of {len(pairs)} pairs" if len(pairs) > SHOWN_PAIRS else ""
    lines = [(text(first), text(second)) for first, second in pairs[:SHOWN_PAIRS]]
    return f"<p>Equal images{some}:</p>" + html_table(("train", "test"), lines, "facts")
