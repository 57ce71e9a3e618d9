"""Fits an image generator against a critic that learns by DP-SGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan._runtime import torch_generator
from synthgan.options import require_ranges
from synthgan.privacy.private_gradients import PrivateGradients
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop

__all__ = ["PrivateSgdOptions", "fit_dp_sgd"]


@dataclass(frozen=True, slots=True)
class PrivateSgdOptions:
    """Settings of a fit by DP-SGD, the expert's way to private images.

    Tune them on public or made-up images: every trial on private ones is a release.

    Attributes
    ----------
    sample_rate : float
        Probability that an image is in a step of the critic.
    steps : int
        Of the critic; all are charged before the first.
    clip : float
        Longest gradient of one image.
    critic_steps : int
        Steps of the critic for one of the generator. Many help, since each is noisy (Bie, Kamath
        and Zhang 2023, arXiv:2302.02936).
    batch_size : int
        Generated images in a step.
    learning_rate : float
        Of both networks, by Adam with betas (.5, .999).
    ema : float
        Decay of the averaged weights of the generator.
    """

    sample_rate: float = 0.05
    steps: int = 2000
    clip: float = 1.0
    critic_steps: int = 5
    batch_size: int = 128
    learning_rate: float = 2e-4
    ema: float = 0.99

    def __post_init__(self) -> None:
        checks = {
            "sample_rate": 0 < self.sample_rate < 1,
            "steps": 1 <= self.steps <= 10**7,
            "clip": 0 < self.clip < 10**6,
            "critic_steps": 1 <= self.critic_steps <= 10**4,
            "batch_size": 2 <= self.batch_size <= 2**16,
            "learning_rate": 0 < self.learning_rate < 1,
            "ema": 0 <= self.ema < 1,
        }
        require_ranges(self, checks)


def fit_dp_sgd(
    generator: nn.Module,
    critic: nn.Module,
    private: PrivateGradients,
    conditions: Tensor,
    options: PrivateSgdOptions,
    *,
    seed: int,
    run: Run,
) -> LoopResult:
    """Train both in place; only noisy gradients of the critic come from real images.

    The loss is the non-saturating one, whose part on real images is a mean over images. There is no
    penalty on real images, no image of a batch sees another one, and no figure of the history was
    computed on real images.

    Parameters
    ----------
    generator, critic : nn.Module
        Without batch normalisation.
    private : PrivateGradients
        The real images.
    conditions : Tensor, shape (classes, numbers)
    options : PrivateSgdOptions
    seed : int
        Of everything but the noise and the samples of real images.
    run : Run

    Returns
    -------
    LoopResult
        History with ``critic``, its loss on generated images, and ``generator``.
    """
    device = conditions.device
    optimizers = [
        torch.optim.Adam(module.parameters(), lr=options.learning_rate, betas=(0.5, 0.999))
        for module in (generator, critic)
    ]
    ema = Ema(generator, options.ema)
    shares = torch.from_numpy(private.counts / private.counts.sum()).float().to(device)
    expected = options.sample_rate * float(private.counts.sum())

    def on_real(parameters: Mapping[str, Tensor], image: Tensor, condition: Tensor) -> Tensor:
        inputs = image[None], condition[None]
        score = torch.func.functional_call(critic, dict(parameters), inputs)
        return F.softplus(-score).squeeze(0)

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "private images", number, device=device)

        def fake() -> tuple[Tensor, Tensor]:
            classes = torch.multinomial(
                shares, options.batch_size, replacement=True, generator=draw
            )
            z = torch.randn(options.batch_size, generator.latent, generator=draw, device=device)  # type: ignore[call-overload]
            return generator(z, conditions[classes]), conditions[classes]

        with torch.no_grad():
            made = fake()
        loss = F.softplus(critic(*made)).mean()
        optimizers[1].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        noisy = private.sum(on_real, dict(critic.named_parameters()))
        for name, parameter in critic.named_parameters():
            found = noisy[name] / expected
            parameter.grad = found if parameter.grad is None else parameter.grad + found
        optimizers[1].step()
        figures = {"critic": loss}
        if number % options.critic_steps == 0:
            figures["generator"] = F.softplus(-critic(*fake())).mean()
            descend(optimizers[0], figures["generator"])
        return figures

    return fit_loop(
        step,
        phase="private",
        steps=options.steps,
        epoch_steps=max(options.steps // 40, 1),
        ema=ema,
        validate=None,
        patience=1,
        repeatable=False,
        parts={"generator": generator, "critic": critic},
        run=run,
    )
