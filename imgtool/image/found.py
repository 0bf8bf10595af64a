"""What is found in a file beside the pixels, as it is to be written: for a picture that stands upright."""

from __future__ import annotations

from imgtool.image.exif import PREFIX, orientation_of, resolution_of, says_nothing, upright_block
from imgtool.image.ifd import MAX_VALUE_BYTES, DamagedError
from imgtool.image.metadata import PLACES, Metadata
from imgtool.image.resolution import Resolution
from imgtool.image.xmp import describes_other_images, upright_packet
from imgtool.remarks import Remark


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
        if data and self._allows("ICC profile", data):
            self._pieces["profile"] = data

    def exif(self, block: bytes | None) -> None:
        """Take an EXIF block as it is stored; the first one counts."""
        if not block or "exif" in self._pieces or not self._allows("EXIF", block):
            return
        block = block.removeprefix(PREFIX)
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
        if describes_other_images(packet):
            self.leave_out("XMP", "it describes further images")
            return
        self._pieces["xmp"], orientation = upright_packet(packet)
        self.orientation = self.orientation or orientation

    def resolution(self, resolution: Resolution | None) -> None:
        """Take a resolution as it is stored."""
        if resolution:
            self._pieces["resolution"] = resolution

    def add(self, field: str, piece: tuple[bytes, bytes] | tuple[int, int, bytes] | bytes) -> None:
        """Take a piece of which there may be several: a color chunk, a text, a comment, a tag."""
        if self._allows(PLACES[field].name, piece if isinstance(piece, bytes) else piece[-1]):
            self._texts.setdefault(field, []).append(piece)

    def metadata(self) -> Metadata:
        """Return it all, for the picture as it is displayed."""
        pieces = {**self._pieces, **{name: tuple(found) for name, found in self._texts.items()}}
        stored = pieces.setdefault("resolution", self._exif_resolution)  # EXIF's is turned already
        if isinstance(stored, Resolution) and "resolution" in self._pieces and self.orientation >= 5:
            pieces["resolution"] = stored.turned()
        if self.orientation > 1 and pieces.pop("georeference", None):
            self.leave_out("georeference", "the picture was turned upright")
        return Metadata(**pieces)  # type: ignore[arg-type]

    def _allows(self, name: str, data: bytes) -> bool:
        """Tell whether a piece is of a size that is kept."""
        if len(data) <= MAX_VALUE_BYTES:
            return True
        self.leave_out(name, "it is too large")
        return False
