"""ImageGAN: a conditional GAN for small sets of small images."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from synthgan._runtime import (
    half_precision,
    logger,
    numpy_generator,
    on_device,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.adversarial.dp_sgd import PrivateSgdOptions
from synthgan.adversarial.images import ImageOptions, fit_images
from synthgan.encoding.labels import ConditionCoder
from synthgan.estimators.base import Arrays, BaseSynthesizer, check_number
from synthgan.estimators.image_form import ImageForm
from synthgan.estimators.image_presets import PRESETS, build_networks, draw_networks
from synthgan.estimators.private_images import fit_images_by_dp_sgd, fit_images_privately
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.exceptions import ParameterError
from synthgan.images import ImageSet, contact_sheet, read_images, write_png
from synthgan.networks.factors import FactorGenerator
from synthgan.networks.pixels import BLOCK, as_bytes, in_blocks, placed, to_pixels, to_tensor
from synthgan.options import with_changes
from synthgan.privacy import DifferentialPrivacy
from synthgan.runs import Callback, Run
from synthgan.training import LoopResult, hold_out

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PRESETS", "ImageGAN"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_PREVIEWED = 64


class ImageGAN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseSynthesizer):  # type: ignore[misc]
    """A conditional GAN for images of 8 to 128 pixels, gray or RGB.

    Images are conditioned on nothing, on a class, on several attributes, or on a vector of numbers
    per image (so that embeddings of texts give images for texts).

    Parameters
    ----------
    preset : {"resnet", "dcgan", "vanilla"}, default "resnet"
        ``"resnet"``: residual networks, relativistic loss with penalties, distortions, averaged
        weights (after R3GAN, arXiv:2501.05441). ``"dcgan"`` (arXiv:1511.06434) and ``"vanilla"``
        (fully connected, arXiv:1406.2661) are the classics, for comparison.
    random_state : int, numpy Generator, RandomState or None, default None
        The same int gives the same model on one machine (unless `max_time` cuts the fit short).
    device : {"auto", "cpu", "cuda", "cuda:<index>", "mps"}, default "auto"
    max_time : float, str or None, default None
        Budget of the fit: seconds, or a text such as ``"10m"``. The learning-rate schedule shortens
        to fit, and a usable model always results.
    checkpoint : path or None, default None
        File that keeps the state of the fit, about every half minute. If the process dies, the same
        call goes on from there, to the same model. It is removed when the model is saved.
    latent : int, default 64
        Length of the latent vector.
    width : int, default 32
        Channels at half the full size; the cost of a step grows with its square.
    privacy : DifferentialPrivacy or None, default None
        Make a simple generator under differential privacy in place of the networks: noisy mean
        images of the classes, a noisy covariance of all images, and small distortions. `preset`,
        `latent`, `width`, `max_time`, `preview` and `callbacks` have no part in it. With `options`
        of the type PrivateSgdOptions, the networks are trained instead, the critic by DP-SGD: for
        experts with a GPU.
    options : dict, ImageOptions, PrivateSgdOptions or None, default None
        Rarely changed settings: a dict changes some of those of the preset, ImageOptions all.
    preview : path or None, default None
        A folder in which a contact sheet of samples is written after each epoch.
    callbacks : sequence of callable, default ()
        Called after each epoch with a dict of figures; returning True ends the fit.
    verbose : int, default 1
        0 is silent, 1 shows a progress bar on standard error.

    Attributes
    ----------
    generator_, critic_ : nn.Module
        The trained networks; the generator has averaged weights. ``critic_`` is None if a private
        fit had none.
    privacy_ : dict or None
        What a private fit promises (``"text"``), and what it was charged.
    classes_ : list
        The classes, if there is one per image.
    history_ : list of dict
        Figures of every epoch.
    seconds_ : float
        What the fit took.
    n_images_ : int
        Images that the model was fitted on.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> images = (digits.images * 15.9375).astype("uint8")
    >>> gan = ImageGAN(random_state=0, max_time="2s", verbose=0).fit(images, digits.target)
    >>> samples, labels = gan.sample(3, labels=7)
    >>> samples.shape, labels.tolist()
    ((3, 8, 8), [7, 7, 7])
    """

    _of_images: ClassVar[bool] = True
    _options_kind: ClassVar = ImageOptions
    _private_options_kind: ClassVar = PrivateSgdOptions
    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "latent": (int, 1, 4096),
        "width": (int, 4, 1024),
        "verbose": (int, 0, 10),
    }
    generator_: torch.nn.Module
    critic_: torch.nn.Module | None

    def __init__(
        self,
        preset: str = "resnet",
        *,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        latent: int = 64,
        width: int = 32,
        privacy: DifferentialPrivacy | None = None,
        options: Mapping[str, Any] | ImageOptions | PrivateSgdOptions | None = None,
        preview: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.preset = preset
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.latent = latent
        self.width = width
        self.privacy = privacy
        self.options = options
        self.preview = preview
        self.callbacks = callbacks
        self.verbose = verbose

    def _check_parameters(self) -> None:
        if self.privacy is None and isinstance(self.options, PrivateSgdOptions):
            raise ParameterError("ImageGAN: PrivateSgdOptions belong to privacy=..., not given.")
        super()._check_parameters()
        if self.preset not in PRESETS:
            raise ParameterError(
                f"ImageGAN: preset must be one of {', '.join(map(repr, PRESETS))}; "
                f"got {self.preset!r}."
            )
        if self.privacy is not None and isinstance(self.options, Mapping):
            raise ParameterError(
                "ImageGAN: with privacy, options must be PrivateSgdOptions or None, for which of "
                "the two says how the promise is kept; got a dict."
            )
        if self.privacy is not None and self.checkpoint is not None:
            raise ParameterError(
                "ImageGAN: a private fit keeps no checkpoint, because steps that were repeated "
                "would be released twice; leave checkpoint out."
            )

    # fitting ------------------------------------------------------------------------------------

    def fit(self, images: Any, y: Any = None) -> Self:
        """Learn the distribution of images given their labels.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet
            Whatever :func:`synthgan.images.read_images` reads without further arguments.
        y : array-like, DataFrame or None, default None
            One class per image, a frame of attributes, or float vectors of shape
            (images, numbers). Labels that come with `images` need not be repeated.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            Before any training, naming the parameter, file or image and the fix.
        """
        self._check_parameters()
        started = time.monotonic()
        device, seed = resolve_device(self.device), seed_from(self.random_state)
        found = read_images(images, y)
        form = ImageForm.learn(found, images)
        self._form, self.privacy_ = form, None
        if self.privacy is not None:
            return self._fit_privately(found, device, seed, started)
        coder = ConditionCoder.fit(found.labels)
        encoded = coder.encode(found.labels, len(found))
        run, seed = self._begin(seed, started, found.pixels, encoded)
        networks, result = on_device(
            device, lambda device: self._train(found, coder, encoded, seed, device, run)
        )
        logger.info("fit of images ended: %s", result.reason)
        self.generator_, self.critic_ = (n.eval().requires_grad_(False) for n in networks)
        self.coder_, self.classes_ = coder, coder.classes
        self.history_, self.n_images_ = result.history, len(found)
        self.seconds_ = run.finish()
        return self

    def _train(
        self,
        found: ImageSet,
        coder: ConditionCoder,
        encoded: Floats,
        seed: int,
        device: torch.device,
        run: Run,
    ) -> tuple[tuple[torch.nn.Module, torch.nn.Module], LoopResult]:
        """Return the generator and the critic, and how training went."""
        options = with_changes(PRESETS[self.preset][1], self.options)
        networks = draw_networks(self._build(coder), seed, device)
        pixels = as_bytes(found.pixels)
        conditions = torch.from_numpy(encoded)
        count = min(len(found) // 20, 500) if len(found) >= 400 else 0
        kept, aside = hold_out(len(found), count, seed)  # these only show overfitting
        result = fit_images(
            *networks,
            pixels[kept].to(device),
            conditions[kept].to(device),
            options,
            held_out=(pixels[aside].to(device), conditions[aside].to(device)) if count else None,
            seed=seed,
            precision=half_precision(device),
            run=replace(run, callbacks=[*self._previews(networks[0], coder), *run.callbacks]),
        )
        return networks, result

    def _build(self, coder: ConditionCoder) -> tuple[torch.nn.Module, torch.nn.Module]:
        return build_networks(self.preset, self._form, self.latent, coder, self.width)

    def _fit_privately(
        self, found: ImageSet, device: torch.device, seed: int, started: float
    ) -> Self:
        assert self.privacy is not None
        if isinstance(self.options, PrivateSgdOptions):
            run, seed = self._begin(seed, started)
            release = fit_images_by_dp_sgd(
                found, self.privacy, self._build, self.options, device=device, seed=seed, run=run
            )
        else:
            release = fit_images_privately(found, self.privacy)
        self.generator_, self.critic_ = release.generator.to(device), release.critic
        self.coder_, self.classes_ = release.coder, release.coder.classes
        self.history_, self.n_images_ = release.history, release.n_images
        self.privacy_ = release.privacy
        self.seconds_ = round(time.monotonic() - started, 3)
        return self

    def _previews(self, generator: torch.nn.Module, coder: ConditionCoder) -> list[Callback]:
        if self.preview is None or coder.kind == "vectors":
            return []
        folder = Path(self.preview)
        folder.mkdir(parents=True, exist_ok=True)
        labels = coder.choose(_PREVIEWED, None, numpy_generator(0, "preview"))
        condition = torch.from_numpy(coder.encode(labels))
        z = _latents(0, _PREVIEWED, self.latent)

        def write(entry: dict[str, Any]) -> bool:
            training = generator.training
            generator.eval()
            sheet = contact_sheet(_generate(generator, z, condition), 8)
            generator.train(training)
            write_png(folder / f"step_{entry['step']:07d}.png", sheet)
            return False

        return [write]

    # sampling -----------------------------------------------------------------------------------

    def sample(
        self,
        n_samples: int | None = None,
        *,
        labels: Any = None,
        truncation: float = 1.0,
        random_state: Any = None,
    ) -> Any:
        """Draw images.

        Parameters
        ----------
        n_samples : int, optional
            Images to draw; 1 if `labels` does not say how many.
        labels : optional
            A class for all images, or one per image; a dict of some attributes, or a frame of all;
            a vector, or one per image. None draws classes or attributes as often as they were
            seen.
        truncation : float, default 1.0
            Factor of the latent vectors: below 1, more typical and less varied images.
        random_state : int, Generator, RandomState or None, default None
            The same int gives the same images, and the first do not depend on how many follow.

        Returns
        -------
        ndarray of uint8, shape (images, height, width[, channels])
            With channels if `fit` got them.
        labels
            One per image; only if `fit` got labels.

        Raises
        ------
        ConditionError
            If a label is unknown.
        """
        check_is_fitted(self)
        check_number("sample", "n_samples", n_samples, int, 0, 2**31, optional=True)
        check_number("sample", "truncation", truncation, float, 0.0, 10.0)
        seed = seed_from(random_state)
        chosen = self.coder_.choose(n_samples, labels, numpy_generator(seed, "labels"))
        conditions = torch.from_numpy(self.coder_.encode(chosen))
        z = truncation * _latents(seed, len(conditions), self._latent)
        images = self._form.restore(_generate(self.generator_, z, conditions))
        return images if self.coder_.kind == "none" else (images, chosen)

    @property
    def _latent(self) -> int:
        return int(self.generator_.latent)  # type: ignore[arg-type]

    def interpolate(self, a: int, b: int, n_samples: int = 8, *, labels: Any = None) -> Pixels:
        """Return images on the way from one latent vector to another.

        Parameters
        ----------
        a, b : int
            Seeds of the two latent vectors: the ends are the first images that :meth:`sample`
            gives for these as `random_state`.
        n_samples : int, default 8
            Images, the two ends among them.
        labels : optional
            As for :meth:`sample`; with two labels, or two vectors, the condition goes from the
            first to the second.

        Returns
        -------
        ndarray of uint8, shape (n_samples, height, width[, channels])
        """
        check_is_fitted(self)
        check_number("interpolate", "n_samples", n_samples, int, 2, 10**6)
        chosen = self.coder_.choose(None, labels, numpy_generator(seed_from(a), "labels"))
        conditions = torch.from_numpy(self.coder_.encode(chosen))
        if len(conditions) > 2:
            raise ParameterError("Give one label, or two: where to start and where to end.")
        way = torch.linspace(0, 1, n_samples)[:, None]
        condition = conditions[:1] + way * (conditions[-1:] - conditions[:1])
        ends = [_latents(seed_from(end), 1, self._latent) for end in (a, b)]
        latents = _between(ends[0], ends[1], way)
        return self._form.restore(_generate(self.generator_, latents, condition))

    def transform(self, images: Any) -> npt.NDArray[np.float32]:
        """Return what the critic sees in images: features for other models.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet
            Of the size that the model was fitted on.

        Returns
        -------
        ndarray of float32, shape (images, features)
        """
        check_is_fitted(self)
        return self._features(as_bytes(self._form.read(images).pixels))

    def _features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        critic = self.critic_
        if critic is None:
            raise ParameterError("A private fit has no critic, so it gives no features.")

        def features(part: Tensor) -> npt.NDArray[np.float32]:
            seen = critic.features(to_tensor(part))  # type: ignore[operator]
            return np.asarray(seen.float().cpu().numpy())

        return in_blocks(critic, features, pixels)

    @property
    def _n_features_out(self) -> int:
        blank = torch.zeros((1, self._form.channels, *self._form.size), dtype=torch.uint8)
        return int(self._features(blank).shape[1])

    # description and storage --------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        return {
            "preset": self.preset,
            "images": self.n_images_,
            "size": list(self._form.size),
            "channels": self._form.channels,
            "labels": self.coder_.kind,
            "classes": self.classes_,
            "parameters": sum(p.numel() for p in self.generator_.parameters()),
        }

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        model = {
            "coder": self.coder_.to_dict(),
            "form": self._form.to_dict(),
            "factors": getattr(self.generator_, "factors", None),
            "n_images": self.n_images_,
        }
        weights = arrays_of("generator", self.generator_)
        if self.critic_ is not None:
            weights |= arrays_of("critic", self.critic_)
        return model, weights

    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        coder = self.coder_ = ConditionCoder.from_dict(model["coder"])
        form = self._form = ImageForm.from_dict(model["form"])
        self.classes_, self.n_images_ = coder.classes, int(model["n_images"])
        if model["factors"] is not None:
            check_number("network", "factors", model["factors"], int, 0, 10**4)
            size = (form.size, form.channels, max(coder.width, 1), int(model["factors"]))
            self.generator_ = rebuild(
                lambda: FactorGenerator(*size), with_prefix(tensors, "generator")
            ).to(device)
            self.critic_ = None
            return
        self.generator_ = placed(
            rebuild(lambda: self._build(coder)[0], with_prefix(tensors, "generator")), device
        )
        self.critic_ = placed(
            rebuild(lambda: self._build(coder)[1], with_prefix(tensors, "critic")), device
        )


def _latents(seed: int, n: int, latent: int) -> Tensor:
    """Return latent vectors of shape (n, latent); the first do not depend on how many follow."""
    blocks = [
        torch.randn(BLOCK, latent, generator=torch_generator(seed, "latent", block))
        for block in range(-(-n // BLOCK))
    ]
    return torch.cat([torch.zeros(0, latent), *blocks])[:n]


def _between(a: Tensor, b: Tensor, way: Tensor) -> Tensor:
    """Return vectors on the great circle from `a` to `b`, shape (steps, latent)."""
    cosine = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.arccos(cosine).clamp_min(1e-4)
    return (torch.sin((1 - way) * angle) * a + torch.sin(way * angle) * b) / torch.sin(angle)


def _generate(generator: torch.nn.Module, z: Tensor, conditions: Tensor) -> Pixels:
    return in_blocks(generator, lambda *block: to_pixels(generator(*block)), z, conditions)
