"""Read, write and convert images: bytes in, arrays out."""

from typing import Any

from imgtool.image.read import probe, read, read_metadata

__all__ = ["encode", "probe", "read", "read_metadata"]


def __getattr__(name: str) -> Any:
    """Import `encode` when it is asked for: those who only read need no more than reading does."""
    if name == "encode":
        from imgtool.image.write import encode

        return encode
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
