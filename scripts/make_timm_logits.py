"""Write tests/reference/timm.npz: names, shapes and logits of timm's EfficientNet-Lite.

Run by whoever renews the file; no test needs timm:

    pip install -e . timm==1.0.31
    python scripts/make_timm_logits.py

For each network on weights that we draw (`seed` and `shape`, as in `make_reference_logits.py`): `NAME__arrays`, a JSON
text (its bytes) of names and shapes in timm's order; `NAME__parameters`, how many numbers are learned; `NAME__logits`,
what timm gives for `inputs` in float64. `images`: names of files in `sample_images`; `shipped__logits`: what timm gives
for them, prepared by us, when it holds the weights of `efficientnet-lite0@imagenet` as they are stored, in float64.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import timm
import torch

import imgtool
from imgtool.classifiers.network import NetworkClassifier
from imgtool.networks.catalogue import CATALOGUE
from imgtool.networks.efficientnet_lite import EPS
from imgtool.networks.initialization import draw_arrays

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "tests/reference/timm.npz"
SEED, SHAPE = 3, (3, 97, 65)
IMAGES = ("camera.png", "coffee.png", "textures/gravel/gravel_03.png")


def main() -> None:
    pixels = np.stack([np.random.default_rng(SEED).integers(0, 256, SHAPE), np.zeros(SHAPE)])
    inputs = ((pixels - 127) / 128).astype(np.float32)
    found = {"seed": SEED, "shape": SHAPE, "inputs": inputs, "images": np.array(IMAGES)}
    for scale in range(3):
        name = f"efficientnet-lite{scale}"
        own = CATALOGUE[name]
        arrays = draw_arrays(own.declare(1000, own.parameters, own.preprocessing), SEED, SHAPE)
        module = timm.create_model(f"tf_efficientnet_lite{scale}").eval()
        shapes = {key: list(each.shape) for key, each in module.state_dict().items() if "num_batches" not in key}
        load(module, arrays)
        found[f"{name}__arrays"] = np.frombuffer(json.dumps(shapes).encode(), np.uint8)
        found[f"{name}__parameters"] = np.array(sum(each.numel() for each in module.parameters()))
        found[f"{name}__logits"] = logits(module, inputs)
    found["shipped__logits"] = shipped().astype(np.float32)
    np.savez_compressed(TARGET, **found)
    print(f"torch {torch.__version__}, timm {timm.__version__}")


def shipped() -> np.ndarray:
    """Return the logits of the included model's stored weights in timm."""
    model = imgtool.open_model("efficientnet-lite0@imagenet")
    assert isinstance(model, NetworkClassifier)
    module = timm.create_model("tf_efficientnet_lite0").eval()
    load(module, unfolded(dict(model.arrays()), module))
    squares = [model.prepare(imgtool.read(ROOT / "sample_images" / name)) for name in IMAGES]
    return logits(module, model.preprocessing.normalize(squares))


def unfolded(arrays: dict[str, np.ndarray], module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Return arrays with a batch normalization after each convolution that only adds the convolution's bias."""
    result, conv = {}, ""
    for key, tensor in module.state_dict().items():
        base, _, kind = key.rpartition(".")
        if "num_batches" in key:
            continue
        if kind == "weight" and tensor.ndim == 4:
            conv = base
        if base.rpartition(".")[2].startswith("bn"):
            filled = {"weight": 1, "running_mean": 0, "running_var": 1 - EPS}
            result[key] = arrays[f"{conv}.bias"] if kind == "bias" else np.full(tensor.shape, filled[kind], np.float64)
        else:
            result[key] = arrays[key]
    return result


def load(module: torch.nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Put arrays into a module, in float64."""
    module.double()
    tensors = {name: torch.from_numpy(np.asarray(array, np.float64)) for name, array in arrays.items()}
    missing, strange = module.load_state_dict(tensors, strict=False)
    assert not strange, strange
    assert all("num_batches" in name for name in missing), missing


def logits(module: torch.nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Return what the module gives."""
    with torch.inference_mode():
        result: np.ndarray = module(torch.from_numpy(inputs).double()).numpy()
    return result


if __name__ == "__main__":
    main()
