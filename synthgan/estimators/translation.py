"""ImageTranslator: from one kind of images to another, without pairs."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from synthgan._runtime import (
    half_precision,
    logger,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.adversarial.translation import TranslationOptions, fit_contrast, fit_cycle
from synthgan.alignment import ALIGNMENTS, aligned, find_alignment
from synthgan.estimators.base import BaseSynthesizer, check_number
from synthgan.estimators.sizes import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    check_sides,
    is_flat,
    require_size,
)
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.exceptions import DataError, ParameterError
from synthgan.images import ImageSet, read_images
from synthgan.networks.images import ResidualCritic
from synthgan.networks.pixels import BLOCK, as_bytes, placed, to_pixels, to_tensor
from synthgan.networks.translation import PatchProjector, Translator
from synthgan.training import Callback

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MODES", "ImageTranslator"]

Pixels = npt.NDArray[np.uint8]

#: Options by mode.
MODES = {"cyclegan": TranslationOptions(content=5.0), "cut": TranslationOptions(content=1.0)}


class ImageTranslator(BaseSynthesizer):
    """Translates images of one domain to another, learned from two sets without pairs.

    Parameters
    ----------
    mode : {"cyclegan", "cut"}, default "cyclegan"
        ``"cyclegan"`` learns both directions, each checked by the way back (arXiv:1703.10593).
        ``"cut"`` learns one, which keeps the content patch by patch (arXiv:2007.15651): half the
        memory.
    align : bool, default True
        First look for the quarter turn, reflection or negative that brings domain A closest to
        domain B, and learn from there; kept only if it at least halves their distance. Without it,
        a turn is not found, and a negative takes longer.
    random_state : int, numpy Generator, RandomState or None, default None
        The same int gives the same model on one machine (unless `max_time` cuts the fit short).
    device : {"auto", "cpu", "cuda", "cuda:<index>", "mps"}, default "auto"
    max_time : float, str or None, default None
        Budget of the fit: seconds, or a text such as ``"10m"``.
    checkpoint : path or None, default None
        File that keeps the state of the fit, about every half minute. If the process dies, the same
        call goes on from there, to the same model. It is removed when the fit is done.
    width : int, default 16
        Channels at the full size.
    depth : int, default 2
        Residual units in the middle.
    options : TranslationOptions or None, default None
        Rarely changed settings.
    callbacks : sequence of callable, default ()
        Called after each epoch with a dict of figures; returning True ends the fit.
    verbose : int, default 1
        0 is silent, 1 shows a progress bar on standard error.

    Attributes
    ----------
    to_b_, to_a_ : Translator
        The trained networks; ``to_a_`` is None in mode ``"cut"``.
    history_ : list of dict
        Figures of every epoch.
    n_images_ : (int, int)
        Images of both domains that the model was fitted on.
    alignment_ : str
        What is done to images of domain A first, such as ``"negative"`` or ``"turned 90"``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = (load_digits().images * 15.9375).astype("uint8")
    >>> translator = ImageTranslator(random_state=0, max_time="2s", verbose=0)
    >>> translator.fit(digits[:900], 255 - digits[900:]).translate(digits[:5]).shape
    (5, 8, 8)
    """

    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "width": (int, 4, 512),
        "depth": (int, 1, 64),
        "verbose": (int, 0, 10),
    }

    def __init__(
        self,
        mode: str = "cyclegan",
        *,
        align: bool = True,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        width: int = 16,
        depth: int = 2,
        options: TranslationOptions | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.mode = mode
        self.align = align
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.width = width
        self.depth = depth
        self.options = options
        self.callbacks = callbacks
        self.verbose = verbose

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.mode not in MODES:
            raise ParameterError(
                f"ImageTranslator: mode must be 'cyclegan' or 'cut'; got {self.mode!r}."
            )

    def fit(self, domain_a: Any, domain_b: Any) -> Self:
        """Learn to translate.

        Parameters
        ----------
        domain_a, domain_b : ndarray of uint8, shape (images, height, width[, channels]), path or \
