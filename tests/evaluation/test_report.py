"""The report: escaped, self-contained, complete; its drawings. Its looks are in test_report_in_a_browser.py."""

import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pages import Page, comparison_of, drawn_network, photograph
from results import one_hot, result

from imgtool.errors import ImageError
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.report.confusions import MAP_CLASSES
from imgtool.evaluation.report.drawing import Scale, log_scale
from imgtool.evaluation.report.markup import Html, tag, text
from imgtool.evaluation.report.models import COSTS, ERRORS
from imgtool.evaluation.report.speed import unbeaten
from imgtool.evaluation.report.wording import figure, interval, percent, probability, seconds, size
from imgtool.evaluation.runner import Result
from imgtool.evaluation.significance import mcnemar_exact
from imgtool.evaluation.table import COLUMNS, visible
from locations import ROOT

EVIL = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><svg onload=alert(1)>", "</style><b>",
    "&lt;&amp;", "javascript:alert(1)", "url(http://a.b/c)", "{{ 7 * 7 }} {% x %}", "\u202eevil\u2066", "a\nb\tc\0",
    "half \udcff", "]]>--><!--", "x" * 300, "\u05d0\u05d1\u05d2", "data:text/html,<script>alert(1)</script>",
)  # fmt: skip
TAGS = {
    "html", "head", "meta", "title", "style", "body", "section", "h1", "h2", "h3", "p", "ul", "li", "dl", "div", "dt",
    "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "small", "b", "bdi", "code", "details",
    "summary", "figure", "figcaption", "img", "svg", "g", "path", "line", "rect", "circle", "polyline", "text",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "style", "scope", "data-label", "src", "alt", "role",
    "aria-label", "aria-hidden", "width", "height", "viewbox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d",
    "points", "transform", "text-anchor", "fill-opacity", "stroke-dasharray",
}  # fmt: skip


def whole_comparison(words=None):
    """Return a comparison of which every part of a report is made; of hostile words, if they are given."""
    words = words or [f"name {letter}" for letter in "abcdefghijklmno"]
    classes = tuple(words[:8])
    models = [f"model {each}" for each in words[:3]]
    return comparison_of(
        classes, models, paths=[f"{words[place % len(words)]}/{place}.png" for place in range(60)], images=photograph,
        fitted={models[1]: drawn_network(classes)}, word=words[8], failed=[(words[9], words[10])],
        **{words[11]: words[12]},
    )  # fmt: skip


