"""Write tests/reference/networks.npz: names, shapes and logits of torchvision's networks on weights that we draw.

Run by whoever renews the file; no test needs torchvision:

    pip install -e . --group peers
    python scripts/make_reference_logits.py

`seed` and `shape`: weights are `draw_arrays(network, seed, shape)`; `inputs`: a random and a black image. For each
network: `NAME__arrays`, a JSON text (its bytes) of names and shapes in torchvision's order; `NAME__parameters`, how
many numbers are learned; `NAME__logits`, what torchvision gives for the inputs in float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision

from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import Sequence
from imgtool.networks.densenet import densenet121
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.resnet import resnet18

TARGET = Path(__file__).parents[1] / "tests/reference/networks.npz"
NETWORKS = [alexnet, resnet18, densenet121]


SEED, SHAPE = 3, (3, 97, 65)


def main() -> None:
    pixels = np.stack([np.random.default_rng(SEED).integers(0, 256, SHAPE), np.zeros(SHAPE)])
    inputs = ((pixels / 255 - 0.45) / 0.225).astype(np.float32)
    found = {"seed": SEED, "shape": SHAPE, "inputs": inputs}
    for declare in NETWORKS:
        found |= {f"{declare.__name__}__{key}": value for key, value in reference(declare, inputs).items()}
    np.savez_compressed(TARGET, **found)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def reference(declare: Callable[[], Sequence], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is stored of one network."""
    module = getattr(torchvision.models, declare.__name__)(weights=None).eval()
    arrays = draw_arrays(declare(), SEED, SHAPE)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, strict=True)
    shapes = {name: list(tensor.shape) for name, tensor in module.state_dict().items() if "num_batches" not in name}
    with torch.inference_mode():
        logits = module.double()(torch.from_numpy(inputs).double()).numpy()
    print(f"{declare.__name__}: largest logit {abs(logits).max():.3f}")
    return {
        "arrays": np.frombuffer(json.dumps(shapes).encode(), np.uint8),
        "parameters": np.array(sum(tensor.numel() for tensor in module.parameters())),
        "logits": logits,
    }


if __name__ == "__main__":
    main()
