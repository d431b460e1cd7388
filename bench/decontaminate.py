"""Decontamination: our engine beside plain versions of the published rules, on the shared files.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/decontaminate.py [data folder] [--only NAME ...]``

Rows are DeepScaleR's 40,315 prompts in memory; the index holds the questions of every benchmark in the folder. Each
method runs in a process of its own: CPU seconds (median of 3, so that what else runs matters less), time to build the
index and to load it again, peak memory of the process, rows flagged against MATH-500 alone, and recall and precision
on the labelled pairs of ``tests/labels`` (most of whose negatives were picked for looking alike, so that precision here
says less than precision on real rows). "With answers" is what ``curate`` and ``longstep data decontaminate`` do: rows
and questions carry theirs. All other methods see texts alone. The plain versions follow the papers' and scripts'
descriptions; datatrove's tokenizer is replaced by white space. No question is ever printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import string
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from longstep.curate.overlap import S1, Index, Item, LightR1, OpenR1, Overlap

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))
from build_fingerprints import questions as read  # noqa: E402  # pyright: ignore[reportMissingImports]

LABELS = ROOT / "tests" / "labels" / "same_problem.jsonl"
ROWS = "deepscaler_40k"
BENCHMARKS = (
    "aime24", "aime25", "math500", "gpqa_diamond_questions", "amc23",
    "gsm8k_test", "minerva_math", "svamp", "asdiv", "mmlu_stem",
)  # fmt: skip
REPEATS = 3
SAME = ("identical", "reworded")
NGRAM = 13


def load(folder: Path, name: str) -> list[tuple[str, str, str | None]]:
    """Id, text and answer of every row of a file."""
    return read(folder / f"{name}.jsonl.gz")


def questions(folder: Path, names: Sequence[str]) -> list[Item]:
    return [Item(n, *row) for n in names for row in load(folder, n)]


# -- methods: build once, then say of each text which questions it holds --------------------------


class Row(NamedTuple):
    text: str
    answer: str | None


#: Rows -> for each whether it is flagged.
Flags = Callable[[Sequence[Row]], Sequence[bool]]
Build = Callable[[Sequence[Item]], Flags]
TextFlags = Callable[[Sequence[str]], Sequence[bool]]
T = TypeVar("T")


@dataclass(frozen=True)
class Method:
    """How one method is built; ``holds`` says of a row's text whether it is flagged for one given question."""

    name: str
    build: Build
    holds: Callable[[Sequence[tuple[Row, Item]]], list[bool]]
    reload: Callable[[Sequence[Item]], float] | None = None


def alone(build: Build) -> Callable[[Sequence[tuple[Row, Item]]], list[bool]]:
    """For rules that look at one question at a time: an index of that question and nothing else."""
    return lambda pairs: [bool(build([item])([row])[0]) for row, item in pairs]


def in_company(pairs: Sequence[tuple[Row, Item]]) -> list[bool]:
    """For our scores: one index of all labelled questions."""
    config = Overlap()
    index = config.build(list({(i.benchmark, i.item): i for _, i in pairs}.values()))
    matches = index.scan([row.text for row, _ in pairs], [row.answer for row, _ in pairs])
    return [
        any((m.benchmark, m.item) == (i.benchmark, i.item) and m.kind in config.remove for m in ms)
        for ms, (_, i) in zip(matches, pairs, strict=True)
    ]


def in_company_texts(pairs: Sequence[tuple[Row, Item]]) -> list[bool]:
    return in_company([(row._replace(answer=None), i._replace(answer=None)) for row, i in pairs])


def ours_answers(items: Sequence[Item]) -> Flags:
    config = Overlap()
    index = config.build(items)

    def flags(rows: Sequence[Row]) -> Sequence[bool]:
        found = index.scan([row.text for row in rows], [row.answer for row in rows])
        return [any(m.kind in config.remove for m in ms) for ms in found]

    return flags


def ours_near(items: Sequence[Item]) -> TextFlags:
    config = Overlap()
    index = config.build(item._replace(answer=None) for item in items)
    return lambda texts: [any(m.kind in config.remove for m in ms) for ms in index.scan(texts)]


def ours_exact(items: Sequence[Item]) -> TextFlags:
    index = Overlap().build(items)
    return lambda texts: index.shares_ngram(texts, NGRAM).tolist()


