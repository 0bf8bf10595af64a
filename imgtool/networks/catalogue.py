"""The networks that can be trained by name: declaration, preprocessing, recipe and augmentation of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imgtool.errors import ParameterError
from imgtool.networks.alexnet import alexnet
from imgtool.networks.alexnet_2012 import BIASES_OF_ONE, DEVIATION, SIDE, alexnet_2012
from imgtool.networks.declaration import Sequence
from imgtool.networks.densenet import SIZES, densenet
from imgtool.networks.efficientnet_lite import efficientnet_lite
from imgtool.networks.googlenet import googlenet
from imgtool.networks.layers import ACTIVATIONS
from imgtool.networks.lenet import lenet
from imgtool.networks.preprocessing import MAX_SIDE, Preprocessing
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.resnet import BLOCKS, resnet
from imgtool.networks.squeezenet import VERSIONS, squeezenet
from imgtool.networks.two_layer import two_layer
from imgtool.networks.vgg import CONVOLUTIONS, vgg
from imgtool.parameters import Parameters, parameter

# Random changes for networks that see photographs.
OF_PHOTOGRAPHS = Augmentation(min_crop_area=0.35, max_aspect_ratio=4 / 3, color_jitter=0.3)


@dataclass(frozen=True)
class TwoLayerParameters(Parameters):
    """What two-layer can vary."""

    hidden: int = parameter(100, "Units of the hidden layer.", low=1, high=65536)


@dataclass(frozen=True)
class LeNetParameters(Parameters):
    """What LeNet can vary."""

    activation: str = parameter("relu", "Nonlinearity after each layer but the last.", choices=tuple(ACTIVATIONS))
    dropout: float = parameter(
        0.0, "Probability that a value before fc1 and fc2 is dropped in training.", low=0, high=0.99, later=True
    )
    batch_norm: bool = parameter(False, "Normalize batches after each convolution.", later=True)


@dataclass(frozen=True)
class AlexNetParameters(Parameters):
    """What AlexNet can vary."""

    rank: int = parameter(0, "Rank of fc6 and fc7 as low-rank factors; 0: whole matrices.", low=0, high=4096)
    dropout: float = parameter(
        0.5, "Probability that a unit before fc6 and fc7 is dropped in training.", low=0, high=0.99
    )
    activation: str = parameter(
        "relu", "Nonlinearity after each layer but the last.", choices=tuple(ACTIVATIONS), later=True
    )
    batch_norm: bool = parameter(False, "Normalize batches after each convolution.", later=True)


@dataclass(frozen=True)
class NoParameters(Parameters):
    """What a ResNet or a DenseNet can vary: nothing."""


@dataclass(frozen=True)
class DropoutParameters(Parameters):
    """What AlexNet as published, a VGG or a SqueezeNet can vary."""

    dropout: float = parameter(0.5, "Probability that a unit before the last layers is dropped.", low=0, high=0.99)


@dataclass(frozen=True)
class GoogLeNetParameters(Parameters):
    """What GoogLeNet can vary."""

    dropout: float = parameter(0.2, "Probability that a unit before the last layer is dropped.", low=0, high=0.99)
    auxiliary: bool = parameter(True, "Train with two more classifiers in the middle.")
    auxiliary_dropout: float = parameter(0.7, "Probability of a drop in these.", low=0, high=0.99)


@dataclass(frozen=True)
class EfficientNetLiteParameters(Parameters):
    """What EfficientNet-Lite can vary."""

    dropout: float = parameter(0.2, "Probability that a unit before the last layer is dropped.", low=0, high=0.99)
    batch_norm: bool = parameter(True, "Normalize batches; false for weights into which this is folded.")


@dataclass(frozen=True)
class Architecture:
    """A network by name.

    declare: from (classes, parameters, preprocessing) to the network. sides, channels: of the images that it can take,
    both ends included. trainers: the backends that train it, first the one that is taken on the CPU. first: what
    `draw_arrays` is to do otherwise than for other networks.
    """

    declare: Callable[[int, Parameters, Preprocessing], Sequence]
    parameters: Parameters
    preprocessing: Preprocessing
    recipe: Parameters
    augmentation: Parameters
    sides: tuple[int, int] = (1, MAX_SIDE)
    channels: tuple[int, ...] = (1, 3)
    trainers: tuple[str, ...] = ("torch",)
    first: Mapping[str, Any] = field(default_factory=dict)

    def ranges(self) -> dict[str, str]:
        """Return what this network narrows: the sides and channels of its images."""
        sides = f"{self.sides[0]} to {self.sides[1]}"
        return {"side": sides, "channels": ", ".join(map(str, self.channels)), "training_side": f"0, {sides}"}

    def check(self, preprocessing: Preprocessing, recipe: Parameters) -> None:
        """Raise ParameterError for images that the network cannot take, in use or in training."""
        low, high = self.sides
        if not low <= preprocessing.side <= high:
            raise ParameterError(f"side must be from {low} to {high}, got {preprocessing.side}")
        if isinstance(recipe, Recipe) and recipe.training_side and not low <= recipe.training_side <= high:
            raise ParameterError(f"training_side must be 0 or from {low} to {high}, got {recipe.training_side}")
        if preprocessing.channels not in self.channels:
            allowed = " or ".join(map(str, self.channels))
            raise ParameterError(f"channels must be {allowed}, got {preprocessing.channels}")


def _two_layer(classes: int, own: Parameters, seen: Preprocessing) -> Sequence:
    assert isinstance(own, TwoLayerParameters)
    return two_layer(classes, seen.channels, seen.side, own.hidden)


def _lenet(classes: int, own: Parameters, seen: Preprocessing) -> Sequence:
    assert isinstance(own, LeNetParameters)
    return lenet(classes, seen.channels, **own.to_json())


def _alexnet(classes: int, own: Parameters, _: Preprocessing) -> Sequence:
    assert isinstance(own, AlexNetParameters)
    return alexnet(classes, **{**own.to_json(), "rank": own.rank or None})


def _of_photographs(
    declare: Callable[..., Sequence],
    smallest: int,
    parameters: Parameters | None = None,
    *,
    side: int = 128,
    first: Mapping[str, Any] | None = None,
) -> Architecture:
    """Return a network of color photographs of this side and larger ones, by `declare(classes, **parameters)`."""
    return Architecture(
        declare=lambda classes, own, _: declare(classes, **own.to_json()),
        parameters=parameters or NoParameters(),
        preprocessing=Preprocessing(side=side),
        recipe=Recipe(label_smoothing=0.1),
        augmentation=OF_PHOTOGRAPHS,
        sides=(smallest, MAX_SIDE if side == 128 else side),
        channels=(3,),
        first=first or {},
    )


def _efficientnet_lite(side: int, width: float, depth: float, dropout: float) -> Architecture:
    """Return one of the family, its margins of 32 pixels those of its published evaluation."""

    def declare(classes: int, own: Parameters, _: Preprocessing) -> Sequence:
        assert isinstance(own, EfficientNetLiteParameters)
        return efficientnet_lite(classes, width=width, depth=depth, dropout=own.dropout, batch_norm=own.batch_norm)

    return Architecture(
        declare=declare,
        parameters=EfficientNetLiteParameters(dropout=dropout),
        preprocessing=Preprocessing(side=side, resize=side + 32, resample="bicubic"),
        recipe=Recipe(label_smoothing=0.1),
        augmentation=OF_PHOTOGRAPHS,
        channels=(3,),
    )


CATALOGUE = {
    "two-layer": Architecture(
        declare=_two_layer,
        parameters=TwoLayerParameters(),
        preprocessing=Preprocessing(side=32),
        recipe=Recipe(weight_decay=1e-3),
        augmentation=Augmentation(),
        trainers=("numpy", "torch"),
    ),
    "lenet": Architecture(
        declare=_lenet,
        parameters=LeNetParameters(),
        preprocessing=Preprocessing(side=32),
        recipe=Recipe(),
        augmentation=Augmentation(shift=0.1),
        sides=(32, 35),  # fc1 has 5 x 5 x 16 inputs
        trainers=("torch", "numpy"),
    ),
    "alexnet": Architecture(
        declare=_alexnet,
        parameters=AlexNetParameters(),
        preprocessing=Preprocessing(side=128),
        recipe=Recipe(label_smoothing=0.1),
        augmentation=OF_PHOTOGRAPHS,
        sides=(63, MAX_SIDE),  # below, its pools find nothing
        channels=(3,),
    ),
    "alexnet-2012": _of_photographs(
        alexnet_2012,
        SIDE,
        DropoutParameters(),
        side=SIDE,
        first={"deviation": DEVIATION, "biases_of_one": BIASES_OF_ONE},
    ),
    **{f"vgg{depth}": _of_photographs(partial(vgg, depth), 32, DropoutParameters()) for depth in CONVOLUTIONS},
    **{
        f"vgg{depth}_bn": _of_photographs(partial(vgg, depth, batch_norm=True), 32, DropoutParameters())
        for depth in CONVOLUTIONS
    },
    # Of networks with batch normalization: below these sides the last maps are one pixel, which has no variance alone.
    "googlenet": _of_photographs(googlenet, 47, GoogLeNetParameters()),
    **{f"resnet{depth}": _of_photographs(partial(resnet, depth), 33) for depth in BLOCKS},
    **{f"densenet{depth}": _of_photographs(partial(densenet, depth), 61) for depth in SIZES},
    **{
        f"squeezenet{version.replace('.', '_')}": _of_photographs(partial(squeezenet, version), 32, DropoutParameters())
        for version in VERSIONS
    },
    "efficientnet-lite0": _efficientnet_lite(224, 1.0, 1.0, 0.2),
    "efficientnet-lite1": _efficientnet_lite(240, 1.0, 1.1, 0.2),
    "efficientnet-lite2": _efficientnet_lite(260, 1.1, 1.2, 0.3),
}
