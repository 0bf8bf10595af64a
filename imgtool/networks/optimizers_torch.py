"""Optimizers: how gradients change weights. The numbers are those of `torch.optim`. Imported late.

Those classes themselves are not used because the first optimizer of a process imports 800 modules of PyTorch's
compiler, which takes longer than an epoch of LeNet over a thousand images.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch

from imgtool.networks.recipe import MAX_GRADIENT_NORM, Recipe

SQUARES_SHARE = 0.999  # of AdamW's mean of squared gradients that the next step keeps
EPSILON = 1e-8  # added to AdamW's root of that mean


class Optimizer(ABC):
    """Changes the parameters of a module that learn."""

    def __init__(self, module: torch.nn.Module, recipe: Recipe) -> None:
        learned = {name: each for name, each in module.named_parameters() if each.requires_grad}
        self.names = list(learned)
        self.parameters: list[torch.Tensor] = list(learned.values())
        self.recipe = recipe

    @abstractmethod
    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return what it keeps between steps, by kind and name."""

    @abstractmethod
    def _change(self, gradients: list[torch.Tensor], rate: float) -> None:
        """Change the parameters by gradients that are finite and not too large."""

    def forget_gradients(self) -> None:
        """Drop the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> bool:
        """Take a step, the gradient clipped to MAX_GRADIENT_NORM; return False, without a step, if it is not finite."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if not math.isfinite(norm):
            return False
        if norm > MAX_GRADIENT_NORM:
            torch._foreach_mul_(gradients, MAX_GRADIENT_NORM / norm)
        self._change(gradients, rate)
        return True

    def _zeros(self) -> list[torch.Tensor]:
        """Return zeros in the shape of each parameter."""
        return [torch.zeros_like(parameter) for parameter in self.parameters]

    def _named(self, tensors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return tensors by the names of the parameters."""
        return dict(zip(self.names, tensors, strict=True))


class Nesterov(Optimizer):
    """Gradient descent with weight decay and Nesterov's momentum: `torch.optim.SGD(nesterov=True)`.

    Sutskever et al., ICML 2013. Without momentum it is plain gradient descent.
    """

    def __init__(self, module: torch.nn.Module, recipe: Recipe) -> None:
        super().__init__(module, recipe)
        self._momenta = self._zeros()

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the momenta."""
        return {"momentum": self._named(self._momenta)}

    def _change(self, gradients: list[torch.Tensor], rate: float) -> None:
        """Go against gradient and momentum."""
        momentum = self.recipe.momentum
        torch._fused_sgd_(
            self.parameters, gradients, self._momenta if momentum else [], weight_decay=self.recipe.weight_decay,
            momentum=momentum, lr=rate, dampening=0.0, nesterov=momentum > 0, maximize=False, is_first_step=False,
        )  # fmt: skip


class AdamW(Optimizer):
    """Steps of about one size for each weight, and weight decay apart from the gradient: `torch.optim.AdamW`.

    Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019. The recipe's momentum is the share of the mean gradient
    that the next step keeps.
    """

    def __init__(self, module: torch.nn.Module, recipe: Recipe) -> None:
        super().__init__(module, recipe)
        self._means, self._squares = self._zeros(), self._zeros()
        self._steps = torch.zeros((), device=self.parameters[0].device)

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the means of gradients and of their squares, and the number of steps."""
        return {"mean": self._named(self._means), "square": self._named(self._squares), "steps": {"all": self._steps}}

    def _change(self, gradients: list[torch.Tensor], rate: float) -> None:
        """Go against the mean gradient, by the root of its mean square."""
        self._steps += 1
        torch._fused_adamw_(
            self.parameters, gradients, self._means, self._squares, [], [self._steps] * len(gradients), lr=rate,
            beta1=self.recipe.momentum, beta2=SQUARES_SHARE, weight_decay=self.recipe.weight_decay, eps=EPSILON,
            amsgrad=False, maximize=False,
        )  # fmt: skip


_OPTIMIZERS = {"sgd": Nesterov, "adamw": AdamW}


def make_optimizer(module: torch.nn.Module, recipe: Recipe) -> Optimizer:
    """Return the optimizer that the recipe names."""
    return _OPTIMIZERS[recipe.optimizer](module, recipe)
