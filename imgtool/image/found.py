"""What is found in a file beside the pixels, as it is to be written: for a picture that stands upright."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.image import marks
from imgtool.image.profiles import is_profile
from imgtool.remarks import Remark

if TYPE_CHECKING:
    from imgtool.image.metadata import Metadata
    from imgtool.image.resolution import Ratio, Resolution


class Found:
    """What a decoder finds in a file, piece by piece; what is damaged or too large is left out with a remark.

    orientation: how the pixels are stored, EXIF's 1 to 8.
    """

    def __init__(self, remarks: list[Remark]) -> None:
        self._remarks = remarks
        self._pieces: dict[str, object] = {}
        self._texts: dict[str, list[object]] = {}
        self._exif_resolution: Resolution | None = None
        self.orientation = 0

    def leave_out(self, name: str, why: str, *, by_rule: bool = False) -> None:
        """Say that a piece is left out."""
        self._remarks.append(Remark("metadata", 1, f"{name}: {why}", by_rule))

    def profile(self, data: bytes | None) -> None:
        """Take an ICC profile."""
        if not data or not self._allows("ICC profile", data):
            return
        if is_profile(data):
            self._pieces["profile"] = data
        else:
            self.leave_out("ICC profile", "it is damaged")

    def exif(self, block: bytes | None) -> None:
        """Take an EXIF block as it is stored; the first one counts."""
        if not block or "exif" in self._pieces or not self._allows("EXIF", block):
            return
        from imgtool.image.exif import orientation_of, resolution_of, says_nothing, upright_block
        from imgtool.image.ifd import DamagedError

        block = block.removeprefix(marks.EXIF)
        try:
            upright = upright_block(block)
            self._exif_resolution = resolution_of(upright)
            if not says_nothing(upright):
                self._pieces["exif"] = upright
            self.orientation = orientation_of(block) or self.orientation
        except DamagedError:
            self.leave_out("EXIF", "it is damaged")

    def xmp(self, packet: bytes | None) -> None:
        """Take an XMP packet as it is stored; the first one counts."""
        if not packet or "xmp" in self._pieces or not self._allows("XMP", packet):
            return
        from imgtool.image.xmp import describes_other_images, upright_packet

        if describes_other_images(packet):
            self.leave_out("XMP", "it describes further images")
            return
        self._pieces["xmp"], orientation = upright_packet(packet)
        self.orientation = self.orientation or orientation

    def resolution(self, x: Ratio, y: Ratio, unit: str) -> None:
        """Take a resolution as it is stored, unless it says nothing; see `Resolution`."""
        if not unit and x == y:
            return
        from imgtool.image.resolution import Resolution

        if resolution := Resolution.valid(x, y, unit):
            self._pieces["resolution"] = resolution

    def add(self, field: str, piece: tuple[bytes, bytes] | tuple[int, int, bytes] | bytes) -> None:
        """Take a piece of which there may be several: a color chunk, a text, a comment, a tag."""
        if self._allows(field, piece if isinstance(piece, bytes) else piece[-1]):
            self._texts.setdefault(field, []).append(piece)

    def metadata(self) -> Metadata | None:
        """Return it all, for the picture as it is displayed; None where there is nothing."""
        if not (self._pieces or self._texts or self._exif_resolution):
            return None
        from imgtool.image.metadata import Metadata

        pieces = {**self._pieces, **{name: tuple(found) for name, found in self._texts.items()}}
        stored = pieces.setdefault("resolution", self._exif_resolution)  # EXIF's is turned already
        if stored and "resolution" in self._pieces and self.orientation >= 5:
            pieces["resolution"] = stored.turned()  # type: ignore[attr-defined]
        if self.orientation > 1 and pieces.pop("georeference", None):
            self.leave_out("georeference", "the picture was turned upright")
        return Metadata(**pieces)  # type: ignore[arg-type]

    def _allows(self, name: str, data: bytes) -> bool:
        """Tell whether a piece is of a size that is kept."""
        if len(data) <= marks.MAX_PIECE_BYTES:
            return True
        self.leave_out(name, "it is too large")
        return False
