"""Several images at once, in order."""

import subprocess
import sys
import threading
import time

import cv2
import pytest

from imgtool.batch.pool import at_once, job_count, ordered_map, processors


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


def threads_of_numpy():
    """Return how many threads NumPy's OpenBLAS takes; None where it cannot be asked."""
    from imgtool.batch import library_threads

    libraries = library_threads._openblas(library_threads._loaded_paths())
    return [read() for read, _ in libraries] or None


@pytest.mark.parametrize("jobs", [1, 3])
def test_libraries_take_one_thread_a_call_meanwhile_and_as_many_as_before_afterwards(jobs, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if threads_of_numpy() is None:
        pytest.skip("no OpenBLAS whose threads can be set")
    from imgtool.batch import library_threads

    libraries = library_threads._openblas(library_threads._loaded_paths())
    before = [read() for read, _ in libraries]
    try:
        for _, write in libraries:
            write(3)
        cv2.setNumThreads(3)
        found = list(ordered_map(lambda _: (*threads_of_numpy(), cv2.getNumThreads()), range(5), jobs))
        assert set(found) == {(1,) * (len(libraries) + 1)}
        inner = next(iter(ordered_map(lambda _: list(ordered_map(lambda _: None, [1], 2)), [1], jobs)))
        assert inner == [None]
        assert threads_of_numpy() == [3] * len(libraries)
        assert cv2.getNumThreads() == 3
    finally:
        for (_, write), count in zip(libraries, before, strict=True):
            write(count)
        cv2.setNumThreads(1)


def test_what_is_chosen_counts_as_processors_for_as_long_as_the_block_takes():
    before = processors()
    with at_once(3):
        assert (processors(), job_count(None), job_count(5)) == (3, 3, 5)
        with at_once(1):
            assert processors() == 1
        assert processors() == 3
    assert processors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="limits to address space")
@pytest.mark.parametrize(("kilobytes", "expected"), [("unlimited", None), (900_000, 1), (8_000_000, None)])
def test_little_address_space_has_no_room_for_threads(kilobytes, expected):
    code = "from imgtool.batch.pool import processors, job_count; print(processors(), job_count(None), job_count(3))"
    line = f"ulimit -v {kilobytes}; exec {sys.executable} -c '{code}'"
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout.split()
    count = str(expected or processors())
    assert found == [count, count, "3"]
