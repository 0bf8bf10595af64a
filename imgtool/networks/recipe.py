"""How a network is trained, as data: the recipe of gradient descent, and the random changes of the images."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.parameters import Parameters, parameter

MAX_ITEMS = 1_000_000  # epochs, or images in a batch
MAX_GRADIENT_NORM = 5.0  # of all gradients together; larger ones are scaled down to it
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("one-cycle", "cosine", "step")
FREEZE = ("none", "all-but-last")


@dataclass(frozen=True)
class Recipe(Parameters):
    """Gradient descent, by default stochastic with Nesterov's momentum and one cycle of the learning rate.

    `networks.optimizers_torch` has the optimizers, `networks.schedules` the schedules.
    """

    epochs: int = parameter(30, "Passes over the training images.", low=1, high=MAX_ITEMS)
    batch: int = parameter(32, "Images in one step of gradient descent.", low=1, high=MAX_ITEMS)
    optimizer: str = parameter("sgd", "Gradient descent with Nesterov's momentum, or AdamW.", choices=OPTIMIZERS)
    learning_rate: float = parameter(0.01, "Largest learning rate; about 0.001 for adamw.", low=1e-12, high=1_000_000)
    momentum: float = parameter(0.9, "Share of the last step that the next one keeps.", low=0, high=0.9999)
    weight_decay: float = parameter(5e-4, "L2 penalty: this times each weight is added to its gradient.", low=0, high=1)
    schedule: str = parameter("one-cycle", "How the learning rate changes over the epochs.", choices=SCHEDULES)
    warm_up: float = parameter(0.05, "Share of all steps in which one-cycle's rate rises.", low=0, high=0.99)
    drop_epochs: int = parameter(10, "Epochs after which the schedule step drops the rate.", low=1, high=MAX_ITEMS)
    drop_factor: float = parameter(0.1, "By what the schedule step multiplies the rate.", low=1e-6, high=1)
    label_smoothing: float = parameter(0.0, "Share of each label that is spread over all classes.", low=0, high=1)
    freeze: str = parameter("none", "Layers that stay as they were before training.", choices=FREEZE)
    bf16: bool = parameter(False, "Compute matrix products in bfloat16 instead of float32.")
    channels_last: bool = parameter(True, "Keep a pixel's channels side by side in memory, which is faster.")
    training_side: int = parameter(0, "Pixels of a side of the training images; 0: as prepared.", low=0, high=1024)


@dataclass(frozen=True)
class Augmentation(Parameters):
    """Random changes of the training images, drawn anew for each image and epoch."""

    horizontal_flip: bool = parameter(True, "Mirror half of the images left to right.")
    shift: float = parameter(0.0, "Move by up to this share of a side, in each direction.", low=0, high=1)
    min_crop_area: float = parameter(1.0, "Least share of the area that a random crop keeps; 1: all.", low=0.01, high=1)
    max_aspect_ratio: float = parameter(1.0, "Largest change of a crop's aspect ratio; 1: none.", low=1, high=16)
    color_jitter: float = parameter(
        0.0, "Change brightness, contrast and saturation by up to this share.", low=0, high=1
    )
    pca_color: float = parameter(0.0, "Shift colors along the images' principal axes by this deviation.", low=0, high=1)
