"""Work on a cluster's workers, which are real processes on this machine."""

import os
import socket
import time
from contextlib import suppress
from itertools import islice

import pytest

from imgtool.batch.cluster import CHUNK_ITEMS, LOCAL, cluster_map
from imgtool.errors import ClusterError, MissingExtraError, ParameterError

distributed = pytest.importorskip("distributed", reason="--cluster needs the extra 'cluster'")


def squares(numbers):
    time.sleep(0.01 * (numbers[0] % 3))
    return [number * number for number in numbers]


def refusing(numbers):
    if 40 in numbers:
        raise ParameterError("40 is too much")
    return numbers


def broken(numbers):
    raise RuntimeError("of two\nlines")


def dying(numbers):
    if 21 in numbers:
        os._exit(1)
    return numbers


def test_results_come_in_order_and_items_are_taken_as_results_are_wanted():
    taken = []
    results = cluster_map(squares, (taken.append(i) or i for i in range(1000)), LOCAL, workers=2)
    assert list(islice(results, 20)) == [number * number for number in range(20)]
    assert len(taken) <= 7 * CHUNK_ITEMS
    assert list(results) == [number * number for number in range(20, 1000)]


@pytest.mark.filterwarnings("error")
def test_another_clusters_port_is_not_wanted():
    """Dask's own port, 8787, is often taken, by a notebook's cluster or by another imgtool."""
    with socket.socket() as taken:
        with suppress(OSError):  # taken by another one
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        assert list(cluster_map(squares, range(3), LOCAL, workers=1)) == [0, 1, 4]


def test_the_environment_is_as_it_was(monkeypatch):
    """Dask sets OMP_NUM_THREADS and others to 1, for whatever comes after too: training gives other bits then."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert list(cluster_map(squares, range(3), LOCAL, workers=1)) == [0, 1, 4]
    assert dict(os.environ) == before


def test_errors_of_imgtool_come_in_their_place_and_others_as_one_line():
    results = cluster_map(refusing, range(50), LOCAL, workers=1)
    assert list(islice(results, 2 * CHUNK_ITEMS)) == list(range(2 * CHUNK_ITEMS))
    with pytest.raises(ParameterError, match="40 is too much"):
        list(results)
    with pytest.raises(ClusterError, match=r"local: a worker cannot do the work \(RuntimeError: of two\)$"):
        list(cluster_map(broken, range(3), LOCAL, workers=1))


@pytest.mark.slow
def test_D5_an_item_that_ends_its_workers_takes_no_other_with_it():
    expected = [None if number == 21 else number for number in range(40)]
    assert list(cluster_map(dying, range(40), LOCAL, workers=2)) == expected


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "tcp://", "http://127.0.0.1:80", ""])
def test_no_scheduler_is_one_line(address, monkeypatch):
    monkeypatch.setattr("imgtool.batch.cluster._WAIT_S", 1)
    with pytest.raises(ClusterError, match="no Dask scheduler answers") as caught:
        list(cluster_map(squares, range(3), address, workers=1))
    assert "\n" not in str(caught.value)


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match='pip install "distributed>='):
        list(cluster_map(squares, range(3), LOCAL, workers=1))
