"""An over-sampler in imbalanced-learn's interface whose new rows come from a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import validate_data

from synthgan._runtime import seed_from
from synthgan.augment.variations import ClassRows, as_frame, stack
from synthgan.exceptions import DataError

__all__ = ["GANOverSampler"]


class GANOverSampler(BaseOverSampler):  # type: ignore[misc]  # imbalanced-learn has no types
    """Over-sample classes with rows that a conditional generator draws.

    A generator is fitted to all rows and their classes; new rows of a class then start from real
    rows of that class, keep some of their cells, and draw the others given the kept ones and the
    class. Categories, dates and missing cells are welcome as they are.

    The new rows resemble real people closely: they are for training a model that stays where the
    data are, not for sharing.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default "auto"
        How many rows of which class, as in imbalanced-learn: a ratio of minority to majority (two
        classes only), ``"minority"``, ``"not minority"``, ``"not majority"`` (``"auto"``),
        ``"all"``, a dict of class to number of rows, or a function of `y` that returns one.
    keep : float, default 0.8
        The chance of a cell of a real row to be kept. 0 draws whole rows; near 1, rows repeat.
        Missing cells are always drawn anew, and may have a value then.
        With a class of few rows little is known of how it varies: there .8 to .9 did best on small
        real tables, with hundreds of rows .5 to .8 (``benchmarks/NOTES.md``).
    focus : float, default 1.0
        Four times as many candidates are drawn as rows are wanted, and are taken in proportion to
        the generator's own probability of their class given their other cells, to this power. New
        rows then stand where their class is plausible, and do not shift probabilities where it is
        not: against 0, log-loss and F1 of classifiers are better, and AUC no worse
        (``benchmarks/NOTES.md``). A candidate that is far more plausible can be taken twice.
    reject : float, default 0.0
        Share of the drawn rows of each class that are thrown away, the least likely ones by the
        generator's own density. ``rejected_`` says how many they were.
    categorical_features : sequence of int or str, mask of bool, or None
        Columns of numbers that are codes. Text, booleans and pandas categories need no mention.
    generator : TabularGAN, default None
        Unfitted; a copy is fitted. None takes ``TabularGAN(verbose=0)``.
    random_state : int, Generator, RandomState or None, default None

    Attributes
    ----------
    generator_ : TabularGAN
        The fitted copy; not there if no row was asked for.
    sampling_strategy_ : dict
        Rows that were added to each class.
    rejected_ : dict
        Rows of each class that were drawn and thrown away.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If the columns have names.

    Raises
    ------
    ValueError
        As imbalanced-learn does: for one class only, for a strategy that would remove rows.
    DataError, ParameterError
        If a class to be drawn has fewer than two rows, or `generator` is none that can do it.

    Examples
    --------
    >>> import pandas as pd
    >>> from synthgan import TabularGAN
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"age": rng.integers(20, 80, 200), "ward": rng.choice(["a", "b"], 200)})
    >>> y = np.where(X["age"] > 70, "ill", "well")
    >>> generator = TabularGAN(max_time="2s", verbose=0)
    >>> X_new, y_new = GANOverSampler(generator=generator, random_state=0).fit_resample(X, y)
    >>> (y_new == "ill").sum() == (y_new == "well").sum()
    np.True_
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "keep": [Interval(Real, 0, 1, closed="left")],
        "focus": [Interval(Real, 0, 10, closed="both")],
        "reject": [Interval(Real, 0, 1, closed="left")],
        "categorical_features": ["array-like", None],
        "generator": [HasMethods(["fit", "sample"]), None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: float | str | Mapping[Any, int] | Callable[..., Any] = "auto",
        keep: float = 0.8,
        focus: float = 1.0,
        reject: float = 0.0,
        categorical_features: Sequence[int | str] | None = None,
        generator: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.keep = keep
        self.focus = focus
        self.reject = reject
        self.categorical_features = categorical_features
        self.generator = generator
        self.random_state = random_state

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        y, one_hot = check_target_type(y, indicate_one_vs_all=True)
        if not hasattr(X, "iloc"):
            X = check_array(X, dtype=None, ensure_all_finite=False, accept_sparse=["csr", "csc"])
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        return X, np.asarray(y), one_hot

    def _fit_resample(self, X: Any, y: npt.NDArray[Any]) -> tuple[Any, npt.NDArray[Any]]:
        wanted = {label: int(n) for label, n in self.sampling_strategy_.items() if n > 0}
        self.rejected_ = dict.fromkeys(wanted, 0)
        if not wanted:
            return X, y
        for label in wanted:
            if (y == label).sum() < 2:
                raise DataError(
                    "A class has one row, from which no generator can learn how it varies; leave "
                    "it out of sampling_strategy, or use RandomOverSampler."
                )
        seed = seed_from(self.random_state)
        known = ClassRows.fit(as_frame(X, self.categorical_features), y, self.generator, seed)
        drawn = known.draw(wanted, keep=self.keep, focus=self.focus, reject=self.reject, seed=seed)
        self.generator_, self.rejected_ = known.model, drawn.rejected
        return stack(X, drawn.rows), np.concatenate([y, drawn.labels])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
