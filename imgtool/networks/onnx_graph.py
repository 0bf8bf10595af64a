"""A declared network as nodes of ONNX, the open format of networks. Imported late: importing this module imports onnx.

Source: the operators of opset 17, https://onnx.ai/onnx/operators/. Batch normalization behind a convolution is folded
into it first. The nodes take float32 images (n, channels, rows, columns), already normalized, and give logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from imgtool.errors import ParameterError
from imgtool.networks import declaration as declared
from imgtool.networks.declaration import Combinator, Layer, Sequence, Shape
from imgtool.networks.folding import fold_batch_norm

OPSET = 17


class Graph:
    """Nodes and constants, each result under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its result."""
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: np.ndarray, name: str = "") -> str:
        """Add a constant; return its name."""
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def rename(self, result: str, name: str) -> None:
        """Add a node that gives a result another name."""
        self.nodes.append(helper.make_node("Identity", [result], [name], name))


def add_network(graph: Graph, network: Sequence, arrays: Mapping[str, np.ndarray], images: str, shape: Shape) -> str:
    """Add a network's nodes behind images of this shape; return the name of its logits.

    Raises ParameterError for a layer that has no form here.
    """
    network, folded = fold_batch_norm(network, arrays)
    return _add(graph, network, "", folded, images, shape)


def _add(graph: Graph, layer: Layer, prefix: str, arrays: Mapping[str, np.ndarray], x: str, shape: Shape) -> str:
    """Add a layer; return the name of what it gives."""
    if isinstance(layer, Sequence):
        for inner, part in layer.children():
            x = _add(graph, part, prefix + inner, arrays, x, shape)
            shape = part.output_shape(shape)
        return x
    if isinstance(layer, Combinator):
        results = [_add(graph, part, prefix + inner, arrays, x, shape) for inner, part in layer.children()]
        if isinstance(layer, declared.Concat):
            return graph.add("Concat", *results, axis=1)
        return graph.add("Sum", *results)
    if type(layer) not in _LAYERS:
        raise ParameterError(f"{type(layer).__name__} has no form in ONNX here")
    own = {key: graph.constant(arrays[prefix + key], prefix + key) for key in layer.arrays()}
    return str(_LAYERS[type(layer)](graph, layer, own, x, shape))


def _conv(graph: Graph, layer: declared.Conv, own: dict[str, str], x: str, shape: Shape) -> str:
    pads = _pads(layer, shape)
    return graph.add(
        "Conv", x, *own.values(), kernel_shape=[layer.size] * 2, strides=[layer.stride] * 2, pads=pads,
        group=layer.groups,
    )  # fmt: skip


def _max_pool(graph: Graph, layer: declared.MaxPool, _: dict[str, str], x: str, shape: Shape) -> str:
    return graph.add("MaxPool", x, kernel_shape=[layer.size] * 2, strides=[layer.step] * 2, pads=_pads(layer, shape))


def _avg_pool(graph: Graph, layer: declared.AvgPool, _: dict[str, str], x: str, shape: Shape) -> str:
    """A mean over all of a window, zeros around the image included, divided by the values that count instead."""
    mean = graph.add(
        "AveragePool", x, kernel_shape=[layer.size] * 2, strides=[layer.step] * 2, pads=_pads(layer, shape),
        count_include_pad=1,
    )  # fmt: skip
    rows, columns = (np.array(layer.counts(side), np.float32) for side in shape[1:])
    counts = np.outer(rows, columns)
    if (counts == layer.size**2).all():
        return mean
    return graph.add("Mul", mean, graph.constant((layer.size**2 / counts).astype(np.float32)))


def _adaptive_avg_pool(graph: Graph, layer: declared.AdaptiveAvgPool, _: dict[str, str], x: str, shape: Shape) -> str:
    """Means over windows of different lengths, as products with matrices from both sides."""
    if layer.size == 1:
        return graph.add("GlobalAveragePool", x)
    rows, columns = (_means(layer, side) for side in shape[1:])
    return graph.add("MatMul", graph.add("MatMul", graph.constant(rows), x), graph.constant(columns.T))


def _means(layer: declared.AdaptiveAvgPool, side: int) -> np.ndarray:
    """Return the matrix (size, side) that takes the mean of each window."""
    matrix = np.zeros((layer.size, side), np.float32)
    for row, (begin, end) in zip(matrix, layer.windows(side), strict=True):
        row[begin:end] = 1 / (end - begin)
    return matrix


def _pads(layer: Any, shape: Shape) -> list[int]:
    """Return zeros before rows and columns, then behind."""
    (top, bottom), (left, right) = (layer.margins(side) for side in shape[1:])
    return [top, left, bottom, right]


def _linear(graph: Graph, layer: declared.Linear, own: dict[str, str], x: str, _: Shape) -> str:
    if layer.rank is None:
        return graph.add("Gemm", x, own["weight"], own["bias"], transB=1)
    return graph.add("Gemm", graph.add("Gemm", x, own["right"], transB=1), own["left"], own["bias"], transB=1)


def _batch_norm(graph: Graph, layer: declared.BatchNorm, own: dict[str, str], x: str, _: Shape) -> str:
    names = ("weight", "bias", "running_mean", "running_var")
    return graph.add("BatchNormalization", x, *(own[name] for name in names), epsilon=layer.eps)


def _local_response_norm(graph: Graph, layer: declared.LocalResponseNorm, _: dict[str, str], x: str, __: Shape) -> str:
    if layer.size % 2 == 0:
        raise ParameterError("local response normalization over an even number of channels has no form in ONNX here")
    return graph.add("LRN", x, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)


def _relu6(graph: Graph, _: declared.ReLU6, __: dict[str, str], x: str, ___: Shape) -> str:
    return graph.add("Clip", x, *(graph.constant(np.array(value, np.float32)) for value in (0, 6)))


def _as_it_is(_: Graph, __: Layer, ___: dict[str, str], x: str, ____: Shape) -> str:
    return x


_LAYERS: dict[type, Any] = {
    declared.Conv: _conv,
    declared.MaxPool: _max_pool,
    declared.AvgPool: _avg_pool,
    declared.AdaptiveAvgPool: _adaptive_avg_pool,
    declared.Linear: _linear,
    declared.BatchNorm: _batch_norm,
    declared.LocalResponseNorm: _local_response_norm,
    declared.ReLU6: _relu6,
    declared.ReLU: lambda graph, _, __, x, ___: graph.add("Relu", x),
    declared.Sigmoid: lambda graph, _, __, x, ___: graph.add("Sigmoid", x),
    declared.Tanh: lambda graph, _, __, x, ___: graph.add("Tanh", x),
    declared.Flatten: lambda graph, _, __, x, ___: graph.add("Flatten", x),
    declared.Dropout: _as_it_is,
    declared.Identity: _as_it_is,
}
