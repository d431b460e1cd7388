"""Fingerprints that come with longstep: hashes of public benchmarks, no text."""

from __future__ import annotations

from pathlib import Path

import longstep

FOLDER = Path(longstep.__file__).parent / "data" / "fingerprints"


def shipped() -> dict[str, Path]:
    """Files by benchmark name; ``sources.json`` beside them says what each was made from."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.npz"))}


def protected(benchmark: str) -> bool:
    """Whether a benchmark's authors ask that its text is not put where crawlers may find it: GPQA's do."""
    return "gpqa" in benchmark.lower()
