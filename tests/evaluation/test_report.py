"""The report: escaped, self-contained, complete."""

import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from results import one_hot, result

from imgtool.cli.main import execute
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.runner import Result
from imgtool.evaluation.significance import mcnemar_exact
from imgtool.image.write import encode


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_report_escapes_names_and_asks_for_nothing_outside():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\n\u202e\udcff"
    labels = np.array([0, 1])
    results = [result(evil, one_hot(labels, 2), evil, facts={"settings": {evil: evil}}), Result("no", evil)]
    counts, facts = {evil: {evil: 1}, "test": {"b": 1}}, {evil: [evil], "one": {evil: evil}}
    made = Comparison((evil, "b"), labels, results, [(evil, evil)], [evil], counts, facts, evil).to_html()
    tags = Tags()
    tags.feed(made)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe", "link", "object"}
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, attributes in tags.seen for name in attributes
    )
    assert made.count("alert(1)&lt;/script&gt;") >= 12
    assert made.isascii() or not set(made) & {"\u202e", "\udcff"}
    assert "\\u202e" in made
    assert "http" not in made.replace("http-equiv", "")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="there is no Chromium here")
def test_nothing_in_the_report_runs_in_a_browser(tmp_path, capsys):
    evil = [
        "<img src=x onerror=\"document.title='run'\">",
        "<script>document.title='run'<\\script>",
        "'\"><svg onload=alert(1)>",
    ]
    for name in evil:
        for index in range(4):
            path = tmp_path / "data" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((32, 32), index // 2, np.uint8), "png"))
    report = tmp_path / "report.html"
    command = [
        "compare",
        str(tmp_path / "data"),
        "--model",
        "two-layer",
        "--epochs",
        "1",
        "-q",
        "--report",
        str(report),
    ]
    assert execute(command) == 0
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]  # fmt: skip
    done = subprocess.run([BROWSER, *flags, report.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    tags = Tags()
    tags.feed(done.stdout)
    assert "<title>imgtool compare</title>" in done.stdout
    assert {"table", "svg", "circle"} <= {tag for tag, _ in tags.seen}
    assert not {tag for tag, _ in tags.seen} & {"script", "img"}
    assert not any(name.startswith("on") for _, attributes in tags.seen for name in attributes)


def test_report_holds_the_table_the_counts_and_how_it_was_made():
    labels = np.arange(60) % 6
    wrong = (labels + (np.arange(60) < 12)) % 6
    counts = {"train": dict.fromkeys("abcdef", 20), "test": dict.fromkeys("abcdef", 10)}
    results = [
        result("good", one_hot(labels, 6), train_seconds=1.5, weights_bytes=3_000_000),
        result("bad", one_hot(wrong, 6), weights_bytes=1),
        Result("gone", "needs the extra 'torch'"),
    ]
    facts = {"seed": 7, "sha256": {"test": "ab" * 32}}
    made = Comparison(tuple("abcdef"), labels, results, [("x", "y")], ["bad"], counts, facts, "photos").to_html()
    low, high = wilson(12, 60)
    for part in ("20.0%", f"{100 * low:.1f}-{100 * high:.1f}", "<th>95 % CI</th>", f"{mcnemar_exact(12, 0):.2g}",
                 "3.00",
                 "needs the extra &#x27;torch&#x27;", "ab" * 32, "photos",
                 "<td>120</td><td>60</td>",
                 "<td>x</td><td>y</td>",
                 "1 pair of equal images stands",
                 "bad: was trained on these test images"):  # fmt: skip
        assert part in made, part
    assert made.count("<circle") == 2
    assert "<svg" not in Comparison(("a", "b"), labels, [Result("gone", "reason")]).to_html()