def ours_reload(items: Sequence[Item]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        Overlap().build(items).save(path)
        return seconds(lambda: Index.load(path))[0]


def legacy(config: LightR1 | OpenR1 | S1) -> Callable[[Sequence[Item]], TextFlags]:
    return lambda items: config.build(items).flags


def plain_characters(items: Sequence[Item]) -> TextFlags:
    keys: set[str] = set()
    for item in items:
        keys |= {item.text or "", plain_key(item.text or "")}
    return lambda texts: [text in keys or plain_key(text) in keys for text in texts]


def plain_key(text: str) -> str:
    return re.sub(r"\d+", "", re.sub(r"[^\w]", "", text)).lower()


def plain_windows(n: int) -> Callable[[Sequence[Item]], TextFlags]:
    """Light-R1 (n = 32) and open-r1 (n = 8): a lookup of the questions' windows, a set of each row's."""

    def build(items: Sequence[Item]) -> TextFlags:
        lookup: dict[str, set[int]] = {}
        for number, item in enumerate(items):
            for window in windows(item.text or "", n):
                lookup.setdefault(window, set()).add(number)
        return lambda texts: [any(w in lookup for w in set(windows(t, n))) for t in texts]

    return build


def as_released(n: int) -> Callable[[Sequence[Item]], TextFlags]:
    """The same, with the rows' windows made anew for every benchmark, as both scripts do."""

    def build(items: Sequence[Item]) -> TextFlags:
        names = dict.fromkeys(item.benchmark for item in items)
        each = [plain_windows(n)([i for i in items if i.benchmark == name]) for name in names]
        return lambda texts: [
            any(hits) for hits in zip(*(flags(texts) for flags in each), strict=True)
        ]

    return build


def windows(text: str, n: int) -> list[str]:
    words = " ".join(text.lower().strip().split()).split()
    return [" ".join(words[k : k + n]) for k in range(len(words) - n + 1)]


def plain_s1(items: Sequence[Item]) -> TextFlags:
    """s1 the other way round: a lookup of the rows' windows, then every question's windows in it."""
    sought = {w for item in items for w in windows(item.text or "", 8)}

    def flags(texts: Sequence[str]) -> Sequence[bool]:
        lookup: dict[str, set[int]] = {}
        for number, text in enumerate(texts):
            for window in windows(text, 8):
                lookup.setdefault(window, set()).add(number)
        hit = set().union(*(lookup.get(window, ()) for window in sought))
        return [number in hit for number in range(len(texts))]

    return flags


def plain_datatrove(items: Sequence[Item], n: int = 12) -> TextFlags:
    """datatrove's n-gram filter on queries: no punctuation, accents or digits, 64-bit hashes of 12 words."""
    hashes = {h for item in items for h in simple_hashes(item.text or "", n)}
    return lambda texts: [any(h in hashes for h in simple_hashes(t, n)) for t in texts]


def simple_hashes(text: str, n: int) -> list[int]:
    text = re.sub(r"\d+(?:[.,]\d+)*", "0", text.lower().strip())
    text = text.translate(str.maketrans("", "", string.punctuation))
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    words = text.split()
    return [hash(" ".join(words[k : k + n])) for k in range(len(words) - n + 1)]


def on_texts(build: Callable[[Sequence[Item]], TextFlags]) -> Build:
    def built(items: Sequence[Item]) -> Flags:
        flags = build(items)
        return lambda rows: flags([row.text for row in rows])

    return built


def of(name: str, build: Callable[[Sequence[Item]], TextFlags]) -> Method:
    return Method(name, on_texts(build), alone(on_texts(build)))


METHODS = [
    of(f"ours, exact {NGRAM}-gram", ours_exact),
    Method("ours, near-duplicate scoring", on_texts(ours_near), in_company_texts, ours_reload),
    Method("ours, the same with answers", ours_answers, in_company, ours_reload),
    of("ours, mode light-r1 (characters)", legacy(LightR1(rules="characters"))),
    of("ours, mode light-r1 (windows)", legacy(LightR1(rules="windows"))),
    of("ours, mode light-r1 (both)", legacy(LightR1())),
    of("ours, mode open-r1", legacy(OpenR1())),
    of("ours, mode s1", legacy(S1())),
    of("plain Light-R1 digit-free", plain_characters),
    of("plain Light-R1 32-gram", plain_windows(32)),
    of("plain open-r1 8-gram", plain_windows(8)),
    of("Light-R1 32-gram, as released", as_released(32)),
    of("open-r1 8-gram, as released", as_released(8)),
    of("plain s1 8-gram", plain_s1),
    of("plain datatrove-like 12-gram", plain_datatrove),
]


# -- measuring ------------------------------------------------------------------------------------


def seconds(run: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds, median of ``REPEATS``, and the last result."""
    taken, results = [], []
    for _ in range(REPEATS):
        start = time.process_time()
        results[:] = [run()]
        taken.append(time.process_time() - start)
    return statistics.median(taken), results[0]


def labelled(folder: Path) -> list[tuple[dict[str, str], Row, Item]]:
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    names = sorted({label[side] for label in labels for side in ("row_file", "item_file")})
    rows = {(n, key): Row(text, gold) for n in names for key, text, gold in load(folder, n)}
    return [
        (
            label,
            rows[label["row_file"], label["row_id"]],
            Item(label["item_file"], label["item_id"], *rows[label["item_file"], label["item_id"]]),
        )
        for label in labels
    ]


def measure(method: Method, folder: Path) -> dict[str, object]:
    """Everything about one method, in this process."""
    rows = [Row(text, gold) for _, text, gold in load(folder, ROWS)]
    items = questions(folder, BENCHMARKS)
    build_s, flags = seconds(lambda: method.build(items))
    scan_s, flagged = seconds(lambda: flags(rows))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    math500 = sum(map(bool, method.build(questions(folder, ["math500"]))(rows)))
    result: dict[str, object] = {
        "method": method.name,
        "docs_s": len(rows) / scan_s,
        "build_s": build_s,
        "reload_s": method.reload(items) if method.reload else None,
        "memory_mb": memory,
        "math500": math500,
        "all": sum(map(bool, flagged)),
    }
    pairs = labelled(folder)
    held = method.holds([(row, item) for _, row, item in pairs])
    for split in ("dev", "test"):
        chosen = [
            (label["label"] in SAME, hit)
            for (label, *_), hit in zip(pairs, held, strict=True)
            if label["split"] == split
        ]
        right = sum(same and hit for same, hit in chosen)
        result[f"recall_{split}"] = right / sum(same for same, _ in chosen)
        named = sum(hit for _, hit in chosen)
        result[f"precision_{split}"] = right / named if named else None
    return result


def child(name: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, __file__, str(folder), "--measure", name],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


# -- the table ------------------------------------------------------------------------------------

COLUMNS = (
    "method", "docs/s", "ratio", "build s", "reload ms", "MB", "rows, MATH-500", "rows, all",
    "recall dev / test", "precision dev / test",
)  # fmt: skip


def percent(value: object) -> str:
    return "-" if value is None else f"{100 * float(str(value)):.1f}"


def commit() -> str:
    """The commit, and whether the tree differs from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=7"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def line(row: dict[str, object], reference: float) -> str:
    cells = [
        str(row["method"]),
        f"{row['docs_s']:,.0f}",
        f"{float(str(row['docs_s'])) / reference:.1f}",
        f"{row['build_s']:.2f}",
        "-" if row["reload_s"] is None else f"{1000 * float(str(row['reload_s'])):.0f}",
        f"{row['memory_mb']:.0f}",
        f"{row['math500']:,}",
        f"{row['all']:,}",
        f"{percent(row['recall_dev'])} / {percent(row['recall_test'])}",
        f"{percent(row['precision_dev'])} / {percent(row['precision_test'])}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", nargs="+", help="methods whose names contain one of these")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.folder / f"{ROWS}.jsonl.gz").exists():
        sys.stdout.write(f"{args.folder}: no {ROWS}.jsonl.gz there; nothing is measured\n")
        return 0
    if args.measure:
        method = next(m for m in METHODS if m.name == args.measure)
        json.dump(measure(method, args.folder), sys.stdout)
        return 0
    chosen = [m for m in METHODS if not args.only or any(word in m.name for word in args.only)]
    load_average = os.getloadavg()[0]
    rows = [child(method.name, args.folder) for method in chosen]
    slowest = min(float(str(row["docs_s"])) for row in rows)
    items = questions(args.folder, BENCHMARKS)
    sys.stdout.write(
        f"{ROWS} against {len(items):,} questions of {len(BENCHMARKS)} benchmarks; one core, medians of"
        f" {REPEATS}; load before {load_average:.2f}, after {os.getloadavg()[0]:.2f}; commit {commit()}; ratio is to"
        " the slowest\n\n"
    )
    sys.stdout.write("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS) + "\n")
    for row in rows:
        sys.stdout.write(line(row, slowest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
