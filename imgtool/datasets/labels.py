"""Labels: those of images that were found below a folder, and what kind they are."""

from __future__ import annotations

from collections.abc import Sequence

from imgtool.batch.inputs import Input
from imgtool.datasets.folders import Layout, find_layout


class Labels:
    """Gives an input's label: its class where the folder that it was found below is a data set, else ""."""

    def __init__(self) -> None:
        self._layouts: dict[str, Layout] = {}

    def __call__(self, each: Input) -> str:
        """Return the label. Raises DataError, as `load_dataset` does, for a folder that could be read in two ways."""
        if each.root is None:
            return ""
        if each.root not in self._layouts:
            self._layouts[each.root] = find_layout(each.root)
        return self._layouts[each.root].label(each.relative)


def are_characters(classes: Sequence[str]) -> bool:
    """Tell whether the classes are digits or letters, which mean something else when they are mirrored."""
    return all(len(name) == 1 and name.isalnum() for name in classes)
