"""What an evaluation of images found, and its page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.diagnosis import Finding
from synthgan.evaluate.images.manifold import nearest_distances
from synthgan.evaluate.images.privacy import pixel_space
from synthgan.evaluate.images.setting import ImageSetting, codes_of
from synthgan.evaluate.report import NO_GUARANTEE, BaseReport, finite, layout, rounded
from synthgan.evaluate.report.figures import draw_bars, draw_curves
from synthgan.evaluate.report.layout import Data, Part, figure
from synthgan.evaluate.score import Score
from synthgan.evaluate.verdict import HEADLINES, verdict
from synthgan.images import ImageSet, contact_sheet

__all__ = ["ImageReport", "build_image_report"]

FORMAT = 1
_WAYS = "From one image to another: is the way smooth?"
_PER_CLASS, _COLUMNS, _CLOSEST = 8, 12, 12


class ImageReport(BaseReport):
    """The result of :func:`synthgan.evaluate.evaluate_images`.

    Its page shows real images, and those that synthetic ones come closest to, unless ``public()``
    was called: then there are none.

    Attributes
    ----------
    scores : dict of str to Score
        All scores by name.
    """

    def public(self) -> ImageReport:
        """Return the report that may leave the house of the data.

        What stays: the privacy line, the headline scores rounded to two digits, their verdicts,
        the numbers and size of images, and the settings. What goes: all intervals, references,
        names of classes, findings, the curves of the fit, and every image. The rounded numbers
        carry no formal guarantee.
        """
        kept = [entry for entry in self._data["scores"] if entry["name"] in HEADLINES]
        return ImageReport(
            {
                **self._data,
                "public": True,
                "scores": [rounded(entry) for entry in kept],
                "findings": [],
                "pictures": {},
                "history": [],
                "details": {},
            }
        )

    def _page(self) -> str:
        return layout.page(self._data, _facts(self._data), _parts())

    def _fragment(self) -> str:
        return layout.fragment(self._data, _facts(self._data), _parts())


def build_image_report(
    setting: ImageSetting,
    images: ImageSet,
    holdout: ImageSet | None,
    scores: Sequence[Score],
    details: Mapping[str, Any],
    findings: Sequence[Finding],
    *,
    history: Sequence[Mapping[str, Any]],
    ways: tuple[ImageSet, int] | None,
    privacy: str | None,
    settings: Mapping[str, Any],
) -> ImageReport:
    """Gather what was measured into one dict.

    Parameters
    ----------
    setting : ImageSetting
    images, holdout : ImageSet
    scores : sequence of Score
    details : dict
    findings : sequence of Finding
    history : sequence of dict
    ways : (ImageSet, int) or None
        Images on the way from one to another, and how many make a way.
    privacy : str or None
    settings : dict
    """
    return ImageReport(
        {
            "privacy": privacy or NO_GUARANTEE,
            "format": FORMAT,
            "public": False,
            "settings": dict(settings),
            "images": {
                "train": len(setting.train),
                "synthetic": len(images),
                "holdout": None if holdout is None else len(holdout),
                "size": list(images.size),
                "channels": images.channels,
                "classes": len(setting.classes),
            },
            "scores": [{**score.to_dict(), "verdict": verdict(score)} for score in scores],
            "findings": [finding.to_dict() for finding in findings],
            "pictures": _pictures(setting, images, ways),
            "history": finite([dict(entry) for entry in history]),
            "details": finite(dict(details)),
        }
    )


def _pictures(
    setting: ImageSetting, images: ImageSet, ways: tuple[ImageSet, int] | None
) -> dict[str, str]:
    """Return PNG files in base64, by title."""
    generator = numpy_generator(setting.seed, "pictures")
    scale = max(1, 56 // max(images.size))

    def sheet(pixels: npt.NDArray[np.uint8], columns: int) -> str:
        return _png(contact_sheet(pixels, columns, scale=scale))

    found = {}
    for title, part in (("Real images", setting.train), ("Synthetic images", images)):
        found[title] = sheet(part.pixels[_chosen(setting, part, generator)], _columns(setting))
    looked = images.pixels[generator.permutation(len(images))[:2_000]]
    train = setting.train.pixels
    made, real = pixel_space(looked), pixel_space(train)
    nearest = nearest_distances(made, real)[:, 0]
    close = np.argsort(nearest, kind="stable")[:_CLOSEST]
    places = [int(((real - made[k]) ** 2).sum(axis=1).argmin()) for k in close]
    pairs = np.concatenate([looked[close], train[places]])
    found["Closest to train: synthetic above, train below"] = sheet(pairs, len(close))
    far = np.argsort(-nearest, kind="stable")[: 2 * _CLOSEST]
    found["Furthest from train: failures, or the unusual"] = sheet(looked[far], _CLOSEST)
    if ways is not None:
        found[_WAYS] = sheet(ways[0].pixels, ways[1])
    return found


def _columns(setting: ImageSetting) -> int:
    return _PER_CLASS if 2 <= len(setting.classes) <= 20 else _COLUMNS


def _chosen(
    setting: ImageSetting, part: ImageSet, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return images to show: as many of each class, or any."""
    order = generator.permutation(len(part))
    if part.labels is None or not 2 <= len(setting.classes) <= 20:
        return order[: 8 * _COLUMNS]
    codes = codes_of(part.labels, setting.classes)[order]
    members = [order[codes == k] for k in range(len(setting.classes))]
    return np.concatenate([np.resize(rows, _PER_CLASS) for rows in members if len(rows)])


