"""A realistic mix of pairs: golds of public data against themselves, re-spelt, and against other golds."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

from graders.isolate import Pair


def golds(data: Path | None) -> list[str]:
    """Read the gold answers of the shared files in order; none without a folder."""
    if data is None:
        return []
    found = []
    for name in ("deepscaler_40k", "math500", "math_train_7500", "minerva_math"):
        with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        found += [str(row["answer"]) if "answer" in row else boxed(row["solution"]) for row in rows]
    return [gold for gold in found if gold.strip()]


def boxed(text: str) -> str:
    """Give what the last box of a solution holds."""
    depth, start = 0, text.rfind(r"\boxed{") + len(r"\boxed{")
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth < 0:
            return text[start:place]
    return text[start:]


def mixed(answers: list[str], size: int, seed: int = 0) -> list[tuple[str, Pair]]:
    """Draw golds and give each an answer: itself, itself spelt otherwise, or another gold."""
    draw = random.Random(seed)
    pairs: list[tuple[str, Pair]] = []
    for number in range(size):
        gold = draw.choice(answers)
        way = ("itself", "re-spelt", "another")[number % 3]
        answer = {"itself": gold, "re-spelt": respelt(gold, draw), "another": draw.choice(answers)}
        pairs.append((way, (gold, answer[way], None)))
    return pairs


def respelt(text: str, draw: random.Random) -> str:
    """Write an answer in another way that means the same: spacing, signs, fraction style, separators."""
    changes = [
        lambda s: s.replace(r"\frac", r"\dfrac"),
        lambda s: re.sub(r"^\\frac\{(\d+)\}\{(\d+)\}$", r"\1/\2", s),
        lambda s: re.sub(r"^\((.*)\)$", r"\\left(\1\\right)", s),
        lambda s: s.replace("+", " + "),
        lambda s: re.sub(r",(?!\\!|\d{3})", ", ", s),
        lambda s: re.sub(r"^(\d{1,3})(\d{3})$", r"\1,\2", s),
        lambda s: re.sub(r"^(-?\d+)$", r"\1.0", s),
        lambda s: re.sub(r"\\sqrt\{(\d)\}(?!\d)", r"\\sqrt\1 ", s),
    ]
    draw.shuffle(changes)
    for change in changes:
        if (changed := change(text)) != text:
            return changed
    return f"${text}$" if "$" not in text else f" {text} "
