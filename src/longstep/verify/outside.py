"""Verifiers from outside of the package, found before they are to judge: what ``module:function`` leads to."""

from __future__ import annotations

import inspect

from longstep.config import UserError, lookup
from longstep.types import Verdict


def outside_fault(spec: str) -> str:
    """Say why ``module:function`` cannot judge; empty when it can. This imports the module: foreign code runs."""
    module = spec.partition(":")[0]
    try:
        found: object = lookup(spec)
    except UserError as error:
        return f"verifier {error}"
    except (Exception, SystemExit) as error:
        told = (str(error).splitlines() or [""])[0][:200]
        return f"verifier {spec!r}: importing {module} raised {type(error).__name__}: {told}; mend the module"
    if isinstance(found, type) and not issubclass(found, Verdict):
        return f"verifier {spec!r} is a class; name a function (problem, text) -> Verdict"
    if not callable(found):
        return f"verifier {spec!r} is {type(found).__name__}, not a function (problem, text) -> Verdict"
    try:
        inspect.signature(found).bind(None, "")
    except TypeError:
        return f"verifier {spec!r} does not take (problem, text); write it so, and let it give a Verdict"
    except ValueError:  # written in C: nobody can tell
        return ""
    return ""
