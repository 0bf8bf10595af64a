"""Write tests/reference/networks.npz: names, shapes and logits of torchvision's networks on weights that we draw.

Run by whoever renews the file; no test needs torchvision:

    pip install -e . --group peers
    python scripts/make_reference_logits.py

`seed` and `shape`: weights are `draw_arrays(network, seed, shape)`; `inputs`: a random and a black image. For each
network: `NAME__arrays`, a JSON text (its bytes) of names and shapes in torchvision's order; `NAME__parameters`, how
many numbers are learned; of some `NAME__logits`, what torchvision gives for the inputs in float64.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torchvision

from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.initialization import draw_arrays

TARGET = Path(__file__).parents[1] / "tests/reference/networks.npz"
SEED, SHAPE = 3, (3, 97, 65)
# Whose logits are stored: one of each way to build a network. Names, shapes and counts are stored of all.
LOGITS = ("alexnet", "vgg11", "vgg11_bn", "googlenet", "resnet18", "resnet50", "densenet121", "densenet161",
          "squeezenet1_0", "squeezenet1_1")  # fmt: skip
# Only imgtool's: two-layer, lenet, AlexNet as published, EfficientNet-Lite.
NETWORKS = [name for name in CATALOGUE if hasattr(torchvision.models, name)]


def main() -> None:
    pixels = np.stack([np.random.default_rng(SEED).integers(0, 256, SHAPE), np.zeros(SHAPE)])
    inputs = ((pixels / 255 - 0.45) / 0.225).astype(np.float32)
    found = {"seed": SEED, "shape": SHAPE, "inputs": inputs}
    for name in NETWORKS:
        found |= {f"{name}__{key}": value for key, value in reference(name, inputs).items()}
    np.savez_compressed(TARGET, **found)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def reference(name: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is stored of one network."""
    more = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    module = getattr(torchvision.models, name)(weights=None, **more).eval()
    shapes = {key: list(tensor.shape) for key, tensor in module.state_dict().items() if "num_batches" not in key}
    found = {
        "arrays": np.frombuffer(json.dumps(shapes).encode(), np.uint8),
        "parameters": np.array(sum(tensor.numel() for tensor in module.parameters())),
    }
    if name in LOGITS:
        own = CATALOGUE[name]
        arrays = draw_arrays(own.declare(1000, own.parameters, own.preprocessing), SEED, SHAPE)
        module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()}, strict=True)
        with torch.inference_mode():
            found["logits"] = module.double()(torch.from_numpy(inputs).double()).numpy()
        print(f"{name}: largest logit {abs(found['logits']).max():.3f}")
    return found


if __name__ == "__main__":
    main()
