"""Shipped hashes: complete, small, without text; and the script that makes them."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from longstep.curate.overlap import Index, Item, Overlap
from longstep.curate.overlap import background as table
from longstep.curate.overlap.features import features
from longstep.curate.overlap.tokens import tokenise

COUNTS = {
    "aime24": 30, "aime25": 30, "amc23": 40, "asdiv": 2215, "gpqa_diamond": 198, "gsm8k": 1319, "math500": 500,
    "minerva": 272, "mmlu_stem": 3018, "svamp": 1000,
}  # fmt: skip


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "build_fingerprints.py"
    spec = importlib.util.spec_from_file_location("build_fingerprints", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_every_benchmark_is_there_with_its_source() -> None:
    sources = json.loads((table.FOLDER / "sources.json").read_text(encoding="utf-8"))
    assert {name: row["rows"] for name, row in sources["benchmarks"].items()} == COUNTS
    assert {path.stem for path in table.FOLDER.glob("*.npz")} == set(COUNTS)
    for row in [*sources["benchmarks"].values(), *sources["background"].values()]:
        assert len(row["sha256"]) == 64 and row["source"] and row["licence"]
    assert sum(path.stat().st_size for path in table.FOLDER.iterdir()) < 3_000_000


def test_fingerprints_hold_hashes_and_ids_only() -> None:
    for path in table.FOLDER.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(bytes(file["head"]))
            assert head["texts"] is None and max(map(len, head["items"])) < 60
            assert all(file[name].dtype.kind == "u" for name in file.files)
        index = Index.load(path)
        assert len(index.items) == COUNTS[path.stem]
        assert {(item.benchmark, item.text) for item in index.items} == {(path.stem, None)}


def write(folder: Path, name: str, texts: list[str]) -> Path:
    path = folder / f"{name}.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(
            json.dumps({"id": f"{name}-{n}", "problem": text}) + "\n"
            for n, text in enumerate(texts)
        )
    return path


def test_the_script_makes_them(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ["A zebra and an okapi share 31 melons; how many are left after 4 days?", "???"]
    exam = write(tmp_path, "exam_file", questions)
    write(tmp_path, "train", ["find the value of x"] * 16 + ["a rare word"])
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(script, "BENCHMARKS", {"exam": script.Source("exam_file", "here", "mine")})
    monkeypatch.setattr(script, "TRAINING", {"train": script.Source("train", "there", "yours")})
    made = script.build(tmp_path, out)
    assert made["benchmarks"]["exam"] == {
        "file": "exam_file.jsonl.gz", "sha256": hashlib.sha256(exam.read_bytes()).hexdigest(), "rows": 2,
        "source": "here", "licence": "mine",
    }  # fmt: skip
    assert made["background"]["train"]["rows"] == 17
    blind = Index.load(out / "exam.npz")
    known = Overlap().build(
        Item("exam", f"exam_file-{n}", text) for n, text in enumerate(questions)
    )
    rows = [*questions, questions[0].replace("31", "77"), "Hello. " + questions[0], "nothing"]
    for a, b in zip(blind.scan(rows), known.scan(rows), strict=True):
        assert [(m.item, m.kind, m.score, m.span) for m in a] == [
            (m.item, m.kind, m.score, m.span) for m in b
        ]
    assert [bool(each) for each in blind.scan(rows)] == [True, True, True, True, False]


def test_the_background_counts_texts(tmp_path: Path) -> None:
    # 16 of 17 texts have "find", "value" and their neighbours: log2(17/16) = 0.087 bits, one sixteenth when rounded
    common, rare = "find the value of x", "a rare word"
    table.write(tmp_path / "t", *table.count([[common] * 10, [common] * 6 + [rare]]))
    with np.load(tmp_path / "t") as file:
        assert int(file["texts"]) == 17 and set(file["sixteenths"].tolist()) == {1}
        hashes = np.cumsum(file["gaps"], dtype=np.uint32)
    assert hashes.tolist() == sorted(features(tokenise([common])).hashes.tolist())


def test_the_shipped_background_knows_common_from_rare() -> None:
    weights = table.shipped()
    words = features(tokenise(["find zyzzyva"]))
    bits = dict(zip(words.hashes.tolist(), weights.weights(words.hashes).tolist(), strict=True))
    find = features(tokenise(["find"])).hashes.tolist()[0]
    assert bits[find] < 2 and max(bits.values()) == pytest.approx(weights.rare)