def test_C3_the_page_asks_for_nothing_and_runs_nothing_whatever_names_are():
    made = whole_comparison(EVIL).to_html(command=f"imgtool compare {EVIL[0]} {EVIL[2]}")
    page = Page(made)
    assert {name for name, _ in page.tags} <= TAGS
    assert {name for _, attributes in page.tags for name in attributes} <= ATTRIBUTES
    sources = [attributes["src"] for attributes in page.named("img")]
    assert len(sources) > 20
    assert all(re.fullmatch("data:image/(png|jpeg);base64,[A-Za-z0-9+/]+=*", source) for source in sources)
    styles = [attributes["style"] for _, attributes in page.tags if "style" in attributes]
    assert styles
    assert all(re.fullmatch(r"width: [\d.]+%", style) for style in styles)
    assert not re.search(r"url|import|http|expression|behavior|</", page.style)
    policy = [each["content"] for each in page.named("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    for word in EVIL[:13]:
        assert visible(word) in page.text, word
    assert all(character.isprintable() or character == "\n" for character in made)
    made.encode()


def test_C3_names_change_nothing_but_text():
    assert Page(whole_comparison(EVIL).to_html()).shape() == Page(whole_comparison().to_html()).shape()


@given(st.lists(st.text(min_size=1), min_size=6, max_size=6, unique_by=visible))
@settings(max_examples=15)
def test_C3_any_names_change_nothing_but_text(words):
    assume(len({each.lower() for each in words}) == 6)
    plain = [f"word {letter}" for letter in "abcdef"]
    made = [comparison_of(tuple(each[:3]), each[3:5], word=f"word {each[5]}").to_html() for each in (words, plain)]
    assert Page(made[0]).shape() == Page(made[1]).shape()


@given(st.text(), st.text())
def test_an_element_shows_what_it_was_given(value, attribute):
    page = Page(tag("p", value, tag("b", value), title=attribute))
    assert page.tags == [("p", {"title": visible(attribute)}), ("b", {})]
    assert "".join(page.texts) == 2 * visible(value)
    assert isinstance(text(value), Html)


def test_the_page_has_all_its_parts_in_order():
    page = Page(whole_comparison().to_html(command="imgtool compare photos"))
    parts = ["Take model name a", "The models", "Accuracy against speed", "What is taken for what", "The worst classes",
             "The surest mistakes", "Where the best two disagree", "How far its scores are to be believed",
             "Learning curves", "Where the network looks", "What they cost", "The data", "Remarks",
             "How it was made"]  # fmt: skip
    places = [re.sub(r"\s+", " ", page.text).index(part) for part in parts]
    assert places == sorted(places)
    for part in ("imgtool compare photos", "UTC", "numpy", "name j", "name k", "62,006", "200 MB", "ab" * 32):
        assert part in page.text


def test_the_table_holds_what_was_measured():
    labels = np.arange(60) % 6
    wrong = (labels + (np.arange(60) < 12)) % 6
    counts = {"train": dict.fromkeys("abcdef", 20), "test": dict.fromkeys("abcdef", 10)}
    results = [
        result("good", one_hot(labels, 6), train_seconds=1.5, weights_bytes=3_000_000),
        result("bad", one_hot(wrong, 6), weights_bytes=1),
        Result("gone", "needs the extra 'torch'"),
    ]
    found = ([("x", "y")], ["bad"], counts, {"seed": 7})
    page = Page(Comparison(tuple("abcdef"), labels, results, *found, "photos").to_html())
    for part in ("20.0 %", interval(wilson(12, 60)), probability(mcnemar_exact(12, 0)), "3 MB", "1 byte", "photos",
                 "needs the extra 'torch'", "6 classes, each with 20 to train on and 10 to measure on", "x", "y",
                 "1 pair of equal images", "bad: was trained on these test images"):  # fmt: skip
        assert part in page.text, part


def test_the_table_of_the_report_has_what_the_table_of_a_terminal_has():
    in_report = {key for each in (*ERRORS, *COSTS) for key in (each.key, each.ends) if key}
    assert in_report == {column.key for column in COLUMNS if column.heading} - {"model", "error", "among"}


def test_unequal_counts_are_a_table_and_of_many_classes_a_folded_one():
    labels = np.arange(60) % 6
    for classes, folded in ((tuple("abcdef"), 0), (tuple(f"class {number}" for number in range(60)), 1)):
        counts = {"train": dict.fromkeys(classes, 20) | {classes[1]: 33}, "test": dict.fromkeys(classes, 10)}
        page = Page(Comparison(classes, labels, [Result("gone", "reason")], (), (), counts).to_html())
        assert "33" in page.texts
        assert str(20 * len(classes) + 13) in page.texts
        assert len(page.named("details")) == folded


@pytest.mark.parametrize("models", [0, 1, 2, 12])
@pytest.mark.parametrize("classes", [2, 15])
def test_any_number_of_models_makes_a_page(models, classes):
    names = tuple(f"class {number}" for number in range(classes))
    made = comparison_of(names, [f"model {number}" for number in range(models)], failed=[("gone", "no memory")])
    page = Page(made.to_html())
    assert "gone" in page.text
    assert "no memory" in page.text
    assert all(f"model {number}" in page.text for number in range(models))
    assert len(page.named("svg")) == 0 if models == 0 else len(page.named("svg")) > models
    assert ("Accuracy against speed" in page.text) == (models > 1)


def test_what_can_not_be_had_any_more_is_left_out():
    def gone(index):
        raise ImageError("no such file")

    names = ("a", "b", "c")
    paths = [f"photos/{number}.jpg" for number in range(60)]
    page = Page(comparison_of(names, ["x", "y"], images=gone, paths=paths).to_html())
    assert not page.named("img")
    assert "Where the network looks" not in page.text
    assert {each for each in page.texts if each.endswith(".jpg")} <= {f"{number}.jpg" for number in range(60)}
    other = drawn_network(("a", "b", "c"))
    other.restore({name: np.full_like(values, 1e38) for name, values in other.arrays().items()})
    page = Page(comparison_of(names, ["x", "y"], images=photograph, fitted={"x": other}).to_html())
    assert len(page.named("img")) > 10


def test_a_model_that_is_always_right_has_no_mistakes_to_show():
    labels = np.arange(12) % 3
    results = [result(name, one_hot(labels, 3)) for name in ("one", "other")]
    page = Page(Comparison(tuple("abc"), labels, results).to_html())
    assert "The surest mistakes" not in page.text
    assert "one is right on every image" in re.sub(r"\s+", " ", page.text).replace(" is", " is")
    assert "one and other agree on every image" in page.text


def test_the_surest_mistakes_come_first():
    labels = np.zeros(20, int)
    scores = np.full((20, 2), 0.5)
    scores[:, 1] = np.linspace(0.3, 0.97, 20)
    scores[:, 0] = 1 - scores[:, 1]
    page = Page(
        Comparison(("a", "b"), labels, [result("x", scores)], paths=[f"{each}.png" for each in range(20)]).to_html()
    )
    named = [int(each.removesuffix(".png")) for each in page.texts if each.endswith(".png")]
    assert named == list(range(19, 7, -1))
    assert "97 %" in page.texts


def test_disagreements_are_counted():
    labels = np.zeros(10, int)
    one, other = np.array([0] * 8 + [1, 1]), np.array([0] * 5 + [1] * 3 + [0, 2])
    page = Page(
        Comparison(tuple("abc"), labels, [result("x", one_hot(one, 3)), result("y", one_hot(other, 3))]).to_html()
    )
    assert ("x and y say different classes of 5 of 10 images: 3 times only x is right, 1 time only y, 1 time neither."
            in page.text)  # fmt: skip


def test_a_thousand_classes_and_twelve_models_make_no_large_page():
    rng, classes = np.random.default_rng(0), tuple(f"class {number}" for number in range(1000))
    labels = np.arange(400)
    results = []
    for model in range(12):
        scores = rng.random((400, 1000), np.float32)
        scores[np.arange(400), labels] += rng.random(400) > 0.1 * model / 2
        results.append(result(f"model {model}", scores / scores.sum(axis=1, keepdims=True)))
        results[-1].predictions.__dict__["classes"] = classes
    counts = {"train": dict.fromkeys(classes, 1) | {classes[0]: 2}, "test": dict.fromkeys(classes, 2)}
    made = Comparison(classes, labels, results, (), (), counts, images=photograph).to_html()
    assert len(made) < 3e6


def test_twelve_classes_and_five_models_stay_under_3_mb():
    def noise(index):  # of which a JPEG can save nothing
        return np.random.default_rng(index).integers(256, size=(400, 400, 3), dtype=np.uint8)

    classes = tuple(f"class {number}" for number in range(12))
    models = [f"model {number}" for number in range(5)]
    comparison = comparison_of(classes, models, n=600, images=noise, fitted={"model 2": drawn_network(classes)})
    assert 1e5 < len(comparison.to_html()) < 3e6


def test_learning_curves_end_at_the_error_after_training_on_all_images():
    made = comparison_of(("a", "b", "c"), ["x", "y"])  # after training on 5, 10 and 20 of a class, and on 30
    for counts, sizes in (({"train": dict.fromkeys("abc", 30)}, 4), ({}, 3)):
        html = replace(made, counts=counts).to_html()
        drawings = re.findall("<svg[^>]*top-1 error against images to train on.*?</svg>", html, re.DOTALL)
        assert [len(re.findall('class="c[01] dot"', drawing)) for drawing in drawings] == [2 * sizes, 2 * sizes]


def test_small_images_keep_their_pixels():
    def digit(index):
        return np.full((28, 28), 8 * index % 256, np.uint8)

    page = Page(comparison_of(("a", "b"), ["x"], images=digit).to_html())
    assert {each["src"][:15] for each in page.named("img")} == {"data:image/png;"}
    assert all(each["class"] == "pixels" for each in page.named("img"))


def test_what_is_no_class_of_the_data_is_counted_as_others():
    """A model of other classes in another order."""
    labels, said = np.array([0, 0, 1, 1, 2, 2]), np.array([3, 2, 1, 0, 0, 0])
    made = result("x", one_hot(said, 4))
    made.predictions.__dict__["classes"] = ("c", "b", "z", "a")
    page = Page(Comparison(("a", "b", "c"), labels, [made]).to_html())
    start = page.texts.index("What is taken for what")
    cells = page.texts[start + 1 : page.texts.index("The worst classes")]
    drawing = ["a", "b", "c", "a", "b", "c", "others", "1", "1", "1", "1", "2"]
    assert cells[: 2 * len(drawing)] == 2 * drawing
    assert {"z", "c"} <= set(page.texts)


def test_of_many_classes_the_most_confused_are_drawn():
    classes = [f"class {number}" for number in range(50)]
    labels = np.arange(500) % 50
    said = np.where((labels >= 10) & (labels < 13) & (np.arange(500) % 3 == 0), labels + 20, labels)
    made = result("x", one_hot(said, 50))
    made.predictions.__dict__["classes"] = tuple(classes)
    page = Page(Comparison(tuple(classes), labels, [made]).to_html())
    drawing = page.texts[: page.texts.index("The worst classes")]
    assert len({each for each in drawing if each in classes}) == MAP_CLASSES
    assert {"class 10", "class 11", "class 12", "class 30", "class 31", "class 32"} <= set(drawing)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_nothing_beats_the_marked_models_and_something_beats_the_others(figures):
    class Row:
        def __init__(self, number, error, time):
            self.number, self.row = number, {"top1_error": error, "ms_per_image": time}

    front = unbeaten([Row(number, *each) for number, each in enumerate(figures)])
    for number, (error, time) in enumerate(figures):
        beaten = any((e < error and t <= time) or (e <= error and t < time) for e, t in figures)
        assert beaten != (number in front)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_few_round_numbers_on_the_scale(low, length, most):
    ticks = Scale(low, low + length, 0, 100).ticks(most)
    steps = {f"{b - a:.3e}" for a, b in pairwise(ticks)}
    assert len(ticks) <= most
    assert len(steps) <= 1
    assert all(step[0] in "125" for step in steps)
    assert all(low - 1e-6 * length <= tick <= low + length * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=9), st.integers(2, 9))
def test_logarithmic_scales_hold_their_numbers(values, most):
    scale = log_scale(values, 40, 300)
    assert all(40 < scale(value) < 300 for value in values)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most or max(values) / min(values) < 4
    assert all(f"{tick:e}"[0] in "1235" and 40 <= scale(tick) <= 300 for tick in ticks)


def test_numbers_are_written_as_a_reader_wants_them():
    assert [figure(value) for value in (0.366, 6.8, 99.96, 3423.2)] == ["0.366", "6.8", "100", "3,423"]
    assert [seconds(value) for value in (0.654, 53.2, 300, 9000)] == ["0.65 s", "53 s", "5 min", "2.5 h"]
    assert [size(count) for count in (12, 77_100, 250e3, 3e6, 6.4e9)] == [
        "12 bytes",
        "77.1 kB",
        "250 kB",
        "3 MB",
        "6.4 GB",
    ]
    assert [percent(0.0899), probability(1e-9), probability(0.125)] == ["9.0 %", "< 0.0001", "0.12"]


def test_the_report_needs_no_extra(tmp_path):
    """Neither matplotlib nor jinja2 nor what a model needs that is not in the comparison."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('matplotlib', 'jinja2', 'torch', 'sklearn')));"
        "from imgtool.cli.main import execute; sys.exit(execute(sys.argv[1:]))"
    )
    command = ["compare", "sample_images/textures", "--model", "two-layer", "--set", "epochs=2", "-q", "--format",
               "csv", "--report", str(tmp_path / "r.html")]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert f"imgtool {' '.join(command)}" in page.text


@pytest.mark.parametrize("count", [2, 40])
def test_numbers_in_the_place_of_names_are_explained(count):
    made = comparison_of(("a", "b"), [f"a model with a long name {number}" for number in range(count)])
    assert ("A number is a model" in made.to_html()) == (count == 40)
