"""Write a trained model as an ONNX file: the network with normalization before and softmax behind, or an SVM's line.

Input of a network: `images`, (n, side, side, channels) uint8, the squares that the model's preprocessing cuts out; of a
classic model: `features`, (n, D) float32. Output: `probabilities`, (n, classes) float32. How a square is cut out, the
classes with their identifiers and the threshold are JSON in the file's metadata, under `imgtool`. Imported late:
importing this module imports onnx.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper

from imgtool.classifiers.classic.machines import LinearSVM
from imgtool.classifiers.classic.vector_svm import VectorSvm
from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.onnx import FORMAT, KEY
from imgtool.classifiers.protocol import Trainable, stored_name
from imgtool.errors import ParameterError
from imgtool.networks.onnx_graph import OPSET, Graph, add_network
from imgtool.networks.preprocessing import FLAT_DEVIATION

IR_VERSION = 8  # that goes with the opset, so that older runtimes read it


def onnx_bytes(model: Trainable) -> bytes:
    """Return a fitted model as the bytes of an ONNX file. Raises ParameterError for a kind that has no such form."""
    graph = Graph()
    if isinstance(model, NetworkClassifier):
        name, shape, kind = "images", model.input_shape, TensorProto.UINT8
        given: tuple[str | int, ...] = ("n", *shape[1:], shape[0])
        normalized = _add_normalization(graph, model)
        logits = add_network(graph, model.network(), model.arrays(), normalized, shape)
    elif isinstance(model, VectorSvm) and isinstance(model.svm, LinearSVM):
        name, kind = "features", TensorProto.FLOAT
        given = ("n", model.svm.weights.shape[1])
        logits = _add_line(graph, model.svm)
    else:
        raise ParameterError(f"{model.name} has no form in ONNX here: it is neither a network nor a linear machine")
    graph.rename(graph.add("Softmax", logits, axis=1), "probabilities")
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            model.name,
            [helper.make_tensor_value_info(name, kind, given)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("n", len(model.classes)))],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="imgtool",
    )
    helper.set_model_props(made, {KEY: json.dumps(_description(model))})
    checker.check_model(made)
    data: bytes = made.SerializeToString()
    return data


def _add_normalization(graph: Graph, model: NetworkClassifier) -> str:
    """Add what makes (n, channels, side, side) float32 of the squares; return its name."""
    seen = model.preprocessing
    mean, deviation = (np.array(values, np.float32).reshape(1, -1, 1, 1) for values in (seen.mean, seen.deviation))
    floats = graph.add("Cast", "images", to=TensorProto.FLOAT)
    planes = graph.add("Transpose", floats, perm=[0, 3, 1, 2])
    scaled = graph.add("Div", planes, graph.constant(np.array(255, np.float32)))
    normalized = graph.add("Div", graph.add("Sub", scaled, graph.constant(mean)), graph.constant(deviation))
    return _add_contrast(graph, normalized) if seen.per_image else normalized


def _add_contrast(graph: Graph, images: str) -> str:
    """Add what `preprocessing.standardized` does; return its name."""
    centered = graph.add("Sub", images, graph.add("ReduceMean", images, axes=[1, 2, 3]))
    variance = graph.add("ReduceMean", graph.add("Mul", centered, centered), axes=[1, 2, 3])
    flat = graph.constant(np.array(FLAT_DEVIATION, np.float32))
    return graph.add("Div", centered, graph.add("Add", graph.add("Sqrt", variance), flat))


def _add_line(graph: Graph, machine: LinearSVM) -> str:
    """Add a linear machine; return the name of what softmax takes."""
    weights, biases = (graph.constant(array, name) for array, name in ((machine.weights, "w"), (machine.biases, "b")))
    margins = graph.add("Gemm", "features", weights, biases, transB=1)
    return graph.add("Mul", margins, graph.constant(np.array(machine.slope, np.float32)))


def _description(model: Trainable) -> dict[str, Any]:
    """Return what the file's metadata says of a model."""
    pairs = zip(model.classes, model.identifiers or (None,) * len(model.classes), strict=True)
    return {
        "format": FORMAT,
        "architecture": model.name,
        "classes": [{"name": stored_name(label, key), **({"id": key} if key else {})} for label, key in pairs],
        "threshold": model.threshold,
        "preprocessing": model.groups["preprocessing"].to_json() if "preprocessing" in model.groups else None,
        "weights": model.weights_hash,
    }
