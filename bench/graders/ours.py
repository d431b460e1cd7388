"""longstep's own verifier behind the same function."""

from __future__ import annotations

from typing import Any


def grade(gold: str, answer: str, kind: Any) -> str:
    """Compare with the kind of the pair."""
    from longstep.verify import verify

    return verify(gold=gold, answer=answer, kind=kind).status