def _png(image: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(held, format="png")
    return base64.b64encode(held.getvalue()).decode("ascii")


# --- page ----------------------------------------------------------------------------------------


def _facts(data: Data) -> list[str]:
    sizes, settings = data["images"], data["settings"]
    facts = [f"{sizes[t]:,} {t} images" for t in ("train", "synthetic", "holdout") if sizes.get(t)]
    colours = "gray" if sizes["channels"] == 1 else "RGB"
    facts.append(f"{sizes['size'][0]} x {sizes['size'][1]}, {colours}")
    if sizes["classes"]:
        facts.append(f"{sizes['classes']} classes")
    return [*facts, f"{settings['level']} level", f"seed {settings['random_state']}"]


def _parts() -> dict[str, Part]:
    return {
        "fidelity": (
            "Fidelity",
            "Do the images look like real ones, and are they as varied? Distances mean something "
            "only beside those of fresh real images; and copies of train score best of all.",
            _fidelity,
        ),
        "utility": (
            "Utility",
            "Is a classifier trained on synthetic images of use on real ones?",
            _utility,
        ),
        "privacy": (
            "Attacks on privacy",
            "Do images repeat training images, and can an attacker tell who was in train? These "
            "tests can find a leak; they cannot prove that there is none.",
            _privacy,
        ),
    }


def _image(data: Data, title: str) -> str:
    if title not in data["pictures"]:
        return ""
    source = f"data:image/png;base64,{data['pictures'][title]}"
    picture = (
        f'<img src="{source}" alt="{escape(title)}" style="max-width:100%;'
        'image-rendering:pixelated">'
    )
    return figure(escape(title), "", picture)


def _fidelity(data: Data) -> str:
    titles = (
        "Real images",
        "Synthetic images",
        "Furthest from train: failures, or the unusual",
        _WAYS,
    )
    return f'<div class="grid pair">{"".join(_image(data, title) for title in titles)}</div>'


def _utility(data: Data) -> str:
    rows = data["details"].get("classes")
    if not rows:
        return ""
    groups = [
        (row["class"], [("real", row["real"], None), ("fake-bar", row["synthetic"], None)])
        for row in rows[:30]
    ]
    picture = draw_bars(groups, "Accuracy by class")
    return (
        '<h3>Classes, worst first</h3><p class="muted key"><i></i>trained on train'
        '<i class="s"></i>on synthetic</p><div class="grid pair">'
        + figure("Accuracy on the holdout", "", picture)
        + "</div>"
    )


def _privacy(data: Data) -> str:
    text = _image(data, "Closest to train: synthetic above, train below")
    if "roc_membership" in data["details"]:
        curve = {"membership": tuple(data["details"]["roc_membership"])}
        axes = ("others wrongly accused", "members recognised")
        roc = draw_curves(curve, "ROC of the membership attack", axes=axes, square=True)
        text += figure("Membership attack", "diagonal: guessing", roc)
    return f'<div class="grid pair">{text}</div>' if text else ""
