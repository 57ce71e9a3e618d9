"""MLflow: a fitted model as a pyfunc whose ``predict`` samples, with its report beside it.

    from mlflow_model import log_model
    uri = log_model("patients.synthgan", report)
    rows = mlflow.pyfunc.load_model(uri).predict(request, params={"n": 1000, "seed": 7})

``request`` is an empty frame, or one of known cells (then one row comes out per row). The model is
logged as code and an artefact: nothing is pickled.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import ParamSchema, ParamSpec

from synthgan import load_model


class SyntheticRows(mlflow.pyfunc.PythonModel):
    """Rows of a model file."""

    def load_context(self, context: Any) -> None:
        """Load the model file among the artefacts."""
        self.model = load_model(context.artifacts["model"], device="cpu")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return ``n`` rows, or one for each row of known cells."""
        wanted = {"n": 1, "seed": 0, **(params or {})}
        if len(model_input.columns) and len(model_input):
            return self.model.sample(conditions=model_input, random_state=int(wanted["seed"]))
        return self.model.sample(int(wanted["n"]), random_state=int(wanted["seed"]))


def log_model(path: str, report: Any = None) -> str:
    """Log a model file, and the scores and the page of a report, into the active run."""
    params = ParamSchema([ParamSpec("n", "long", 1), ParamSpec("seed", "long", 0)])
    found = mlflow.pyfunc.log_model(
        name="synthetic_rows",
        python_model=__file__,
        artifacts={"model": str(Path(path).resolve())},
        signature=ModelSignature(params=params),
        pip_requirements=["synthgan"],
    )
    if report is not None:
        scores = report.scores.values()
        mlflow.log_metrics({s.name: s.value for s in scores if s.value is not None})
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "report.html"
            report.to_html(page)
            mlflow.log_artifact(str(page))
    return str(found.model_uri)


set_model(SyntheticRows())
