"""The labelled pairs: complete, without text, and split as they say."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parent
FIELDS = ["row_file", "row_id", "row_sha", "item_file", "item_id", "item_sha", "label", "split"]


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def test_every_label_names_two_texts_and_holds_none() -> None:
    labels = read("same_problem.jsonl")
    for label in labels:
        assert list(label) == [*FIELDS, "found_by"] and label["found_by"]
        assert all(len(label[name]) <= 60 and " " not in label[name] for name in FIELDS)
        assert re.fullmatch(r"[0-9a-f]{16}", label["row_sha"])
        assert re.fullmatch(r"[0-9a-f]{16}", label["item_sha"])
    sides = [tuple(label[name] for name in FIELDS if not name.endswith("sha")) for label in labels]
    assert len({side[:4] for side in sides}) == len(labels)
    assert not any(label["item_file"].startswith("gpqa") for label in labels)


def test_the_split_is_by_hash_whichever_text_is_the_row() -> None:
    seen: dict[frozenset[str], set[bool]] = {}
    for label in read("same_problem.jsonl"):
        pair = sorted((label["row_sha"], label["item_sha"]))
        expected = hashlib.sha256("|".join(pair).encode()).digest()[0] < 128
        assert label["split"] == ("dev" if expected else "test")
        same = label["label"] in ("identical", "reworded")
        seen.setdefault(frozenset(pair), set()).add(same)
    # which of the two it is may depend on the side: a question stands whole in a longer row, not the other way round
    assert all(len(verdicts) == 1 for verdicts in seen.values()), "one pair of texts, one verdict"


def test_there_is_enough_of_each() -> None:
    counts = Counter((each["label"], each["split"]) for each in read("same_problem.jsonl"))
    for split in ("dev", "test"):
        assert counts["identical", split] + counts["reworded", split] >= 150
        assert counts["numbers_changed", split] >= 100
        assert counts["template", split] + counts["unrelated", split] >= 150
