"""A network up to one of its layers."""

from __future__ import annotations

from collections.abc import Iterator

from imgtool.errors import ParameterError
from imgtool.names import nearest
from imgtool.networks.declaration import AdaptiveAvgPool, Flatten, Identity, Layer, Sequence, Shape


def passed_layers(network: Sequence, prefix: str = "") -> Iterator[str]:
    """Yield the name of each part that everything passes; what lies in a branch of a sum or concatenation is none."""
    for name, part in network.parts:
        if isinstance(part, Sequence):
            yield from passed_layers(part, f"{prefix}{name}.")
        yield prefix + name


def up_to(network: Sequence, layer: str, shape: Shape) -> Sequence:
    """Return the network up to a layer, under the same names, with a last layer that changes nothing.

    So its `trunk`, which runners compute as features, gives what that layer gives, and of rows and columns the mean.
    shape: of the network's input. Raises ParameterError for a name that no layer has, or one in a branch.
    """
    names = list(passed_layers(network))
    if layer not in names:
        if layer in {name for name, _ in network.layers()}:
            raise ParameterError(f"layer {layer} lies in a branch, which not all of the image passes", hint="layers")
        near = nearest(layer, names)
        raise ParameterError(f"no layer {layer!r}{f', perhaps {near}' if near else ''}", hint="layers")
    cut = _until(network, layer)
    is_map = len(cut.output_shape(shape)) == 3
    mean: dict[str, Layer] = {"(mean)": AdaptiveAvgPool(1), "(flatten)": Flatten()} if is_map else {}
    return Sequence(**dict(cut.parts), **mean, **{"(last)": Identity()})


def _until(network: Sequence, layer: str) -> Sequence:
    """Return the parts up to a layer, the last one cut in the same way if the layer lies in it."""
    parts: dict[str, Layer] = {}
    for name, part in network.parts:
        if layer.startswith(f"{name}.") and isinstance(part, Sequence):
            return Sequence(**parts, **{name: _until(part, layer.removeprefix(f"{name}."))})
        parts[name] = part
        if name == layer:
            break
    return Sequence(**parts)
