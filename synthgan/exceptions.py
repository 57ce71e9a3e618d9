"""Every error that synthgan raises on purpose.

::

    SynthganError
    ├── SchemaError      (ValueError)  a table or schema that cannot be modelled as it stands
    ├── DataError        (ValueError)  data that do not fit the model or the call
    ├── ConditionError   (ValueError)  a condition that is malformed or impossible
    ├── ParameterError   (ValueError)  an argument outside its range
    ├── ModelFileError   (ValueError)  a model file that is damaged, foreign or too new
    ├── CheckpointError  (ValueError)  a checkpoint that is damaged, or of another fit
    ├── BudgetError      (ValueError)  a privacy budget that would be exceeded
    └── DivergenceError  (ArithmeticError)  a fit whose loss stays infinite or undefined

Messages name the column or argument, what was found and the fix. They never contain the value
of a cell, so they can be logged.
"""

__all__ = [
    "BudgetError",
    "CheckpointError",
    "ConditionError",
    "DataError",
    "DataWarning",
    "DivergenceError",
    "ModelFileError",
    "ParameterError",
    "SchemaError",
    "SynthganError",
]


class SynthganError(Exception):
    """Base class of the errors that synthgan raises on purpose."""


class SchemaError(SynthganError, ValueError):
    """A table or schema that cannot be modelled as it stands."""


class DataError(SynthganError, ValueError):
    """Data that do not fit the model or the call."""


class ConditionError(SynthganError, ValueError):
    """A condition that is malformed or that no row can satisfy."""


class ParameterError(SynthganError, ValueError):
    """An argument outside the range that its documentation gives."""


class ModelFileError(SynthganError, ValueError):
    """A model file that is damaged, foreign, or written by a newer release."""


class CheckpointError(SynthganError, ValueError):
    """A checkpoint that is damaged, or of another fit."""


class BudgetError(SynthganError, ValueError):
    """A request that would exceed the privacy budget."""


class DivergenceError(SynthganError, ArithmeticError):
    """A fit whose loss is infinite or undefined, however low the learning rate."""


class DataWarning(UserWarning):
    """Something in the data was handled by a default that the user may want to change."""
