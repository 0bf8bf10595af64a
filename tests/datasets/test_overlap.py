"""Images that a model was trained on, counted among others by what it keeps of their hashes."""

import hashlib

import pytest

from imgtool.datasets.overlap import (
    MOST_KEPT,
    PREFIX_BYTES,
    images_in_common,
    is_estimate,
    is_kept_prefixes,
    kept_prefixes,
    merged_prefixes,
)

HASHES = [hashlib.sha256(b"%d" % number).digest() for number in range(60_000)]


@pytest.mark.parametrize("size", [0, 1, 40, MOST_KEPT - 1])
def test_few_images_in_common_are_counted(size):
    kept = kept_prefixes(HASHES[:size])
    for asked in (HASHES[:0], HASHES[:1], HASHES[size // 2 : size + 50], HASHES[size:]):
        assert images_in_common(kept, asked) == len({*asked} & {*HASHES[:size]})


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_many_images_in_common_are_estimated(share):
    kept = kept_prefixes(HASHES[:50_000])
    common = round(10_000 * share)
    asked = HASHES[50_000 - common : 60_000 - common]
    assert len({*asked} & {*HASHES[:50_000]}) == common
    told = 10_000 * MOST_KEPT / 50_000  # of so many, by their hashes' sizes
    deviation = 10_000 * (share * (1 - share) / told) ** 0.5
    assert abs(images_in_common(kept, asked) - common) <= 4 * deviation


def test_what_is_kept_depends_on_the_images_alone_and_is_small():
    assert kept_prefixes(HASHES[:100]) == kept_prefixes([*HASHES[99::-1], *HASHES[:5]])
    assert len(kept_prefixes(HASHES)) == MOST_KEPT * PREFIX_BYTES * 4 // 3
    assert is_kept_prefixes(kept_prefixes(HASHES))
    assert is_kept_prefixes("")


@pytest.mark.parametrize("value", [None, 3, "abc", "AAAA", "AAAAAAA=", "A" * 8 * (MOST_KEPT + 1), ["AAAAAAAA"]])
def test_what_is_no_such_text_is_refused(value):
    assert not is_kept_prefixes(value)


@pytest.mark.parametrize(("first", "second"), [(40, 30), (MOST_KEPT + 500, 30), (30, 50_000), (20_000, 25_000)])
def test_what_is_kept_of_two_sets_together_is_what_would_be_kept_of_their_union(first, second):
    one, two = HASHES[:first], HASHES[first // 2 : first // 2 + second]
    assert merged_prefixes(kept_prefixes(one), kept_prefixes(two)) == kept_prefixes({*one, *two})
    assert merged_prefixes(kept_prefixes(one), "") == kept_prefixes(one)
    assert is_estimate(kept_prefixes(one)) == (first >= MOST_KEPT)
