"""Clipped gradients of single images: `torch.func` as here, and Opacus, side by side.

    python benchmarks/dp_gradients.py       # in an environment with opacus 1.6.0; a minute

Both get the critic of `ImageGAN` for grey pictures of 28 x 28, the same 256 random pictures and
classes; for layers of other classes than torch's, Opacus calls `torch.func` too. Prints the largest
difference of the two sums, the milliseconds per batch, the fastest of five, and what Opacus says
when asked for a cryptographic source of noise.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from opacus import PrivacyEngine
from opacus.grad_sample import GradSampleModule
from torch import Tensor

from synthgan._runtime import torch_generator
from synthgan.networks.images import ResidualCritic
from synthgan.privacy.private_gradients import clipped_sum

CLASSES, IMAGES, CLIP = 10, 256, 1.0


def fastest(task: Callable[[], object], trials: int = 5) -> float:
    """Return milliseconds."""
    times = []
    for _ in range(trials):
        began = time.perf_counter()
        task()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def main() -> None:
    """Print the comparison."""
    critic = ResidualCritic((28, 28), 1, CLASSES, 32)
    critic.reset(torch_generator(0, "critic"))
    images = torch.randn(IMAGES, 1, 28, 28, generator=torch_generator(0, "images"))
    conditions = F.one_hot(torch.arange(IMAGES) % CLASSES, CLASSES).float()

    def ours() -> dict[str, Tensor]:
        def loss(parameters: dict[str, Tensor], image: Tensor, condition: Tensor) -> Tensor:
            inputs = image[None], condition[None]
            return F.softplus(-torch.func.functional_call(critic, parameters, inputs)).squeeze(0)

        parameters = dict(critic.named_parameters())
        return clipped_sum(loss, parameters, images, conditions, CLIP)

    wrapped = GradSampleModule(copy.deepcopy(critic), loss_reduction="sum")
    other_parameters = dict(wrapped._module.named_parameters())

    def theirs() -> dict[str, Tensor]:
        total = {name: torch.zeros_like(p) for name, p in other_parameters.items()}
        for part, condition in zip(images.split(64), conditions.split(64), strict=True):
            wrapped.zero_grad()
            F.softplus(-wrapped(part, condition)).sum().backward()
            found = {name: p.grad_sample for name, p in other_parameters.items()}
            norm = torch.stack([g.flatten(1).square().sum(1) for g in found.values()]).sum(0).sqrt()
            factor = (CLIP / norm.clamp_min(1e-12)).clamp(max=1.0)
            for name, grads in found.items():
                total[name] += torch.einsum("n...,n->...", grads, factor)
        return total

    with torch.no_grad():
        scores = critic(images, conditions)
    one, other = ours(), theirs()
    largest = max(float(value.abs().max()) for value in one.values())
    gap = max(float((one[name] - other[name]).abs().max()) for name in one)
    print(f"scores between {float(scores.min()):.2f} and {float(scores.max()):.2f}")
    print(
        f"largest difference of the sums: {gap / largest:.1e} of the largest entry, {largest:.3g}"
    )
    print(f"torch.func {fastest(ours):.0f} ms, Opacus {fastest(theirs):.0f} ms")
    try:
        PrivacyEngine(secure_mode=True)
    except ImportError as error:
        print(f"secure_mode: {error}")


if __name__ == "__main__":
    main()
