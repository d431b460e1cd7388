"""longstep trains long chain-of-thought reasoners cheaply, step by step: from raw problems to a judged model."""

from longstep.config import UserError
from longstep.types import Completion, Pair, Problem, SoftTarget, Verdict

__version__ = "0.1.0"

__all__ = ["Completion", "Pair", "Problem", "SoftTarget", "UserError", "Verdict", "__version__"]
