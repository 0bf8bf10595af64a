"""What is taken for what: counts, errors by class, the file of predictions, pictures."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import one_hot, result

from imgtool.errors import DataError, ParameterError
from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.confusion_picture import RIGHT_COLOR, WRONG_COLOR, confusion_picture
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.mistakes import mistakes_sheet, surest_mistakes
from imgtool.evaluation.runner import Result
from imgtool.evaluation.store import Predictions

EVIL = "<b>=1+1\n\u202e\udcff,\"'"


@pytest.fixture
def comparison():
    """Of 4 images of a, 5 of b and none of c the first model labels 1 and 2 wrong, the second one 0 and 5."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    first = one_hot(np.array([1, 0, 0, 0, 2, 2, 1, 1, 1]), 3)
    second = one_hot(np.array([0, 0, 0, 0, 0, 0, 0, 2, 2]), 3)
    results = [result("second", second), Result("gone", "reason"), result("first", first)]
    return Comparison(tuple("abc"), labels, results, paths=[f"{EVIL}/{index}.png" for index in range(9)])


def test_counts_by_hand(comparison):
    found = comparison.confusion()
    assert (found.model, found.classes, found.said) == ("first", tuple("abc"), tuple("abc"))
    assert found.counts.tolist() == [[3, 1, 0], [0, 3, 2], [0, 0, 0]]
    assert comparison.confusion("second").counts.tolist() == [[4, 0, 0], [3, 0, 2], [0, 0, 0]]
    assert found.to_csv() == "class,a,b,c\na,3,1,0\nb,0,3,2\nc,0,0,0\n"
    assert found.lines() == (
        ["", "true, said", "1", "2", "3"],
        [["1", "a", "3", "1", "0"], ["2", "b", "0", "3", "2"], ["3", "c", "0", "0", "0"]],
    )


def test_errors_by_class_by_hand(comparison):
    assert comparison.by_class() == [
        {"class": "b", "n": 5, "error": 0.4, "interval": list(wilson(2, 5)), "taken_for": "c", "taken_for_n": 2},
        {"class": "a", "n": 4, "error": 0.25, "interval": list(wilson(1, 4)), "taken_for": "b", "taken_for_n": 1},
        {"class": "c", "n": 0, "error": None, "interval": None, "taken_for": None, "taken_for_n": 0},
    ]
    assert [row["taken_for"] for row in comparison.by_class("second")] == ["a", None, None]
    assert comparison.confusion("second").commonest() == [
        {"class": "b", "taken_for": "a", "n": 3},
        {"class": "b", "taken_for": "c", "n": 2},
    ]


def test_a_model_that_has_no_predictions_is_named(comparison):
    for name in ("gone", "other"):
        with pytest.raises(ParameterError, match=f"of {name}, but of first, second"):
            comparison.by_class(name)


def test_what_no_class_is_called_has_a_column_of_its_own(tmp_path):
    """The model knows x and d, too, and a data set's class has another place with it."""
    labels = np.array([0, 1, 1])
    scores = one_hot(np.array([2, 0, 1]), 4)
    made = Comparison(("b", "x"), labels, [result("model", scores, "x")])
    found = made.confusion()
    assert found.said == ("b", "x", "c")
    assert [row["label"] for row in lines_of(made, tmp_path / "p.csv")] == ["b", "x", "x"]
    assert found.counts.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert found.lines()[1][2] == ["3", "c", "-", "-", "-"]
    assert made.by_class()[0]["taken_for"] == "c"
    among = Comparison(("b", "x"), labels, [result("model", scores, "x")], among="data").confusion()
    assert (among.said, among.counts.sum()) == (("b", "x"), 3)
    assert confusion_picture(found).shape[2] == 3


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_counts_errors_and_the_table_agree(n, classes, seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, classes, n), rng.dirichlet(np.ones(classes), n)
    made = Comparison(tuple("abcdef"[:classes]), labels, [result("model", scores)])
    row, by_class = made.rows()[0], made.by_class()
    assert sum(each["n"] for each in by_class) == made.confusion().counts.sum() == n
    wrong = sum(round(each["error"] * each["n"]) for each in by_class if each["n"])
    assert wrong == made.confusion().mistakes.sum() == round(row["top1_error"] * n)
    accuracies = [1 - each["error"] for each in by_class if each["n"]]
    assert np.mean(accuracies) == pytest.approx(row["mean_class_accuracy"])
    images = rng.permutation(n)
    again = Comparison(made.classes, labels[images], [result("model", scores[images])])
    assert again.by_class() == by_class
    for key, value in again.rows()[0].items():
        assert value == (pytest.approx(row[key]) if isinstance(value, float | list) else row[key])


def lines_of(comparison, path):
    comparison.write_predictions(path)
    data = path.read_bytes().decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(data, newline=""), strict=True))


