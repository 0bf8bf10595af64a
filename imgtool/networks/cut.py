"""A network up to one of its layers, or what is behind it."""

from __future__ import annotations

from collections.abc import Iterator

from imgtool.errors import ParameterError
from imgtool.names import nearest
from imgtool.networks.declaration import Identity, Layer, Sequence
from imgtool.networks.layers import AdaptiveAvgPool, AvgPool, Dropout, Flatten, MaxPool, Shape


def passed_layers(network: Sequence, prefix: str = "") -> Iterator[str]:
    """Yield the name of each part that everything passes; what lies in a branch of a sum or concatenation is none."""
    for name, part in network.parts:
        if isinstance(part, Sequence):
            yield from passed_layers(part, f"{prefix}{name}.")
        yield prefix + name


def up_to(network: Sequence, layer: str, shape: Shape) -> Sequence:
    """Return the network up to a layer, under the same names, with a last layer that changes nothing.

    So its `trunk`, which runners compute as features, gives what that layer gives, and of rows and columns the mean.
    shape: of the network's input. Raises ParameterError as `until`.
    """
    cut = until(network, layer)
    is_map = len(cut.output_shape(shape)) == 3
    mean: dict[str, Layer] = {"(mean)": AdaptiveAvgPool(1), "(flatten)": Flatten()} if is_map else {}
    return Sequence(**dict(cut.parts), **mean, **{"(last)": Identity()})


def before_deciding(network: Sequence) -> str | None:
    """Return the layer before the one that decides, where layers without tensors follow that; None where it is last.

    A SqueezeNet's last convolution decides, of which pixels' means are taken afterwards.
    """
    decides = network.last_learned()
    if decides in ("", [*network.layers()][-1][0]):
        return None
    names = list(passed_layers(network))
    return names[names.index(decides) - 1]


def until(network: Sequence, layer: str) -> Sequence:
    """Return the network up to a layer, under the same names.

    Raises ParameterError for a name that no layer has, or one in a branch.
    """
    names = list(passed_layers(network))
    if layer not in names:
        if layer in {name for name, _ in network.layers()}:
            raise ParameterError(f"layer {layer} lies in a branch, which not all of the image passes", hint="layers")
        near = nearest(layer, names)
        raise ParameterError(f"no layer {layer!r}{f', perhaps {near}' if near else ''}", hint="layers")
    return _until(network, layer)


def behind(network: Sequence, layer: str) -> Sequence:
    """Return what follows a layer that everything passes, under the same names. Raises ParameterError for another."""
    for index, (name, part) in enumerate(network.parts):
        rest = dict(network.parts[index + 1 :])
        if name == layer:
            return Sequence(**rest)
        if layer.startswith(f"{name}.") and isinstance(part, Sequence):
            return Sequence(**{name: behind(part, layer.removeprefix(f"{name}."))}, **rest)
    raise ParameterError(f"no layer {layer!r}", hint="layers")


def last_map(network: Sequence, shape: Shape) -> str:
    """Return the last layer that everything passes and whose output has rows and columns, for images of this shape.

    Pools do not count: behind the last convolution they only bring its maps into the form that the next layer takes.
    Raises ParameterError for a network without feature maps.
    """
    found = None
    for name, part, output in _steps(network, shape):
        if len(output) == 3 and output[1] * output[2] > 1 and not isinstance(part, _KEEP_NO_PLACE):
            found = name
    if found is None:
        raise ParameterError("has no feature maps: its first layer takes the whole image")
    return found


_KEEP_NO_PLACE = (MaxPool, AvgPool, AdaptiveAvgPool, Dropout)


def _steps(network: Sequence, shape: Shape, prefix: str = "") -> Iterator[tuple[str, Layer, Shape]]:
    """Yield name, layer and output shape of what everything passes, sequences left out."""
    for name, part in network.parts:
        if isinstance(part, Sequence):
            yield from _steps(part, shape, f"{prefix}{name}.")
        shape = part.output_shape(shape)
        if not isinstance(part, Sequence):
            yield prefix + name, part, shape


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
