"""What a comparison says in words, case by case."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from results import one_hot, result

from imgtool.evaluation.comparison import Comparison
from imgtool.evaluation.intervals import wilson
from imgtool.evaluation.runner import Result
from imgtool.evaluation.sentences import decision, sentences
from imgtool.evaluation.significance import images_needed

LABELS = np.arange(600) % 6


def wrong(count, start=0, labels=LABELS, classes=6):
    """Probabilities that are wrong on so many images, from one on."""
    guesses = labels.copy()
    guesses[start : start + count] = (guesses[start : start + count] + 1) % classes
    return one_hot(guesses, classes)


def said(*results, labels=LABELS, **more):
    """What is said of models, as a list of sentences."""
    return sentences(Comparison(tuple("abcdef"), labels, results, **more))


def test_where_the_test_tells_the_best_apart():
    """48 and 90 of 600; the first 48 are wrong in both: 42 images only A labels right: p = 2 / 2^42."""
    (line,) = said(result("C", wrong(300)), result("B", wrong(90)), result("A", wrong(48)))
    numbers, _, words = line.partition("; not luck: ")
    assert numbers == "Take A: wrong on 8 of 100 new images (6 to 10); next best B on 15 (12 to 18)"
    assert words == "chance alone makes such a difference less than once in a million comparisons."


def test_how_seldom_chance_makes_the_difference():
    """12 images only A labels right, 2 only B: p = 2 (1 + 14 + 91) / 2^14 = 0.0129."""
    (line,) = said(result("A", wrong(48)), result("B", wrong(58, 2)))
    assert line.endswith("not luck: chance alone makes such a difference once in 77 comparisons.")


def test_where_the_test_does_not():
    """The first 14 images are wrong with A only, 15 with B only, and there are three pairs."""
    lines = said(result("A", wrong(48)), result("B", wrong(49, 14)), result("C", wrong(300)))
    needed = images_needed(15, 14, 600, tests=3)
    assert lines[0] == f"Take A: 600 images cannot tell it from B; about {round(needed, -4):,} would."
    assert lines[1] == "A is wrong on 8 of 100 new images (6 to 10), B on 8 (6 to 11)."


def test_what_counts_is_the_corrected_p():
    """8 images only A labels right, 0 only B: p is 2 / 2^8 = 0.0078, and with ten pairs of five models 0.078."""
    two = result("A", wrong(48)), result("B", wrong(56))
    assert said(*two)[0].startswith("Take A: wrong on 8 of 100")
    five = *two, *(result(name, wrong(56, 0)) for name in "CDE")
    assert said(*five)[0].startswith("Take A: 600 images cannot tell it from B, C, D and 1 more; about ")


def test_few_images_of_two_classes():
    labels = np.arange(12) % 2
    lines = said(result("A", wrong(0, 0, labels, 2)), result("B", wrong(4, 0, labels, 2)), labels=labels)
    assert lines == [
        "Take A: 12 images cannot tell it from B; about 22 would.",
        "A is wrong on 0 of 100 new images (0 to 24), B on 33 (14 to 61).",
    ]


def test_large_data_sets_are_told_of_in_more_images():
    labels = np.arange(50_000) % 6
    (line,) = said(result("A", wrong(300, 0, labels)), result("B", wrong(450, 0, labels)), labels=labels)
    assert line.startswith(
        "Take A: wrong on 60 of 10,000 new images (54 to 67); next best B on 90 (82 to 99); not luck"
    )


def test_ties():
    same = "Take A: 600 images cannot tell it from B; both are wrong on 48 of them."
    assert said(result("A", wrong(48)), result("B", wrong(48)))[0] == same
    assert said(result("A", wrong(48)), result("B", wrong(48, 300)))[0] == same
    right = "Take A: 600 images cannot tell it from B and C; all are right on every one."
    assert said(*(result(name, wrong(0)) for name in "ABC"))[0] == right
    mixed = said(result("A", wrong(48)), result("B", wrong(48)), result("C", wrong(52)))[0]
    assert mixed == "Take A: 600 images cannot tell it from B and C; about 1,600 would tell it from C."


def test_of_many_models_the_first_are_named():
    line = said(*(result(name, wrong(48 + place, 20 * place)) for place, name in enumerate("ABCDEF")))[0]
    assert line.startswith("Take A: 600 images cannot tell it from B, C, D and 2 more; about ")


def test_a_model_alone_and_beside_failed_ones():
    line = "Take A: wrong on 8 of 100 new images (6 to 10)."
    assert said(result("A", wrong(48))) == [line]
    assert said(result("A", wrong(48)), Result("B", "reason")) == [line]
    assert said(Result("B", "reason")) == ["No model could be measured."]


def test_models_that_are_no_better_than_a_guess_are_not_to_be_taken():
    """Of 600 images 100 are of class a: always saying it is wrong on 83 of 100."""
    (line,) = said(result("A", wrong(500)), result("B", wrong(501)))
    assert line.startswith(
        "Take none of these: A, the best, is wrong on 83 of 100 new images (80 to 86); always saying"
    )
    assert line.endswith("always saying 'a' would be on 83.")
    assert said(result("A", wrong(600)))[0].startswith(
        "A is wrong on 1,000 of 1,000 new images (994 to 1,000); always "
    )
    assert said(result("A", wrong(499))) == ["Take A: wrong on 83 of 100 new images (80 to 86)."]
    one_class = np.zeros(20, int)
    assert said(result("A", wrong(1, 0, one_class)), labels=one_class)[0].startswith("Take A: wrong on 5 of 100")


def test_models_that_saw_the_test_or_learned_nothing_are_not_to_be_taken():
    three = [result("A", wrong(0)), result("B", wrong(48)), result("C", wrong(90))]
    lines = said(*three, seen=["A"])
    assert lines[0].startswith("Take B: wrong on 8 of 100 new images (6 to 10); next best C on 15")
    assert lines[1] == "A was trained on these test images: its row is not to be relied on."
    assert said(*three, seen=list("ABC")) == ["Take none of these: A, B and C were trained on these test images."]
    assert said(three[0], seen=["A"]) == ["A was trained on these test images."]
    three[2].doubt = "guesses"
    assert said(*three, seen=list("AB"))[0] == (
        "Take none of these: A, B and C learned nothing, or were trained on these test images."
    )
    assert said(three[2]) == ["C learned nothing."]


def test_costs_of_models_that_are_not_told_apart():
    slow = {"read": 9.0, "prepare": 3.0, "features": 0.0, "decide": 0.0}
    quick = {**slow, "prepare": 1.0}
    a = result("A", wrong(48), seconds=slow, weights_bytes=6_000)
    assert said(a, result("B", wrong(49), seconds=quick, weights_bytes=2_000))[2] == "B is much faster and smaller."
    assert said(a, result("B", wrong(49), seconds=quick, weights_bytes=2_001))[2] == "B is much faster."
    c = result("C", wrong(49), seconds=slow, weights_bytes=1)
    assert (
        said(a, result("B", wrong(49), seconds=quick, weights_bytes=9), c)[2] == "B is much faster, C is much smaller."
    )
    assert len(said(a, result("B", wrong(49), seconds=slow, weights_bytes=None))) == 2


def test_names_that_are_no_ink_are_shown_as_codes():
    line = said(result("A\n\u202e\udcff", wrong(48)))[0]
    assert line.startswith("Take A\\n\\u202e\\udcff: ")


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_every_table_has_its_sentences(counts, seed):
    """Whatever is measured: a decision that names the first row or none, numbers as in the table, no line break."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60)
    results = [result(f"model-{place}", wrong(count, 0, labels, 3)) for place, count in enumerate(counts)]
    made = Comparison(tuple("abc"), labels, results)
    lines = sentences(made)
    assert lines[0] == decision(made)
    assert all(line.endswith(".") and "\n" not in line for line in lines)
    best = made.rows()[0]
    if lines[0].startswith("Take model"):
        assert lines[0].startswith(f"Take {best['model']}: ")
    low, high = (round(100 * end) for end in wilson(made.scored[0].wrong, 60))
    assert any(f"({low} to {high})" in line for line in lines)


def test_a_model_that_saw_some_of_the_test_images_is_not_to_be_taken():
    """From one in a hundred on: 6 of 600."""
    two = [result("A", wrong(0), facts={"seen_images": 6}), result("B", wrong(48))]
    lines = said(*two)
    assert lines[0] == "Take B: wrong on 8 of 100 new images (6 to 10)."
    assert lines[1] == "A was trained on some of these test images: its row is not to be relied on."
    assert said(two[0]) == ["A was trained on some of these test images."]
    assert said(*two, result("C", wrong(20)), seen=["C"])[1] == (
        "A and C were trained on some of these test images: their rows are not to be relied on."
    )
    assert said(result("A", wrong(0), facts={"seen_images": 5}), two[1])[0].startswith("Take A: wrong on 0 of 1,000")


def test_where_none_that_may_be_taken_beats_a_guess_those_above_it_are_told_of():
    two = [result("A", wrong(490)), result("B", wrong(540))]
    two[0].doubt = "guesses"
    (line,) = said(*two)
    assert line.startswith("Take none of these: A learned nothing, and B is wrong on 90 of 100 new images (87 to 92)")
