"""Candidate pairs of the same problem, to be read and labelled by eye, and the check that labels still resolve.

    python scripts/label_pairs.py candidates ../shared/data --rows deepscaler_40k math_train_7500 \
        --items math500 minerva_math amc23 aime24 aime25 --out candidates.jsonl
    python scripts/label_pairs.py check ../shared/data

Five generators that share nothing with the decontamination engine: cosine and containment of character 4-grams weighted
by rarity, Jaccard of the sets of letter words, equal multisets of numbers, a common substring, and equal answers; the
last three ask for some words in common besides. Each writes its score, none decides. Candidates carry ids and scores
and no text, like the labels in ``tests/labels`` (see the README there).

``check`` looks every label up in the data folder, compares the hash of both texts, and prints the counts and what share
of the same-problem pairs each generator found. It exits with 1 when a label does not resolve.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABELS = Path(__file__).parent.parent / "tests" / "labels" / "same_problem.jsonl"
SAME = ("identical", "reworded")
#: Score from which a generator names a pair; low enough that most of what is named is no pair.
THRESHOLDS = {"char4": 0.45, "contained": 0.6, "jaccard": 0.45, "numbers": 0.25, "answer": 0.33}
#: Lengths of common substrings looked for, in characters of the folded text.
SUBSTRINGS = (45, 80)
STOP = frozenset(
    re.findall(
        r"\w+",
        "the of is and in to for if that be let are what find by on we it as an with such which from this at how many"
        " has all value determine can have each one two then there where number",
    )
)


@dataclass(frozen=True)
class Row:
    file: str
    id: str
    text: str
    answer: str

    @property
    def sha(self) -> str:
        return sha(self.text)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_of(one: str, other: str) -> str:
    """``dev`` or ``test`` by the hashes of both texts, whichever of them is the row."""
    return (
        "dev"
        if hashlib.sha256("|".join(sorted((one, other))).encode()).digest()[0] < 128
        else "test"
    )


def load(folder: Path, name: str) -> list[Row]:
    rows = []
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            answer = row.get("answer", "")
            rows.append(Row(name, str(row["id"]), row["problem"], str(answer)))
    return rows


# -- views of a text ------------------------------------------------------------------------------


def fold(text: str) -> str:
    return " ".join(text.lower().split())


def grams(text: str) -> set[str]:
    folded = fold(text)
    return {folded[k : k + 4] for k in range(len(folded) - 3)}


def content_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", fold(text))) - STOP


def numbers(text: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"\d+(?:\.\d+)?", text)))


def bare_answer(answer: str) -> str:
    return re.sub(r"\s|\\[!,]|\\left|\\right|\$", "", answer)


def squeezed(text: str) -> str:
    """Letters, digits and operators only: texts equal under it differ in layout alone."""
    dressing = re.sub(r"\\left|\\right|\\text|\\!", "", re.sub(r"[dt]frac", "frac", fold(text)))
    return re.sub(r"[^a-z0-9+\-*/=<>]", "", dressing)


# -- generators -----------------------------------------------------------------------------------


class Postings:
    """Feature -> numbers of the items that have it; features of more than ``cap`` items are left out."""

    def __init__(self, features: Sequence[set[str]], cap: int) -> None:
        lists: dict[str, list[int]] = defaultdict(list)
        for number, members in enumerate(features):
            for feature in members:
                lists[feature].append(number)
        self.lists = {f: np.array(v) for f, v in lists.items() if len(v) <= cap}
        self.count = len(features)

    def sums(self, features: Iterable[str], weight: Callable[[str], float]) -> np.ndarray:
        """Sum of the weights of the shared features, for every item."""
        known = [f for f in features if f in self.lists]
        if not known:
            return np.zeros(self.count)
        weights = np.repeat([weight(f) for f in known], [len(self.lists[f]) for f in known])
        return np.bincount(
            np.concatenate([self.lists[f] for f in known]), weights, minlength=self.count
        )


class Generators:
    """Everything known about the items; ``scores`` gives what each generator says of one row."""

    def __init__(self, rows: Sequence[Row], items: Sequence[Row]) -> None:
        self.items = items
        sample = rows[::4]
        frequency = Counter(gram for row in sample for gram in grams(row.text))
        self._rarity = lambda g: math.log(len(sample) / (1 + frequency[g])) ** 2
        item_grams = [grams(item.text) for item in items]
        self._norms = np.array([math.sqrt(sum(map(self._rarity, g))) or 1.0 for g in item_grams])
        self._grams = Postings(item_grams, cap=max(150, len(items) // 12))
        item_words = [content_words(item.text) for item in items]
        self._sizes = np.array([max(1, len(w)) for w in item_words])
        self._words = Postings(item_words, cap=max(400, len(items) // 4))
        self._numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._answers: dict[str, list[int]] = defaultdict(list)
        self._squeezed: dict[str, list[int]] = defaultdict(list)
        self._pieces: dict[int, dict[str, list[int]]] = {n: defaultdict(list) for n in SUBSTRINGS}
        for number, item in enumerate(items):
            if len(numbers(item.text)) >= 2:
                self._numbers[numbers(item.text)].append(number)
            self._answers[bare_answer(item.answer)].append(number)
            self._squeezed[squeezed(item.text)].append(number)
            for size, piece in self._cut(item.text):
                self._pieces[size][piece].append(number)

    def scores(self, row: Row) -> dict[int, dict[str, float]]:
        """Number of the item -> generator -> score."""
        found: dict[int, dict[str, float]] = defaultdict(dict)
        own = grams(row.text)
        shared = self._grams.sums(own, self._rarity)
        norm = math.sqrt(sum(map(self._rarity, own))) or 1.0
        self._name(found, "char4", shared / (self._norms * norm))
        self._name(found, "contained", shared / self._norms**2)
        own_words = content_words(row.text)
        common = self._words.sums(own_words, lambda _: 1.0)
        jaccard = common / (self._sizes + len(own_words) - common)
        self._name(found, "jaccard", np.where(common >= 3, jaccard, 0.0))
        for name, numbers_of in (
            ("numbers", self._numbers.get(numbers(row.text), [])),
            ("answer", self._answers.get(bare_answer(row.answer), [])),
        ):
            for item in numbers_of:
                if common[item] >= 2 and jaccard[item] > THRESHOLDS[name]:
                    found[item][name] = float(jaccard[item])
        for size, piece in self._cut(row.text):
            for item in self._pieces[size].get(piece, ()):
                found[item]["substring"] = max(size, found[item].get("substring", 0))
        for item in self._squeezed.get(squeezed(row.text), []):
            found[item]["squeezed"] = 1.0
        return found

    @staticmethod
    def _name(found: dict[int, dict[str, float]], name: str, scores: np.ndarray) -> None:
        for item in np.flatnonzero(scores > THRESHOLDS[name]):
            found[int(item)][name] = round(float(scores[item]), 3)

    @staticmethod
    def _cut(text: str) -> Iterator[tuple[int, str]]:
        folded = fold(text)
        for size in SUBSTRINGS:
            for k in range(len(folded) - size + 1):
                yield size, folded[k : k + size]


def candidates(folder: Path, row_files: list[str], item_files: list[str], out: Path) -> int:
    rows = [row for name in row_files for row in load(folder, name)]
    items = [row for name in item_files for row in load(folder, name)]
    generators = Generators(rows, items)
    with out.open("w", encoding="utf-8") as lines:
        for row in rows:
            for number, scores in sorted(generators.scores(row).items()):
                item = items[number]
                if (row.file, row.id) == (item.file, item.id):
                    continue
                pair = {"row_file": row.file, "row_id": row.id, "row_sha": row.sha}
                pair |= {"item_file": item.file, "item_id": item.id, "item_sha": item.sha}
                pair |= {"split": split_of(row.sha, item.sha), "scores": scores}
                lines.write(json.dumps(pair) + "\n")
    return 0


# -- labels ---------------------------------------------------------------------------------------


def check(folder: Path) -> int:
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    names = {label[side] for label in labels for side in ("row_file", "item_file")}
    known = {(row.file, row.id): row.sha for name in sorted(names) for row in load(folder, name)}
    wrong = []
    for label in labels:
        for side in ("row", "item"):
            place = label[f"{side}_file"], label[f"{side}_id"]
            if known.get(place) != label[f"{side}_sha"]:
                wrong.append(f"{place[0]}:{place[1]}: {'changed' if place in known else 'missing'}")
        if split_of(label["row_sha"], label["item_sha"]) != label["split"]:
            wrong.append(f"{label['row_id']} and {label['item_id']}: split is not {label['split']}")
    counts = Counter((label["split"], label["label"]) for label in labels)
    for (split, name), count in sorted(counts.items()):
        sys.stdout.write(f"{split:5} {name:16} {count}\n")
    same = [label for label in labels if label["label"] in SAME]
    found = Counter(name for label in same for name in label["found_by"])
    for name, count in found.most_common():
        sys.stdout.write(f"{name:10} found {count} of {len(same)} same-problem pairs\n")
    for line in wrong:
        sys.stdout.write(f"does not resolve: {line}\n")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("candidates")
    make.add_argument("folder", type=Path)
    make.add_argument("--rows", nargs="+", required=True)
    make.add_argument("--items", nargs="+", required=True)
    make.add_argument("--out", type=Path, required=True)
    commands.add_parser("check").add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.command == "check":
        return check(args.folder)
    return candidates(args.folder, args.rows, args.items, args.out)


if __name__ == "__main__":
    sys.exit(main())
