"""longstep trains long chain-of-thought reasoners cheaply, step by step: from raw problems to a judged model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.types import Completion, Pair, Problem, SoftTarget, Verdict

if TYPE_CHECKING:
    from longstep.verify.front import declare
    from longstep.verify.front import judge_completion as judge
    from longstep.verify.front import same_answers as same

__version__ = "0.1.0"

__all__ = [
    "Completion",
    "Pair",
    "Problem",
    "SoftTarget",
    "UserError",
    "Verdict",
    "__version__",
    "declare",
    "judge",
    "same",
]

#: Public name -> where it lives; loaded when it is first asked for, so that ``import longstep`` stays cheap.
_LATER = {"declare": "declare", "judge": "judge_completion", "same": "same_answers"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = vars(import_module("longstep.verify.front"))[_LATER[name]]
    globals()[name] = value
    return value
