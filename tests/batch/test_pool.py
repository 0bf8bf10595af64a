"""Several images at once, in order."""

import threading
import time

import pytest

from imgtool.batch.pool import ordered_map


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_results_come_in_the_order_of_the_inputs(jobs):
    def slow_at_first(number):
        time.sleep(0.02 / (number + 1))
        return number * number

    assert list(ordered_map(slow_at_first, range(20), jobs)) == [number * number for number in range(20)]


def test_several_are_under_way_at_once():
    met = threading.Barrier(3, timeout=10)
    assert len(list(ordered_map(lambda _: met.wait(), range(3), 3))) == 3


def test_inputs_are_taken_as_results_are_wanted():
    taken = []
    results = ordered_map(lambda item: item, (taken.append(i) or i for i in range(1000)), 2)
    next(results)
    assert len(taken) <= 5


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_is_raised_in_its_place(jobs):
    results = ordered_map(lambda number: 6 // (2 - number), range(4), jobs)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
