"""ImageTranslator: from one kind of images to another, without pairs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from synthgan._runtime import (
    half_precision,
    logger,
    on_device,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.adversarial.translation import TranslationOptions, fit_contrast, fit_cycle
from synthgan.alignment import ALIGNMENTS, aligned, find_alignment
from synthgan.estimators.base import Arrays, BaseSynthesizer
from synthgan.estimators.image_form import ImageForm
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.exceptions import DataError, ParameterError
from synthgan.images import ImageSet, read_images
from synthgan.networks.images import ResidualCritic
from synthgan.networks.pixels import as_bytes, in_blocks, placed, to_pixels, to_tensor
from synthgan.networks.translation import PatchProjector, Translator
from synthgan.options import with_changes
from synthgan.runs import Callback, Run
from synthgan.training import LoopResult

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
        ``"cut"`` learns one, which keeps the content patch by patch (arXiv:2007.15651): with half
        the networks, half the memory for images of 64 pixels and more, two thirds of the time, and
        less exactly.
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
        call goes on from there, to the same model. It is removed when the model is saved.
    width : int, default 16
        Channels at half the full size.
    depth : int, default 2
        Residual units in the middle.
    options : dict, TranslationOptions or None, default None
        Rarely changed settings: a dict changes some of those of the mode, an instance all.
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
    seconds_ : float
        What the fit took.
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

    _of_images: ClassVar[bool] = True
    _options_kind: ClassVar = TranslationOptions
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
        options: Mapping[str, Any] | TranslationOptions | None = None,
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
        (found_a, a), (found_b, b) = _read("domain_a", domain_a), _read("domain_b", domain_b)
        self._check_pair(a, b)
        run, seed = self._begin(seed, started, found_a.pixels, found_b.pixels)
        alignment = "none"
        if self.align:
            alignment = find_alignment(found_a.pixels, found_b.pixels, seed)
        pixels = as_bytes(aligned(found_a.pixels, alignment)), as_bytes(found_b.pixels)
        forth, back, result = on_device(
            device, lambda device: self._train((a, b), pixels, seed, device, run)
        )
        logger.info("fit of a translation ended: %s", result.reason)
        self.to_b_ = forth.eval().requires_grad_(False)
        self.to_a_ = None if back is None else back.eval().requires_grad_(False)
        self.history_, self.n_images_ = result.history, (len(found_a), len(found_b))
        self._forms = {"a": a, "b": b}
        self.alignment_ = alignment
        self.seconds_ = run.finish()
        return self

    def _train(
        self,
        forms: tuple[ImageForm, ImageForm],
        pixels: tuple[Tensor, Tensor],
        seed: int,
        device: torch.device,
        run: Run,
    ) -> tuple[nn.Module, nn.Module | None, LoopResult]:
        """Return the translator to b, the one to a if the mode has one, and how training went."""
        a, b = forms
        here = pixels[0].to(device), pixels[1].to(device)
        options = with_changes(MODES[self.mode], self.options)
        settings: dict[str, Any] = {"seed": seed, "precision": half_precision(device), "run": run}

        def drawn(network: Any, purpose: str) -> Any:
            network.reset(torch_generator(seed, purpose))
            return placed(network, device)

        def translator(before: ImageForm, after: ImageForm, purpose: str) -> Any:
            return drawn(_translator(before, after, self.width, self.depth), purpose)

        def critic(of: ImageForm, purpose: str) -> Any:
            return drawn(ResidualCritic(b.size, of.channels, 0, self.width), purpose)

        forth, of_b = translator(a, b, "to b"), critic(b, "critic of b")
        if self.mode == "cyclegan":
            back, of_a = translator(b, a, "to a"), critic(a, "critic of a")
            result = fit_cycle((forth, back), (of_b, of_a), *here, options, **settings)
        else:
            back, projector = None, drawn(PatchProjector(forth.map_widths), "projector")
            result = fit_contrast(forth, of_b, projector, *here, options, **settings)
        return forth, back, result

    def _check_pair(self, a: ImageForm, b: ImageForm) -> None:
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
        before, after = ("a", "b") if to == "b" else ("b", "a")
        pixels = self._forms[before].read(images).pixels
        if to == "b":
            pixels = aligned(pixels, self.alignment_)

        def translated(part: Tensor) -> Pixels:
            return to_pixels(network(to_tensor(part)))

        made = in_blocks(network, translated, as_bytes(pixels))
        if to == "a":
            made = aligned(made, self.alignment_, back=True)
        return self._forms[after].restore(made)

    # description and storage --------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "alignment": self.alignment_,
            "images": list(self.n_images_),
            "size": list(self._forms["a"].size),
            "channels": [form.channels for form in self._forms.values()],
            "parameters": sum(p.numel() for p in self.to_b_.parameters()),
        }

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        model = {
            "forms": {name: form.to_dict() for name, form in self._forms.items()},
            "alignment": self.alignment_,
            "n_images": list(self.n_images_),
        }
        weights = arrays_of("to_b", self.to_b_)
        if self.to_a_ is not None:
            weights |= arrays_of("to_a", self.to_a_)
        return model, weights

    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        a, b = (ImageForm.from_dict(model["forms"][name]) for name in ("a", "b"))
        self._check_pair(a, b)
        self._forms = {"a": a, "b": b}
        if model["alignment"] not in ALIGNMENTS:
            raise ValueError("the alignment is unknown")
        self.alignment_ = str(model["alignment"])
        self.n_images_ = (int(model["n_images"][0]), int(model["n_images"][1]))

        def network(name: str, before: ImageForm, after: ImageForm) -> Translator:
            built = rebuild(
                lambda: _translator(before, after, self.width, self.depth),
                with_prefix(tensors, name),
            )
            moved: Translator = placed(built, device)
            return moved

        self.to_b_ = network("to_b", a, b)
        self.to_a_ = network("to_a", b, a) if self.mode == "cyclegan" else None


def _translator(before: ImageForm, after: ImageForm, width: int, depth: int) -> Translator:
    return Translator(before.size, before.channels, after.channels, width, depth)


def _read(name: str, images: Any) -> tuple[ImageSet, ImageForm]:
    try:
        found = read_images(images)
        return found, ImageForm.learn(found, images)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