ImageSet
            Images of the same size, no two of which need to belong together. Mode ``"cut"`` needs
            the same number of channels.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            Before any training, naming the parameter or domain and the fix.
        """
        self._check_parameters()
        started = time.monotonic()
        device, seed = resolve_device(self.device), seed_from(self.random_state)
        a, b = _read("domain_a", domain_a), _read("domain_b", domain_b)
        self._check_pair(a, b)
        run, seed = self._begin(seed, started, a.pixels, b.pixels)
        alignment = find_alignment(a.pixels, b.pixels, seed) if self.align else "none"
        pixels = (
            as_bytes(aligned(a.pixels, alignment)).to(device),
            as_bytes(b.pixels).to(device),
        )
        options = self.options or MODES[self.mode]
        settings: dict[str, Any] = {"seed": seed, "precision": half_precision(device), "run": run}

        def drawn(network: Any, purpose: str) -> Any:
            network.reset(torch_generator(seed, purpose))
            return placed(network, device)

        def translator(before: ImageSet, after: ImageSet, purpose: str) -> Any:
            channels = before.channels, after.channels
            return drawn(Translator(b.size, *channels, self.width, self.depth), purpose)

        def critic(of: ImageSet, purpose: str) -> Any:
            return drawn(ResidualCritic(b.size, of.channels, 0, self.width), purpose)

        forth, of_b = translator(a, b, "to b"), critic(b, "critic of b")
        if self.mode == "cyclegan":
            back, of_a = translator(b, a, "to a"), critic(a, "critic of a")
            result = fit_cycle((forth, back), (of_b, of_a), *pixels, options, **settings)
        else:
            back, projector = None, drawn(PatchProjector(forth.map_widths), "projector")
            result = fit_contrast(forth, of_b, projector, *pixels, options, **settings)
        logger.info("fit of a translation ended: %s", result.reason)
        self.to_b_ = forth.eval().requires_grad_(False)
        self.to_a_ = None if back is None else back.eval().requires_grad_(False)
        self.history_, self.n_images_ = result.history, (len(a), len(b))
        self._size, self._channels = a.size, (a.channels, b.channels)
        self._flat = is_flat(a, domain_a), is_flat(b, domain_b)
        self.alignment_ = alignment
        self.seconds_ = run.finish()
        return self

    def _check_pair(self, a: ImageSet, b: ImageSet) -> None:
        if a.size != b.size:
            raise DataError(
                f"Images of domain_a are {a.size[0]} x {a.size[1]}, those of domain_b "
                f"{b.size[0]} x {b.size[1]}; see size=... of synthgan.images.read_images."
            )
        if self.mode == "cut" and a.channels != b.channels:
            raise DataError(
                f"Images of domain_a have {a.channels} channels, those of domain_b {b.channels}; "
                "use mode='cyclegan', or gray=... of synthgan.images.read_images."
            )

    def translate(self, images: Any, to: str = "b") -> Pixels:
        """Return images as they would look in the other domain.

        Parameters
        ----------
        images : ndarray of uint8, shape (images, height, width[, channels]), path or ImageSet
        to : {"b", "a"}, default "b"
            The domain to translate to.

        Returns
        -------
        ndarray of uint8, shape (images, height, width[, channels])
            Without channels if that domain is gray and was not fitted with an axis for them.

        Raises
        ------
        ParameterError
            If the model has not learned this direction.
        DataError
            If the images are not like those of the other domain.
        """
        check_is_fitted(self)
        if to not in ("a", "b"):
            raise ParameterError(f"to must be 'a' or 'b'; got {to!r}.")
        network = self.to_b_ if to == "b" else self.to_a_
        if network is None:
            raise ParameterError("Mode 'cut' learns to='b' alone; use mode='cyclegan'.")
        before = self._channels[0 if to == "b" else 1]
        found = require_size(read_images(images), self._size, before)
        device = next(network.parameters()).device
        pixels = aligned(found.pixels, self.alignment_) if to == "b" else found.pixels
        parts = []
        for start in range(0, len(pixels), BLOCK):
            part = pixels[start : start + BLOCK]
            whole = as_bytes(np.resize(part, (BLOCK, *part.shape[1:])))
            with torch.no_grad():
                made = network(to_tensor(whole.to(device)))
            parts.append(to_pixels(made)[: len(part)])
        pixels = np.concatenate(parts)
        if to == "a":
            pixels = aligned(pixels, self.alignment_, back=True)
        return pixels[..., 0] if self._flat[0 if to == "a" else 1] else pixels

    # description and storage --------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return what the model is: a JSON-able dict of sizes and figures of the fit."""
        check_is_fitted(self)
        return {
            "estimator": type(self).__name__,
            "privacy": "no formal guarantee",
            "mode": self.mode,
            "alignment": self.alignment_,
            "images": list(self.n_images_),
            "size": list(self._size),
            "channels": list(self._channels),
            "seconds": self.seconds_,
            "parameters": sum(p.numel() for p in self.to_b_.parameters()),
            "epochs": len(self.history_),
        }

    def _to_model(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        options = None if self.options is None else dataclasses.asdict(self.options)
        model = {
            "size": list(self._size),
            "channels": list(self._channels),
            "flat": list(self._flat),
            "alignment": self.alignment_,
            "history": self.history_,
            "n_images": list(self.n_images_),
            "seconds": self.seconds_,
            "parameters": {
                "mode": self.mode,
                "align": self.align,
                "width": self.width,
                "depth": self.depth,
                "options": options,
            },
        }
        weights = arrays_of("to_b", self.to_b_)
        if self.to_a_ is not None:
            weights |= arrays_of("to_a", self.to_a_)
        return model, weights

    @classmethod
    def _from_model(
        cls,
        model: dict[str, Any],
        tensors: dict[str, np.ndarray[Any, Any]],
        device: torch.device,
    ) -> Self:
        parameters = dict(model["parameters"])
        if parameters.get("options") is not None:
            options = {**parameters["options"]}
            options["distortions"] = tuple(options["distortions"])
            parameters["options"] = TranslationOptions(**options)
        loaded = cls(**parameters)
        loaded._check_parameters()
        size = int(model["size"][0]), int(model["size"][1])
        for side in size:
            check_number("network", "size", side, int, SMALLEST_SIDE, LARGEST_SIDE)
        a, b = (int(count) for count in model["channels"])
        for count in (a, b):
            check_number("network", "channels", count, int, 1, 3)
        if model["alignment"] not in ALIGNMENTS:
            raise ValueError("the alignment is unknown")
        loaded._size, loaded._channels = size, (a, b)
        loaded.alignment_ = str(model["alignment"])
        loaded._flat = (bool(model["flat"][0]), bool(model["flat"][1]))
        loaded.history_ = list(model["history"])
        loaded.n_images_ = (int(model["n_images"][0]), int(model["n_images"][1]))
        loaded.seconds_ = float(model["seconds"])

        def network(name: str, before: int, after: int) -> Translator:
            built = rebuild(
                lambda: Translator(size, before, after, loaded.width, loaded.depth),
                with_prefix(tensors, name),
            )
            moved: Translator = placed(built, device)
            return moved

        loaded.to_b_ = network("to_b", a, b)
        loaded.to_a_ = network("to_a", b, a) if loaded.mode == "cyclegan" else None
        return loaded


def _read(name: str, images: Any) -> ImageSet:
    try:
        found = read_images(images)
        check_sides(found)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    return found
