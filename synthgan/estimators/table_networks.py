"""What a fit to a table leaves of networks: how they sample, and how they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from synthgan._runtime import half_precision
from synthgan.estimators.base import check_number
from synthgan.estimators.table_form import TableForm, network_size
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule

__all__ = ["TableNetworks"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TableNetworks:
    """A trained generator of tokens, and how it is best sampled.

    Attributes
    ----------
    generator : RowGenerator or MixtureGenerator
        The latter comes from a private fit.
    joint : LatentClasses, LatentChoice or None
        What ties columns that are drawn in one step. None if there is one column, or unseen rows
        were no more likely with classes.
    schedule : Schedule or None
        Which columns are drawn together; None if there is no column, or if it does not matter.
    steps : int
        The fewest that lose nothing measurable.
    step_costs : list of dict
        What few steps change; see :func:`synthgan.step_choice.choose_steps`.
    """

    generator: RowGenerator | MixtureGenerator
    joint: LatentClasses | LatentChoice | None
    schedule: Schedule | None
    steps: int = 1
    step_costs: list[dict[str, float]] = field(default_factory=list)

    @cached_property
    def sampler(self) -> Sampler:
        """What draws tokens, in half precision where that pays; made when first asked for."""
        precision = None  # the sums of log-probabilities of a mixture need all digits
        if isinstance(self.generator, RowGenerator):
            precision = half_precision(self.generator.bias.device)
        return Sampler(self.generator, precision, self.joint, self.schedule, self.steps)

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies are made from: all but the sampler, which follows from it."""
        return {name: value for name, value in vars(self).items() if name != "sampler"}

    def describe(self) -> dict[str, Any]:
        """Return sizes and what few steps cost, as a JSON-able dict."""
        parts = [part for part in (self.generator, self.joint) if part is not None]
        return {
            "parameters": sum(p.numel() for part in parts for p in part.parameters()),
            "width": self.generator.width,
            "depth": self._depth,
            "steps": self.steps,
            "step_costs": self.step_costs,
        }

    @property
    def _depth(self) -> int:
        return len(self.generator.blocks) if isinstance(self.generator, RowGenerator) else 0

    def to_model(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return a JSON-able dict and named arrays; :meth:`from_model` is the inverse."""
        arrays = arrays_of("generator", self.generator)
        if self.joint is not None:
            arrays |= arrays_of("joint", self.joint)
        if self.schedule is not None:
            arrays["schedule"] = self.schedule.to_array()
        tie = self.joint if isinstance(self.joint, LatentClasses) else None
        network = {
            "width": self.generator.width,
            "depth": self._depth,
            "classes": tie.classes if tie else 0,
            "start_classes": tie.start_classes if tie else 0,
        }
        return {"network": network, "steps": self.steps, "step_costs": self.step_costs}, arrays

    @classmethod
    def from_model(
        cls,
        model: Mapping[str, Any],
        arrays: Mapping[str, Array],
        form: TableForm,
        device: torch.device,
    ) -> TableNetworks:
        """Rebuild the networks of a model file after checking what it says of them.

        Raises
        ------
        ParameterError, ValueError, ModelFileError
        """
        sizes, network = form.sizes, model["network"]
        check_number("model", "steps", model["steps"], int, 1, max(len(sizes), 1))
        rest = {"steps": model["steps"], "step_costs": list(model["step_costs"])}
        weights, tie = with_prefix(arrays, "generator"), with_prefix(arrays, "joint")
        if model["privacy"] is not None:
            width = int(network["width"])
            check_number("network", "width", width, int, 1, 2**20)
            mixture = rebuild(lambda: MixtureGenerator(sizes, width), weights)
            return cls(mixture.to(device), LatentChoice(), None, **rest)
        width, depth = network_size(network)
        generator = rebuild(lambda: RowGenerator(sizes, form.n_ordered, width, depth), weights)
        joint, classes, starts = None, int(network["classes"]), int(network["start_classes"])
        if classes:
            check_number("network", "classes", classes, int, 1, 2**16)
            check_number("network", "start_classes", starts, int, 1, 2**16)
            joint = rebuild(lambda: LatentClasses(sizes, width, classes, starts), tie).to(device)
        schedule = Schedule.from_array(arrays["schedule"], len(sizes)) if sizes else None
        return cls(generator.to(device), joint, schedule, **rest)
