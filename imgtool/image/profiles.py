"""ICC profiles: whether one is whole, and of which kind.

Source: ICC.1:2022, section 7.
"""

from __future__ import annotations

import struct

_TAGS = 128  # where, behind its header, a profile says how many tags it has


def is_profile(data: bytes) -> bool:
    """Tell whether an ICC profile has its signature and the tags that it says it has."""
    if len(data) < _TAGS + 4 or data[36:40] != b"acsp" or int.from_bytes(data[:4], "big") > len(data):
        return False
    end = _TAGS + 4 + 12 * int.from_bytes(data[_TAGS : _TAGS + 4], "big")
    if end > len(data):
        return False
    tags = struct.iter_unpack(">4sII", data[_TAGS + 4 : end])
    return all(begin + size <= len(data) for _, begin, size in tags)


def is_of_matrix(profile: bytes) -> bool:
    """Tell whether a profile has curves and, of color, a matrix, and no table: "restricted" in ISO/IEC 15444-1."""
    if not is_profile(profile):
        return False
    end = _TAGS + 4 + 12 * int.from_bytes(profile[_TAGS : _TAGS + 4], "big")
    tags = {name for name, _, _ in struct.iter_unpack(">4sII", profile[_TAGS + 4 : end])}
    needed = {b"kTRC"} if profile[16:20] == b"GRAY" else {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}
    return needed <= tags and b"A2B0" not in tags
