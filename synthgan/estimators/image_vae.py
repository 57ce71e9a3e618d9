"""ImageVAE: a variational autoencoder for images, or a plain one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from synthgan._runtime import (
    autocast,
    half_precision,
    logger,
    numpy_generator,
    on_device,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.encoding.labels import ConditionCoder
from synthgan.estimators.base import Arrays, BaseSynthesizer, check_number
from synthgan.estimators.image_form import ImageForm
from synthgan.estimators.latents import LatentMixture
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.exceptions import ConditionError, DataError
from synthgan.images import ImageSet, read_images
from synthgan.networks.autoencoders import ImageEncoder
from synthgan.networks.images import ResidualGenerator
from synthgan.networks.pixels import as_bytes, in_blocks, placed, to_pixels, to_tensor
from synthgan.objectives import gaussian_error
from synthgan.options import with_changes
from synthgan.runs import Callback, Run
from synthgan.training import LoopResult, hold_out
from synthgan.variational import AutoencoderOptions, fit_autoencoder

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ImageVAE"]

Floats = npt.NDArray[np.float64]
Latents = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class ImageVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseSynthesizer):  # type: ignore[misc]
    """A variational autoencoder for images of 8 to 128 pixels, gray or RGB.

    Its samples are smoother than those of :class:`~synthgan.ImageGAN`, but it also encodes: for
    features, maps, reconstructions and anomaly scores. With labels, the decoder is given them,
    and the latent vector holds the rest. After the fit, a mixture of normal distributions is
    fitted to the latent vectors; samples are decoded from it (Ghosh et al. 2020,
    arXiv:1903.12436).

    Parameters
    ----------
    random_state : int, numpy Generator, RandomState or None, default None
        The same int gives the same model on one machine (unless `max_time` cuts the fit short).
    device : {"auto", "cpu", "cuda", "cuda:<index>", "mps"}, default "auto"
    max_time : float, str or None, default None
        Budget of the fit: seconds, or a text such as ``"10m"``.
    checkpoint : path or None, default None
        File that keeps the state of the fit, about every half minute. If the process dies, the same
        call goes on from there, to the same model. It is removed when the model is saved.
    variational : bool, default True
        False makes a plain autoencoder: sharper reconstructions, worse samples.
    latent : int, default 16
        Length of the latent vector.
    width : int, default 32
        Channels at half the full size.
    options : dict, AutoencoderOptions or None, default None
        Rarely changed settings; a dict may name some of them.
    callbacks : sequence of callable, default ()
        Called after each epoch with a dict of figures; returning True ends the fit.
    verbose : int, default 1
        0 is silent, 1 shows a progress bar on standard error.

    Attributes
    ----------
    encoder_, decoder_ : nn.Module
        The trained networks.
    classes_ : list
        The classes, if there is one per image.
    history_ : list of dict
        Figures of every epoch.
    seconds_ : float
        What the fit took.
    mixture_ : LatentMixture
        Where latent vectors lie, class by class.
    usual_ : LatentMixture
        What :meth:`score_samples` takes for usual.
    n_images_ : int
        Images that the model was fitted on.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = (load_digits().images * 15.9375).astype("uint8")
    >>> vae = ImageVAE(random_state=0, max_time="2s", verbose=0).fit(digits)
    >>> vae.transform(digits[:3]).shape, vae.reconstruct(digits[:3]).shape
    ((3, 16), (3, 8, 8))
    """

    _of_images: ClassVar[bool] = True
    _options_kind: ClassVar = AutoencoderOptions
    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "latent": (int, 1, 1024),
        "width": (int, 4, 1024),
        "verbose": (int, 0, 10),
    }

    def __init__(
        self,
        *,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        variational: bool = True,
        latent: int = 16,
        width: int = 32,
        options: Mapping[str, Any] | AutoencoderOptions | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.variational = variational
        self.latent = latent
        self.width = width
        self.options = options
        self.callbacks = callbacks
        self.verbose = verbose

    # fitting ------------------------------------------------------------------------------------

    def fit(self, images: Any, y: Any = None) -> Self:
        """Learn to encode and decode images.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet
        y : array-like, DataFrame or None, default None
            As for :meth:`ImageGAN.fit`.

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
        coder = ConditionCoder.fit(found.labels)
        given = coder.encode(found.labels, len(found))
        run, seed = self._begin(seed, started, found.pixels, given)
        networks, result = on_device(
            device, lambda device: self._train(found, form, coder, given, seed, device, run)
        )
        logger.info("fit of an autoencoder ended: %s", result.reason)
        self.encoder_, self.decoder_ = (n.eval().requires_grad_(False) for n in networks)
        self.coder_, self.classes_ = coder, coder.classes
        self.history_, self.n_images_ = result.history, len(found)
        self._form = form
        self._learn_density(found, given, seed)
        self.seconds_ = run.finish()
        return self

    def _train(
        self,
        found: ImageSet,
        form: ImageForm,
        coder: ConditionCoder,
        given: Latents,
        seed: int,
        device: torch.device,
        run: Run,
    ) -> tuple[tuple[ImageEncoder, ResidualGenerator], LoopResult]:
        """Return the encoder and the decoder, and how training went."""
        encoder, decoder = _build(form, self.latent, coder, self.width)
        for network, purpose in ((encoder, "encoder"), (decoder, "decoder")):
            network.reset(torch_generator(seed, purpose))
            placed(network, device)
        pixels = as_bytes(found.pixels).to(device)
        conditions = torch.from_numpy(given).to(device)
        precision = half_precision(device)

        def encode(rows: Tensor) -> tuple[Tensor, Tensor]:
            with autocast(device, precision):
                mean, log_variance = encoder(to_tensor(pixels[rows]))
            return mean.float(), log_variance.float()

        def error(latents: Tensor, rows: Tensor) -> Tensor:
            with autocast(device, precision):
                decoded = decoder(latents, conditions[rows])
            return gaussian_error(to_tensor(pixels[rows]), decoded)

        kept, aside = hold_out(len(found), max(min(len(found) // 10, 1000), 1), seed)
        result = fit_autoencoder(
            nn.ModuleList([encoder, decoder]),
            encode,
            error,
            kept.to(device),
            aside.to(device),
            with_changes(AutoencoderOptions(), self.options),
            variational=self.variational,
            seed=seed,
            run=run,
        )
        return (encoder, decoder), result

    def _learn_density(self, found: ImageSet, given: Latents, seed: int) -> None:
        """Keep where latent vectors lie, and what usual images are like."""
        latents = self._means(found)
        labels = found.labels if self.coder_.kind == "classes" else None
        self.mixture_ = LatentMixture.fit(latents.astype(np.float64), seed, self._groups(given))
        self.usual_ = LatentMixture.fit(self._statistics(found, latents, labels), seed)

    def _groups(self, conditions: Latents) -> npt.NDArray[np.int64] | None:
        """Return the number of the class of each image, None if there are no classes."""
        return conditions.argmax(axis=1) if self.coder_.kind == "classes" else None

    # encoding and decoding ----------------------------------------------------------------------

    def _means(self, found: ImageSet) -> Latents:
        def means(pixels: Tensor) -> Latents:
            return np.asarray(self.encoder_(to_tensor(pixels))[0].float().cpu().numpy())

        return in_blocks(self.encoder_, means, as_bytes(found.pixels))

    def _decode(self, latents: Latents, conditions: Latents) -> npt.NDArray[np.float32]:
        """Return images in [-1, 1], float32 of shape (images, height, width, channels)."""

        def images(*block: Tensor) -> npt.NDArray[np.float32]:
            made = self.decoder_(*block).float()
            return np.asarray(made.permute(0, 2, 3, 1).cpu().numpy())

        return in_blocks(self.decoder_, images, *map(torch.from_numpy, (latents, conditions)))

    def _images(self, decoded: npt.NDArray[np.float32]) -> Pixels:
        return self._form.restore(to_pixels(torch.from_numpy(decoded).permute(0, 3, 1, 2)))

    def _read(self, images: Any, labels: Any = None) -> ImageSet:
        check_is_fitted(self)
        return self._form.read(images, labels)

    def _labelled(self, n: int, labels: Any, *, most_likely_for: ImageSet | None = None) -> Latents:
        """Return conditions for `n` images: those asked for, or the class that fits best."""
        if self.coder_.kind == "none" or labels is not None:
            chosen = self.coder_.choose(n, labels, numpy_generator(0, "labels"))
            return self.coder_.encode(chosen)
        if most_likely_for is None or not self.classes_:
            raise ConditionError("The model was fitted with labels; give labels=... as well.")
        latents = self._means(most_likely_for)
        truth = to_tensor(_tensor(most_likely_for.pixels)).numpy()
        errors = []
        for name in self.classes_:
            condition = self.coder_.encode(np.array([name])).repeat(n, axis=0)
            errors.append(((self._decode(latents, condition) - truth) ** 2).mean(axis=(1, 2, 3)))
        best = np.argmin(errors, axis=0)
        return self.coder_.encode(np.array(self.classes_)[best])

    def transform(self, images: Any) -> Latents:
        """Return the latent vector of each image: the mean of its distribution.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet

        Returns
        -------
        ndarray of float32, shape (images, latent)
        """
        return self._means(self._read(images))

    @property
    def _n_features_out(self) -> int:
        return self.latent

    def inverse_transform(self, latents: Any, labels: Any = None) -> Pixels:
        """Return the images that latent vectors stand for.

        Parameters
        ----------
        latents : ndarray, shape (images, latent)
        labels : optional
            As for :meth:`sample`; needed if the model was fitted with labels.

        Returns
        -------
        ndarray of uint8, shape (images, height, width[, channels])
        """
        check_is_fitted(self)
        found = np.asarray(latents, dtype=np.float32)
        if found.ndim != 2 or found.shape[1] != self.latent or not np.isfinite(found).all():
            raise DataError(f"Latent vectors must be finite, of shape (images, {self.latent}).")
        return self._images(self._decode(found, self._labelled(len(found), labels)))

    def reconstruct(self, images: Any, labels: Any = None) -> Pixels:
        """Return images after encoding and decoding.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet
        labels : optional
            Of the images; without them, a model of classes takes the class that fits best.

        Returns
        -------
        ndarray of uint8, shape (images, height, width[, channels])
        """
        found = self._read(images, labels)
        conditions = self._labelled(len(found), found.labels, most_likely_for=found)
        return self._images(self._decode(self._means(found), conditions))

    def score_samples(self, images: Any) -> Floats:
        """Return how usual each image is; low means odd.

        The log-density of three things together: the latent vector, the log of the reconstruction
        error, and the log of the total variation, which says how much there is to reconstruct. It
        is a mixture of normal distributions, fitted to the training images (after Zong et al. 2018,
        "Deep autoencoding Gaussian mixture model", and Morningstar et al. 2021, arXiv:2006.09273).
        A likelihood of the pixels, or the error alone, would take simple images for usual ones
        (Nalisnick et al. 2019, arXiv:1810.09136): see ``benchmarks/NOTES.md``.

        A model of classes takes for each image the class that it reconstructs best with; a model
        of attributes or vectors leaves them open.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet

        Returns
        -------
        ndarray of float64, shape (images,)
        """
        found = self._read(images)
        return self.usual_.log_density(self._statistics(found, self._means(found), None))

    def _statistics(self, found: ImageSet, latents: Latents, labels: Any) -> Floats:
        """Return what images are judged by, shape (images, latent + 2)."""
        if labels is not None or self.coder_.kind in ("none", "classes"):
            conditions = self._labelled(len(found), labels, most_likely_for=found)
        else:
            conditions = np.zeros((len(found), self.coder_.width), np.float32)
        truth = to_tensor(_tensor(found.pixels)).numpy()
        missed = self._decode(latents, conditions) - truth
        error = (missed**2).mean(axis=(1, 2, 3), dtype=np.float64)
        detail = sum(
            np.abs(np.diff(truth, axis=axis)).mean(axis=(1, 2, 3), dtype=np.float64)
            for axis in (1, 2)
        )
        return np.column_stack([latents, np.log(error + 1e-6), np.log(detail + 1e-3)])

    def latent_map(self, images: Any) -> Floats:
        """Return the two principal components of latent vectors, for a picture.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet

        Returns
        -------
        ndarray of float64, shape (images, 2)
            Axes are those of the training images' latent vectors; the second is 0 if there is
            one.
        """
        return self.mixture_.project(self.transform(images).astype(np.float64))

    def sample(
        self, n_samples: int | None = None, *, labels: Any = None, random_state: Any = None
    ) -> Any:
        """Draw images.

        Parameters
        ----------
        n_samples : int, optional
            Images to draw; 1 if `labels` does not say how many.
        labels : optional
            As for :meth:`ImageGAN.sample`.
        random_state : int, Generator, RandomState or None, default None
            The same int gives the same images.

        Returns
        -------
        ndarray of uint8, shape (images, height, width[, channels])
        labels
            One per image; only if `fit` got labels.
        """
        check_is_fitted(self)
        check_number("sample", "n_samples", n_samples, int, 0, 2**31, optional=True)
        seed = seed_from(random_state)
        chosen = self.coder_.choose(n_samples, labels, numpy_generator(seed, "labels"))
        conditions = self.coder_.encode(chosen)
        latents = self.mixture_.draw(len(chosen), seed, self._groups(conditions))
        images = self._images(self._decode(latents, conditions))
        return images if self.coder_.kind == "none" else (images, chosen)

    # description and storage --------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        networks = (self.encoder_, self.decoder_)
        return {
            "variational": self.variational,
            "images": self.n_images_,
            "size": list(self._form.size),
            "channels": self._form.channels,
            "labels": self.coder_.kind,
            "classes": self.classes_,
            "parameters": sum(p.numel() for network in networks for p in network.parameters()),
        }

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        model = {
            "coder": self.coder_.to_dict(),
            "form": self._form.to_dict(),
            "n_images": self.n_images_,
        }
        arrays = arrays_of("encoder", self.encoder_) | arrays_of("decoder", self.decoder_)
        for prefix, mixture in (("mixture", self.mixture_), ("usual", self.usual_)):
            arrays |= {f"{prefix}.{name}": array for name, array in mixture.arrays().items()}
        return model, arrays

    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        coder = self.coder_ = ConditionCoder.from_dict(model["coder"])
        form = self._form = ImageForm.from_dict(model["form"])
        self.classes_, self.n_images_ = coder.classes, int(model["n_images"])
        network = (form, self.latent, coder, self.width)
        self.encoder_ = placed(
            rebuild(lambda: _build(*network)[0], with_prefix(tensors, "encoder")), device
        )
        self.decoder_ = placed(
            rebuild(lambda: _build(*network)[1], with_prefix(tensors, "decoder")), device
        )
        self.mixture_, self.usual_ = (
            LatentMixture.from_arrays(with_prefix(tensors, name), self.latent + more)
            for name, more in (("mixture", 0), ("usual", 2))
        )


def _tensor(pixels: Pixels) -> Tensor:
    """Return pixels as they are laid out, also those of a view, as a tensor."""
    return torch.from_numpy(np.array(pixels))


def _build(
    form: ImageForm, latent: int, coder: ConditionCoder, width: int
) -> tuple[ImageEncoder, ResidualGenerator]:
    return (
        ImageEncoder(form.size, form.channels, latent, width),
        ResidualGenerator(form.size, form.channels, latent, coder.width, width),
    )
