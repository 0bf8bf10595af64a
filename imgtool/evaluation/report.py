"""A comparison as one page of HTML: no script, nothing from outside, every name escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #222; }
.fail { color: #a40000; text-align: left; }
svg { width: 100%; height: auto; }
footer { color: #666; font-size: 85%; margin-top: 2rem; }
"""
EXPLANATION = (
    "Errors are shares of the same held-out images. Intervals are Wilson's at 95 %. p is McNemar's exact test "
    "against the first model: the probability of a difference at least as large if both erred equally often."
)
HEADINGS = ("model", "top-1 error", "95 % interval", "top-5 error", "p", "train s", "ms/image", "MB")


def page(
    rows: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, int]],
    duplicates: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page.

    rows: of `Comparison.rows`; facts: name and value of what was done; counts: images of each class in each part;
    duplicates: pairs of equal images in both parts.
    """
    good = [row for row in rows if not row.get("error")]
    parts = [
        "<!doctype html>\n<html lang=en><meta charset=utf-8>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>imgtool compare</title><style>{STYLE}</style>",
        "<h1>Comparison of classifiers</h1>",
        _table(rows),
        _bars(good) if good else "",
        f"<p>{EXPLANATION}</p>",
        _duplicates(duplicates),
        "<h2>Data</h2>",
        _counts(counts),
        "<h2>How it was made</h2><table>",
        *(f"<tr><td>{escape(str(name))}<td>{escape(str(value))}" for name, value in facts.items()),
        "</table></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def percent(value: float | None) -> str:
    """Return a share as per cent."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of models."""
    lines = ["<table><thead><tr>", *(f"<th>{escape(name)}" for name in HEADINGS), "</thead>"]
    for row in rows:
        if row.get("error"):
            lines.append(f"<tr><td>{escape(row['model'])}<td class=fail colspan=7>{escape(row['error'])}")
            continue
        low, high = row["top1_interval"]
        cells = [
            escape(row["model"]),
            percent(row["top1_error"]),
            f"{100 * low:.1f} – {100 * high:.1f}",
            percent(row["top5_error"]),
            "" if row["p"] is None else f"{row['p']:.2g}",
            "as it is" if row["train_seconds"] is None else f"{row['train_seconds']:.1f}",
            f"{row['ms_per_image']:.1f}",
            f"{row['bytes'] / 1e6:.2f}",
        ]
        lines.append("<tr>" + "".join(f"<td>{cell}" for cell in cells))
    return "\n".join([*lines, "</table>"])


def _bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a drawing: each model's top-1 error as a dot, its interval as a line."""
    line, left, right = 34, 170, 780
    top: float = max(0.05, max(row["top1_interval"][1] for row in rows))
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if top / step <= 8)

    def x(share: float) -> float:
        return left + (right - left) * share / top

    height = line * len(rows) + 40
    parts = [f'<svg viewBox="0 0 800 {height}" role=img aria-label="top-1 error with 95 % intervals">']
    for tick in range(int(top / step) + 1):
        at = x(tick * step)
        parts.append(f'<line x1={at:.1f} x2={at:.1f} y1=5 y2={height - 28} stroke="#ddd" />')
        parts.append(f"<text x={at:.1f} y={height - 8} text-anchor=middle font-size=13>{100 * tick * step:g} %</text>")
    for index, row in enumerate(rows):
        y = line * index + 22
        low, high = row["top1_interval"]
        parts.append(f"<text x={left - 12} y={y + 5} text-anchor=end font-size=14>{escape(row['model'])}</text>")
        parts.append(f'<line x1={x(low):.1f} x2={x(high):.1f} y1={y} y2={y} stroke="#369" stroke-width=3 />')
        parts.append(f'<circle cx={x(row["top1_error"]):.1f} cy={y} r=5 fill="#369" />')
    return "\n".join([*parts, "</svg>"])


def _counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return how many images each class has in each part."""
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    head = "<table><thead><tr><th>class" + "".join(f"<th>{escape(part)}" for part in counts) + "</thead>"
    lines = [
        f"<tr><td>{escape(name)}" + "".join(f"<td>{part.get(name, 0)}" for part in counts.values()) for name in names
    ]
    return "\n".join([head, *lines, "</table>"])


def _duplicates(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a warning about images in both parts."""
    if not pairs:
        return ""
    shown = "".join(f"<li>{escape(first)} = {escape(second)}" for first, second in pairs[:50])
    return f"<p class=fail>{len(pairs)} pairs of equal images stand in both parts, which flatters:</p><ul>{shown}</ul>"