def test_predictions_hold_a_line_for_each_model_and_image_with_names_as_they_are(comparison, tmp_path):
    rows = lines_of(comparison, tmp_path / "p.csv")
    assert [row["model"] for row in rows] == ["first"] * 9 + ["second"] * 9
    assert [row["path"] for row in rows] == 2 * list(comparison.paths)
    assert [row["label"] for row in rows[:9]] == list("aaaabbbbb")
    assert [row["said"] for row in rows[:9]] == list("baaaccbbb")
    assert (float(rows[0]["score"]), rows[0]["said_2"], rows[0]["said_4"]) == (pytest.approx(0.9 + 0.1 / 3), "a", "")
    wrong = sum(row["label"] != row["said"] for row in rows[:9])
    assert wrong / 9 == comparison.rows()[0]["top1_error"]


def test_predictions_hold_the_five_best_labels(tmp_path):
    rng = np.random.default_rng(0)
    scores, labels = rng.dirichlet(np.ones(12), 50).astype(np.float32), rng.integers(0, 12, 50)
    made = Comparison(tuple("abcdefghijkl"), labels, [result("model", scores)])
    rows = lines_of(made, tmp_path / "p.csv")
    for row, each in zip(rows, scores, strict=True):
        order = np.argsort(-each)[:5]
        columns = ["", "_2", "_3", "_4", "_5"]
        assert [row[f"said{place}"] for place in columns] == ["abcdefghijkl"[place] for place in order]
        assert [float(row[f"score{place}"]) for place in columns] == pytest.approx(each[order], rel=1e-5)
    hits = [row["label"] in [row[f"said{place}"] for place in columns] for row in rows]
    assert 1 - np.mean(hits) == pytest.approx(made.rows()[0]["top5_error"])
    assert rows[7]["path"] == "#7"


def test_scores_among_the_data_sets_classes_add_up_to_1(tmp_path):
    scores = np.array([[0.2, 0.6, 0.1, 0.1], [0.0, 0.9, 0.05, 0.05]])
    made = Comparison(("a", "c"), np.array([0, 1]), [result("model", scores)], among="data")
    rows = lines_of(made, tmp_path / "p.csv")
    assert [(row["said"], float(row["score"])) for row in rows] == [("a", pytest.approx(2 / 3, rel=1e-5)), ("c", 1)]
    assert made.rows()[0]["log_loss"] == pytest.approx(-np.log(2 / 3) / 2)


def test_the_surest_mistakes_come_first(comparison):
    scores = one_hot(np.array([1, 1, 0, 0, 0, 1, 1, 1, 1]), 3)
    scores[4] = [0.99, 0.01, 0]
    made = Comparison(tuple("abc"), comparison.labels, [result("model", scores)])
    assert surest_mistakes(made.scored[0], 24) == [4, 0, 1]
    assert surest_mistakes(made.scored[0], 2) == [4, 0]


@pytest.mark.parametrize("shape", [(40, 60), (5, 3, 3), (300, 200, 3), (9, 9, 4)])
def test_mistakes_are_drawn_whatever_shape_the_images_have(comparison, shape):
    images = [np.full(shape, 20 * index, np.uint8) for index in range(9)]
    drawn = Comparison(comparison.classes, comparison.labels, comparison.results, images=images.__getitem__)
    sheet = drawn.mistakes()
    assert (sheet.dtype, sheet.ndim) == (np.uint8, 3)
    for index in range(9):
        shade = 20 * index if len(shape) < 3 or shape[2] == 3 else None
        if shade is not None:
            area = (sheet == shade).all(axis=2).sum()
            assert (area > 2000) == (index in (0, 4, 5)), index
    assert len(drawn.mistakes(count=1)) <= len(sheet)
    assert drawn.mistakes("second").shape != drawn.mistakes("second", 1).shape


def test_without_mistakes_there_is_a_title_and_without_images_an_error(comparison):
    labels = np.array([0, 1])
    right = Comparison(tuple("ab"), labels, [result("model", one_hot(labels, 2))], images=lambda index: 1 / 0)
    assert len(right.mistakes()) < 40
    with pytest.raises(DataError, match="no images"):
        mistakes_sheet(comparison, comparison.scored[0], 3)


@pytest.mark.parametrize("classes", [1, 2, 15, 40, 100, 500])
def test_the_picture_of_a_confusion_has_a_cell_for_each_count(classes):
    labels = np.arange(2 * classes) % classes
    names = (EVIL, *(f"a name that is far too long for any picture {index}" for index in range(1, classes)))
    guesses = labels.copy()
    guesses[classes:] = 0
    scores = one_hot(guesses, classes)
    made = Predictions("model", "ab" * 32, names, scores)
    picture = Comparison(names, labels, [Result("model", None, made)]).confusion_picture()
    assert max(picture.shape) < 1100
    half = [np.rint(255 - np.sqrt(0.5) * (255 - np.array(color))) for color in (RIGHT_COLOR, WRONG_COLOR)]
    blue, orange = ((picture == shade).all(axis=2).sum() for shade in half)
    assert (blue > 0, orange > 0) == (classes > 1, classes > 1)
    assert (picture == RIGHT_COLOR).all(axis=2).any()
