"""``pair``, the reader of published samples, and the drift alarms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from longstep.contrast.drift import Drift, _perplexity, alarms, repeated
from longstep.contrast.examine import Asked, examine_pair
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.types import Completion
from short_recipe import Setting, finish, lines

EXPERT = shipped_folder("longstep-tiny")


def test_a_pair_is_described_and_drawn(tmp_path: Path):
    page = tmp_path / "pair.html"
    asked = Asked(
        "longstep-tiny", "longstep-tiny-rater", questions=12, max_tokens=24, answer_tokens=40
    )
    facts = examine_pair(asked, page)
    assert facts["questions"] == 12 and sum(facts["kl_histogram"]) == facts["positions"]
    assert facts["gap"] == pytest.approx(facts["expert_accuracy"] - facts["amateur_accuracy"])
    text = page.read_text("utf-8")
    assert "<svg" in text and text.count('class="kept"') > 1 and "<script" not in text
    assert all(sentence.split(":")[0].split("%")[0] in text for sentence in facts["sentences"])


def test_a_model_beside_itself_is_no_pair(tmp_path: Path):
    asked = Asked("longstep-tiny", "longstep-tiny", questions=8, max_tokens=16, answer_tokens=40)
    facts = examine_pair(asked, tmp_path / "pair.html")
    assert facts["gap"] == 0 and facts["kept"] == 0 and facts["agreement"] == 1
    assert any("Little to learn" in sentence for sentence in facts["sentences"])
    assert not any("better one" in sentence for sentence in facts["sentences"])


def test_a_pair_is_examined_over_the_token_ids_that_both_share(tmp_path: Path):
    asked = Asked("longstep-tiny", "longstep-tiny-rater", 4, max_tokens=8, answer_tokens=8)
    same = examine_pair(asked, tmp_path / "same.html")
    # the two tiny models have one vocabulary
    assert examine_pair(replace(asked, vocabulary="shared"), tmp_path / "shared.html") == same


RECIPE = """
name: published
stages:
  expert: {kind: checkpoint, path: longstep-tiny}
  samples: {kind: lrsamples, path: FILE, expert: "@expert", thinking: true}
  tuned:
    kind: soft_sft
    model: "@expert"
    data: "@samples"
    steps: 1
    batch: 2
    max_length: 64
    optimizer: {kind: adamw, lr: 1e-4}
"""


def published(path: Path, **changes: object) -> list[dict[str, object]]:
    tokenizer = load_tokenizer(EXPERT)
    one, two = (tokenizer(d, add_special_tokens=False)["input_ids"][0] for d in "12")  # pyright: ignore
    row = {
        "prompt_id": "1+1", "step": 0, "prefix": "", "tokens": ["2", "1"], "token_ids": [two, one],
        "weights": [0.75, 0.25], "kl_divergence": 0.9,
    }  # fmt: skip
    rows = [row, {**row, "step": 2, "prefix": "1+"}, {**row, "step": 1, "prefix": "2"}]
    rows.append({**row, "prompt_id": "2+1", "step": 3, "prefix": "2+1"})
    rows[0] = {**rows[0], **changes}
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return rows


def test_published_samples_become_rows(tmp_path: Path):
    published(tmp_path / "samples.jsonl")
    text = RECIPE.replace("FILE", str(tmp_path / "samples.jsonl"))
    assert finish(tmp_path / "run", Setting(text=text)) == "done"
    out = tmp_path / "run" / "samples" / "out"
    rollouts, targets = lines(out / "completions.jsonl"), lines(out / "soft_targets.jsonl")
    # "" begins "1+" and both stand on one rollout; "2" does not, and is a rollout of its own
    assert [(r["text"], r["sample_index"]) for r in rollouts] == [("1+", 0), ("2", 1), ("2+1", 0)]
    assert [(t["sample_index"], t["position"]) for t in targets] == [(0, 0), (0, 2), (1, 1), (0, 3)]
    assert targets[0]["token_ids"] == sorted(targets[0]["token_ids"])
    assert sorted(targets[0]["weights"]) == [0.25, 0.75]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": [0.5, 0.25]}, "samples.jsonl:1:weights: sum to 0.7500"),
        ({"tokens": ["2"]}, "samples.jsonl:1:token_ids: 2 ids, 2 weights and 1 tokens"),
        ({"tokens": ["1", "2"]}, "the samples are from a model with another tokenizer"),
        ({"step": "x"}, "samples.jsonl:1:step"),
    ],
)
def test_published_samples_that_do_not_fit_are_refused(tmp_path: Path, changes, sentence):
    published(tmp_path / "samples.jsonl", **changes)
    text = RECIPE.replace("FILE", str(tmp_path / "samples.jsonl"))
    said = finish(tmp_path / "run", Setting(text=text))
    assert said.startswith("error:") and sentence in said


def test_perplexity_shifts_its_labels_and_repetition_counts_grams():
    model = load_model(EXPERT).eval()
    rollout = Completion("p", 0, (5, 6, 7), (8, 9, 10), "", "stop")
    with torch.no_grad():
        logps = model(torch.tensor([[5, 6, 7, 8, 9, 10]])).logits[0].double().log_softmax(-1)
    total = -(logps[2, 8] + logps[3, 9] + logps[4, 10])
    assert _perplexity(model, [rollout]) == pytest.approx(math.exp(float(total) / 3), rel=1e-5)
    assert repeated([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(
        1 / 5
    )  # 1234 comes back once in five
    assert repeated([1, 2]) == 0
    fine, worse = Drift(2.0, 0.1), Drift(3.1, 0.25)
    assert alarms(fine, fine) == []
    assert [note["rule"] for note in alarms(fine, worse)] == ["perplexity", "repetition"]
