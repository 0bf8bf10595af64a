"""An ONNX file that imgtool wrote, as a classifier; onnxruntime computes it, on the CPU.

What a file says of itself, in its metadata under `imgtool`, is checked field by field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from imgtool.classifiers import fields
from imgtool.classifiers.protocol import Classifier, labels_of
from imgtool.errors import DataError, MissingExtraError
from imgtool.files import read_regular
from imgtool.networks.preprocessing import Preprocessing

FORMAT = 1
KEY = "imgtool"  # in the metadata
SUFFIX = ".onnx"
CHUNK_IMAGES = 32  # that the network sees at once


class OnnxClassifier(Classifier):
    """What an ONNX file says of images: its probabilities are its features, too."""

    def __init__(self, session: Any, description: dict[str, Any], data: bytes) -> None:
        self._session = session
        self.name = description["architecture"]
        pairs = [(each["name"], each.get("id")) for each in description["classes"]]
        self.classes, self.identifiers = labels_of(pairs), tuple(key for _, key in pairs)
        self.threshold = float(description["threshold"])
        self.preprocessing = Preprocessing().from_json(description["preprocessing"])
        self.weights_hash, self.weights_bytes = hashlib.sha256(data).hexdigest(), len(data)
        self.provenance = {"kind": "onnx", "weights": description["weights"]}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the classifier that a file holds.

        Raises MissingExtraError without onnxruntime, DataError for a file that is not whole, or not written by imgtool.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise MissingExtraError("onnx", "running an ONNX file") from None
        try:
            data = read_regular(path)
        except OSError as error:
            raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # several batches are under way at once
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except MemoryError:
            raise
        except Exception as error:  # of many types, and over many lines
            raise DataError(f"{path}: is no ONNX file that can be run: {type(error).__name__}") from None
        try:
            return cls(session, _description(session), data)
        except DataError as error:
            raise error.within(str(path)) from None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the centered square (side, side, channels) uint8 after the shorter side was resized."""
        return self.preprocessing.prepare(image)

    def features(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities (N, classes)."""
        chunks = (np.stack(batch[begin : begin + CHUNK_IMAGES]) for begin in range(0, len(batch), CHUNK_IMAGES))
        return np.concatenate([self._session.run(["probabilities"], {"images": chunk})[0] for chunk in chunks])

    def decide(self, features: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return features


def _description(session: Any) -> dict[str, Any]:
    """Return what a file says of itself. Raises DataError unless it was written by imgtool and fits its graph."""
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise DataError("was not written by imgtool: it says neither its classes nor what it sees of an image")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("its description is not JSON") from None
    fields.check_onnx(found, FORMAT)
    if [each.name for each in session.get_inputs()] == ["features"]:
        raise DataError(f"takes feature vectors, as {found['architecture']} computes them, and not images")
    seen = Preprocessing().from_json(found["preprocessing"])
    expected = (["images"], [[seen.side, seen.side, seen.channels]], ["probabilities"], [[len(found["classes"])]])
    shapes = ([[*each.shape[1:]] for each in several] for several in (session.get_inputs(), session.get_outputs()))
    names = ([each.name for each in several] for several in (session.get_inputs(), session.get_outputs()))
    if expected != tuple(part for pair in zip(names, shapes, strict=True) for part in pair):
        raise DataError("its graph is not the one that its description speaks of")
    return dict(found)
