"""A setting of the whole process, used from several threads at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgtool.image.shared_setting import SharedSetting


def test_nobody_meets_the_setting_otherwise_than_wanted():
    state = [False]
    switch = SharedSetting(lambda on: state.__setitem__(0, on))

    def work(number):
        wanted = number % 3 == 0
        with switch.at(wanted):
            seen = [state[0] for _ in range(100)]
        return set(seen) == {wanted}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
    assert state == [False]


def test_those_who_want_it_alike_go_together_and_it_is_off_after_an_error():
    turned = []
    switch = SharedSetting(turned.append)
    meeting = threading.Barrier(2, timeout=10)

    def work():
        with switch.at(True):
            meeting.wait()  # passes only when both are inside at once

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work), pool.submit(work)]:
            done.result()
    with pytest.raises(ValueError, match="broken"), switch.at(True):
        raise ValueError("broken")
    assert turned == [True, False, True, False]
