"""How the report looks, measured in Chromium without a window: on a phone, on a desk, in the dark and on paper."""

import numpy as np
import pytest
from pages import comparison_of, drawn_network, photograph
from test_report import EVIL, whole_comparison

from browser import CHROMIUM, Browser
from imgtool.image.write import encode

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: how the report looks is not tested"),
]
WIDTHS = (390, 1280)
LEAST_LETTERS_PIXELS = 11
LEAST_CONTRAST = 4.5  # of letters against what is behind them: WCAG 2.2, level AA

OPEN_DETAILS = "document.querySelectorAll('details').forEach(each => each.open = true)"
# What lies beyond the right edge of the window, as tags and classes.
BEYOND = """[...document.querySelectorAll('body *')].filter(each => each.getClientRects().length
  && each.getBoundingClientRect().right > innerWidth + 0.5).map(each => each.outerHTML.slice(0, 120))"""
# Pixels of the letters of each text that is seen, those of drawings as large as these are shown.
LETTERS = """[...document.querySelectorAll('body *')].filter(each => each.getClientRects().length
  && [...each.childNodes].some(child => child.nodeType === 3 && child.data.trim())).map(each => {
    const size = parseFloat(getComputedStyle(each).fontSize), place = each.getScreenCTM && each.getScreenCTM();
    return [each.textContent.slice(0, 40), place ? size * Math.hypot(place.a, place.b) : size];
  })"""
# Contrast of each text that is seen outside of heat maps, whose cells have shades of their own.
CONTRASTS = """(() => {
  const numbers = color => color.match(/[0-9.]+/g).map(Number);
  const light = color => numbers(color).slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = each => {
    const color = getComputedStyle(each).backgroundColor;
    return numbers(color)[3] === 0 && each.parentElement ? behind(each.parentElement) : color;
  };
  return [...document.querySelectorAll('body *')].filter(each => each.getClientRects().length
    && !each.matches('[class^=on-]') && [...each.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
    .map(each => {
      const style = getComputedStyle(each);
      const [one, other] = [each.namespaceURI.endsWith('svg') ? style.fill : style.color, behind(each)].map(light);
      return [each.textContent.slice(0, 40), (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)];
    });
})()"""
SHOWN = "getComputedStyle(document.querySelector('{}')).{}"


def pages():
    """Return comparisons of many kinds, by what is special about each."""
    fifteen, long = (
        tuple(f"{letter}livingroom" for letter in "abcdefghijklmno"),
        [f"runs/{'very-' * 12}long-name-{place}/" for place in range(12)],
    )
    models = ["sift-fv-svm", "hog-svm", "gist-svm", "lenet", "cnn-svm"]
    return {
        "usual": comparison_of(fifteen, models, n=1100, images=photograph, fitted={"lenet": drawn_network(fifteen)}),
        "hostile": whole_comparison(EVIL),
        "large": comparison_of(tuple(f"class number {place}" for place in range(100)), long, n=1000, images=photograph),
        "one": comparison_of(("a" * 200, "b"), ["two-layer"]),
        "failed": comparison_of(("a", "b"), [], failed=[("sift-fv-svm", "x" * 500)]),
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture(scope="module", params=pages())
def report(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "report.html"
    path.write_text(pages()[request.param].to_html(command="imgtool compare photos"), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("open_details", [False, True])
def test_nothing_lies_beyond_the_right_edge_and_letters_can_be_read(browser, report, width, open_details):
    browser.open(report, width)
    if open_details:
        browser.evaluate(OPEN_DETAILS)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(BEYOND) == []
    letters = browser.evaluate(LETTERS)
    assert len(letters) > 10
    assert [each for each in letters if each[1] < LEAST_LETTERS_PIXELS - 0.01] == []


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out_on_light_and_on_dark_screens(browser, report, dark):
    browser.open(report, 1280, dark=dark)
    browser.evaluate(OPEN_DETAILS)
    page = browser.evaluate(SHOWN.format("body", "backgroundColor"))
    assert (page == "rgb(255, 255, 255)") != dark
    assert [each for each in browser.evaluate(CONTRASTS) if each[1] < LEAST_CONTRAST] == []


def test_C3_nothing_is_asked_for_and_nothing_runs(browser, report):
    browser.open(report, 1280)
    assert [address for address in browser.requests() if not address.startswith("data:")] == [report]
    assert browser.evaluate("document.title") == "imgtool compare"
    assert browser.evaluate("document.querySelectorAll('script, [onload], [onerror], [href]').length") == 0
    assert browser.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    told = [more for method, more in browser.events if method in ("Log.entryAdded", "Runtime.consoleAPICalled")]
    assert told == []


@pytest.mark.parametrize("dark", [False, True])
def test_paper_is_white_and_has_what_is_open(browser, report, dark):
    browser.open(report, 700, dark=dark, media="print")
    assert browser.evaluate(SHOWN.format("body", "backgroundColor")) == "rgb(255, 255, 255)"
    assert browser.evaluate("[...document.querySelectorAll('details')].every(each => !each.getClientRects().length)")
    assert browser.evaluate(BEYOND) == []
    assert min(size for _, size in browser.evaluate(LETTERS)) >= LEAST_LETTERS_PIXELS - 0.01
    assert browser.printed().startswith(b"%PDF")


def test_C3_class_folders_with_hostile_names_do_nothing(browser, run, tmp_path):
    """The whole way, from folders to the page in the browser."""
    for name in ("<img src=x onerror=\"document.title='run'\">", "<script>document.title='run'<\\script>",
                 "'\"><svg onload=alert(1)>"):  # fmt: skip
        for index in range(4):
            path = tmp_path / "data" / name / f"{name[:6]}{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((32, 32), index // 2, np.uint8), "png"))
    report = tmp_path / "report.html"
    done = run("compare", tmp_path / "data", "--model", "two-layer", "--epochs", 1, "-q", "--report", report)
    assert done.status == 0
    browser.open(report.as_uri(), 1280)
    assert browser.evaluate("document.title") == "imgtool compare"
    assert [address for address in browser.requests() if not address.startswith("data:")] == [report.as_uri()]
    assert browser.evaluate("document.querySelectorAll('script, [onload], [onerror]').length") == 0
    assert "<script>document.title='run'<\\script>" in browser.evaluate("document.body.textContent")
