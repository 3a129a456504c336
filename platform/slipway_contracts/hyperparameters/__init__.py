"""What may be set for a training run: one schema per model × method × scale, read by all sides.

The form, the command line, the SDK and the server show and check the same list. A value may be
`"auto"`; `resolve` replaces it by a number and says why. `estimate` is plain arithmetic.
"""

from slipway_contracts.hyperparameters.checking import check
from slipway_contracts.hyperparameters.estimating import Estimate, estimate, steps_per_epoch
from slipway_contracts.hyperparameters.resolving import resolve
from slipway_contracts.hyperparameters.schema import schema
from slipway_contracts.hyperparameters.words import (
    AUTO,
    LEARNING_RATE_CEILING,
    LEARNS_FROM,
    METHODS,
    SCALES,
    Facts,
    Fault,
    HyperParameter,
    Limits,
    Resolved,
    Text,
)

__all__ = [
    "AUTO",
    "LEARNING_RATE_CEILING",
    "LEARNS_FROM",
    "METHODS",
    "SCALES",
    "Estimate",
    "Facts",
    "Fault",
    "HyperParameter",
    "Limits",
    "Resolved",
    "Text",
    "check",
    "estimate",
    "resolve",
    "schema",
    "steps_per_epoch",
]
