"""Make the shipped hashes of longstep: fingerprints of benchmarks, and the table of how common words are.

    python scripts/build_fingerprints.py ../shared/data

Reads ``FILE.jsonl.gz`` (rows with ``id``, ``problem`` and mostly ``answer``) of every benchmark and training set below
from the folder and writes ``src/longstep/data/fingerprints``. No text is written: hashes of words, the ids, and
``sources.json`` with where each file came from. A hash of a single word can be guessed with a dictionary: this keeps
benchmark text out of packages, crawls and training sets, it is not encryption. Of the answers it keeps 16 bits each.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from longstep.curate.overlap import Item, Overlap, background


@dataclass(frozen=True)
class Source:
    file: str
    origin: str
    licence: str


QWEN = "QwenLM/Qwen2.5-Math @ a45202bd16f1 : evaluation/data/"
ONE_SHOT = "ypwang61/One-Shot-RLVR @ 21ed529ec900 : Qwen2.5-Eval/evaluation/data/"
BENCHMARKS = {
    "aime24": Source("aime24", QWEN + "aime24/test.jsonl", "folder MIT; problems MAA's (AIME 2024)"),
    "aime25": Source("aime25", ONE_SHOT + "aime25/test.jsonl", "Apache-2.0; problems MAA's (AIME 2025)"),
    "amc23": Source("amc23", QWEN + "amc23/test.jsonl", "folder MIT; problems MAA's (AMC 12 2023)"),
    "asdiv": Source("asdiv", QWEN + "asdiv/test.jsonl", "CC BY-NC 4.0"),
    "gpqa_diamond": Source(
        "gpqa_diamond_questions",
        "Open-Reasoner-Zero/Open-Reasoner-Zero @ 3fdd9a07b4fb : data/eval_data/gpqa_diamond.json",
        "CC BY 4.0; no plain text on the open web, as its authors ask",
    ),
    "gsm8k": Source(
        "gsm8k_test", "openai/grade-school-math @ 3101c7d50724 : grade_school_math/data/test.jsonl", "MIT"
    ),
    "math500": Source("math500", ONE_SHOT + "math500/test.jsonl", "MIT (MATH, PRM800K)"),
    "minerva": Source("minerva_math", QWEN + "minerva_math/test.jsonl", "CC BY-NC-SA 4.0 (MIT OpenCourseWare)"),
    "mmlu_stem": Source("mmlu_stem", QWEN + "mmlu_stem/test.jsonl", "MIT (MMLU)"),
    "svamp": Source("svamp", QWEN + "svamp/test.jsonl", "MIT"),
}  # fmt: skip
TRAINING = {
    "math_train_7500": Source("math_train_7500", "ChangyWen/TruthRL @ c884fbfe46fd : data/math/train.parquet", "MIT"),
    "gsm8k_train": Source(
        "gsm8k_train", "openai/grade-school-math @ 3101c7d50724 : grade_school_math/data/train.jsonl", "MIT"
    ),
    "deepscaler_40k": Source(
        "deepscaler_40k", "nick7nlp/FastCuRL @ 60c6e06927a8 : fastcurl/fastcurl/data/train", "MIT (DeepScaleR-Preview)"
    ),
}  # fmt: skip


def questions(path: Path) -> list[tuple[str, str, str | None]]:
    """Id, text and answer of every row."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [(str(row["id"]), row["problem"], answer(row)) for row in map(json.loads, lines)]


def answer(row: dict) -> str | None:
    """A row's answer: its own, the choice that is right, or the last box of its solution."""
    if "choices" in row:
        return row["choices"][row["answer"]]
    if "answer" in row:
        return str(row["answer"])
    return boxed(row["solution"]) if "solution" in row else None


def boxed(solution: str) -> str | None:
    r"""What stands in the last ``\boxed{}``; ``None`` without one that ends."""
    start = solution.rfind(r"\boxed{") + len(r"\boxed{")
    depth = 1
    for at in range(start, len(solution) if start >= len(r"\boxed{") else 0):
        depth += {"{": 1, "}": -1}.get(solution[at], 0)
        if not depth:
            return solution[start:at]
    return None


def described(source: Source, path: Path, rows: int) -> dict[str, object]:
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": rows,
        "source": source.origin,
        "licence": source.licence,
    }


def build(folder: Path, out: Path) -> dict[str, dict[str, object]]:
    """Write the background table, then a fingerprint per benchmark; give what they were made from."""
    made: dict[str, dict[str, object]] = {"benchmarks": {}, "background": {}}
    texts: list[str] = []
    for name, source in TRAINING.items():
        path = folder / f"{source.file}.jsonl.gz"
        rows = questions(path)
        texts += [text for _, text, _ in rows]
        made["background"][name] = described(source, path, len(rows))
    batches = (texts[at : at + 1000] for at in range(0, len(texts), 1000))
    background.write(out / background.BACKGROUND, *background.count(batches))
    for name, source in BENCHMARKS.items():
        path = folder / f"{source.file}.jsonl.gz"
        rows = questions(path)
        index = Overlap().build(Item(name, key, text, gold) for key, text, gold in rows)
        index.save_fingerprint(out / f"{name}.npz")
        made["benchmarks"][name] = described(source, path, len(rows))
    return made


def main(folder: Path) -> None:
    background.FOLDER.mkdir(parents=True, exist_ok=True)
    made = build(folder, background.FOLDER)
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    (background.FOLDER / "sources.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(
            "usage: build_fingerprints.py FOLDER, where FOLDER holds the .jsonl.gz files"
        )
    main(Path(sys.argv[1]))
