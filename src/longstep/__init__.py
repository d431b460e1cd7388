"""longstep trains long chain-of-thought reasoners cheaply, step by step: from raw problems to a judged model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longstep.types import Completion, Pair, Problem, SoftTarget, Verdict

if TYPE_CHECKING:
    from longstep.config import UserError
    from longstep.evaluate.front import compare_marks as compare
    from longstep.evaluate.front import score_marks as score
    from longstep.jobs.front import decontaminate, dedup, read_problems, read_rows
    from longstep.verify.extract import extract
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
    "compare",
    "declare",
    "decontaminate",
    "dedup",
    "extract",
    "judge",
    "read_problems",
    "read_rows",
    "same",
    "score",
]

#: Public name -> where it lives; loaded when it is first asked for, so that ``import longstep`` stays cheap.
_LATER = {
    "UserError": ("longstep.config", "UserError"),
    "compare": ("longstep.evaluate.front", "compare_marks"),
    "declare": ("longstep.verify.front", "declare"),
    "decontaminate": ("longstep.jobs.front", "decontaminate"),
    "dedup": ("longstep.jobs.front", "dedup"),
    "extract": ("longstep.verify.extract", "extract"),
    "judge": ("longstep.verify.front", "judge_completion"),
    "read_problems": ("longstep.jobs.front", "read_problems"),
    "read_rows": ("longstep.jobs.front", "read_rows"),
    "same": ("longstep.verify.front", "same_answers"),
    "score": ("longstep.evaluate.front", "score_marks"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LATER[name]
    value = globals()[name] = vars(import_module(module))[attribute]
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
