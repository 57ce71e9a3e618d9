"""Options: all of them as an instance, or a dict of those that differ from the usual ones."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from fixtures import mixed_table, tiny_gan
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan import ImageGAN, ImageTranslator, ImageVAE, TabularGAN, TabularVAE, load_model
from synthgan.adversarial.images import ImageOptions
from synthgan.adversarial.translation import TranslationOptions
from synthgan.exceptions import ParameterError
from synthgan.marginals import MarginalOptions
from synthgan.options import TrainingOptions, options_from_dict, options_to_dict, with_changes
from synthgan.variational import AutoencoderOptions

KINDS = (TrainingOptions, MarginalOptions, AutoencoderOptions, ImageOptions, TranslationOptions)
ESTIMATORS = (TabularGAN, TabularVAE, ImageGAN, ImageVAE, ImageTranslator)


def fields_of(options: Any) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


@settings(deadline=None)
@given(st.data())
def test_options_are_stored_as_they_were_given(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    whole = kind()
    names = data.draw(st.sets(st.sampled_from(sorted(fields_of(whole)))))
    for options in (None, whole, {name: getattr(whole, name) for name in names}):
        stored = json.loads(json.dumps(options_to_dict(options)))
        found = options_from_dict(stored, kind)
        assert with_changes(whole, found) == with_changes(whole, options)
        if options is None or len(names) < len(fields_of(whole)):
            assert found == options


@pytest.mark.parametrize("rows", [200, 5_000, 300_000])
def test_what_a_dict_does_not_name_follows_from_the_table(rows: int) -> None:
    usual = TrainingOptions.for_rows(rows, 100)
    changed = with_changes(usual, {"refinement_steps": 30})
    assert changed == dataclasses.replace(usual, refinement_steps=30)
    assert with_changes(usual, TrainingOptions(steps=9)) == TrainingOptions(steps=9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "options", [{"stepz": 1}, {"steps": 0}, {"steps": "many"}, 3, ["steps"]], ids=repr
)
def test_bad_options_are_refused_before_any_work(estimator: type, options: object) -> None:
    data = [None] * (2 if estimator is ImageTranslator else 1)
    with pytest.raises(ParameterError, match=r"options|steps"):
        estimator(options=options, verbose=0).fit(*data)


def test_a_model_remembers_its_options(tmp_path) -> None:
    asked = {"steps": 5, "class_steps": 3, "batch_size": 16}
    gan = tiny_gan(options=asked).fit(mixed_table(100).drop(columns="patient"))
    steps = [entry["step"] for entry in gan.history_ if entry["phase"] == "likelihood"]
    assert max(steps) == 5
    gan.save(tmp_path / "m.synthgan")
    assert load_model(tmp_path / "m.synthgan").options == asked
