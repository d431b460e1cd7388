"""A synthetic run folder for tests of the report. Every number in it is invented.

Run as a program it writes one for the eye: ``python tests/run_fixture.py /tmp/run``.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

from longstep.report.blocks import write_blocks
from longstep.stages import Curate, Sample

#: Evaluated model, the stage that made it, how good it is.
MODELS = {
    "base": ("base", 0.04),
    "SFT-1": ("sft1", 0.44),
    "SFT-2": ("sft2", 0.63),
    "DPO": ("dpo", 0.64),
    "merged": ("merged", 0.655),
    "final": ("rl", 0.79),
}
STAGES = {
    "base": {"kind": "checkpoint", "path": "longstep-tiny"},
    "rater": {"kind": "checkpoint", "path": "longstep-tiny-rater"},
    "problems": {"kind": "curate"},
    "rated": {"kind": "sample", "data": "@problems", "rate": True},
    "traces": {"kind": "sample", "data": "@rated", "rate": False},
    "sft1": {"kind": "sft", "model": "@base", "data": "@traces"},
    "sft2": {"kind": "sft", "model": "@sft1", "data": "@traces"},
    "dpo": {"kind": "prefer", "model": "@sft2"},
    "merged": {"kind": "merge", "parents": ["@sft2", "@dpo"]},
    "rl": {"kind": "rl", "model": "@merged", "data": "@rated"},
    "scores": {
        "kind": "evaluate",
        "models": {name: f"@{stage}" for name, (stage, _) in MODELS.items()},
    },
}
SHOWN = {"curate": Curate, "sample": Sample}
ARTIFACTS = {"curate": "rows", "sample": "rows", "evaluate": "report"}
PROBLEMS, SAMPLES, BUDGET = 60, 8, 160


def _command(time: int, more: str) -> dict[str, Any]:
    told = {
        "command": f"longstep run light-r1 --size tiny{more}",
        "cwd": "/work",
        "host": f"h{time}",
    }
    versions = {"longstep": "0.1.0", "torch": "2.13.0"}
    return {"time": time, **told, "system": "Linux x86_64", "versions": versions}


def make_run(root: Path, seed: int = 5, without: tuple[str, ...] = ()) -> Path:
    """Write a whole run below ``root``; stages named in ``without`` are declared but never ran."""
    rng = random.Random(seed)
    commands = ((0, ""), (86_400, " 'stages.rl.steps=<b>'"), (90_000, " stages.rl.steps=4"))
    write_lines(root / "commands.jsonl", [_command(*each) for each in commands])
    facts = {
        "name": "synthetic",
        "recipe": {"name": "synthetic", "stages": STAGES},
        "stages": list(STAGES),
        "makes": {name: ARTIFACTS.get(stage["kind"], "model") for name, stage in STAGES.items()},
        "seed": 17,
        "version": "0.1.0",
        "code": "0123abcd",
        "differs": [
            "Every number here is invented by tests/run_fixture.py: no model was trained.",
            "The base model has 0.6 M parameters and is trained from scratch, not a Qwen.",
        ],
    }
    write(root / "run.json", facts)
    for place, name in enumerate(name for name in STAGES if name not in without):
        folder, config = root / name, STAGES[name]
        write(
            folder / "config.json",
            {"stage": name, "kind": config["kind"], "parts": {"config": config}},
        )
        write(folder / "manifest.json", manifest(name, place, rng))
        MAKERS.get(config["kind"], lambda *_: None)(folder, name, rng)
        if config["kind"] in SHOWN:
            stage = SHOWN[config["kind"]].model_construct(rate=config.get("rate", False))
            write_blocks(folder, stage.blocks(folder / "out"))
    return root


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, sort_keys=True))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def manifest(name: str, place: int, rng: random.Random) -> dict[str, Any]:
    kind = STAGES[name]["kind"]
    trains, samples = kind in ("sft", "prefer", "rl"), kind in ("sample", "rl", "evaluate")
    artifact = ARTIFACTS.get(kind, "model")
    return {
        "stage": name,
        "kind": kind,
        "artifact": artifact,
        "fingerprint": f"{place:02x}" * 32,
        "cost": {
            "seconds": round(rng.uniform(20, 200) * (3 if trains else 1), 1),
            "tokens_trained": rng.randrange(400_000, 3_000_000) if trains else 0,
            "tokens_generated": rng.randrange(100_000, 900_000) if samples else 0,
            "peak_memory_mb": rng.randrange(700, 1400),
        },
    }


def train(folder: Path, name: str, rng: random.Random) -> None:
    rows, steps = [], 300
    for step in range(1, steps + 1):
        t = step / steps
        row = {
            "step": step,
            "seconds": 0.4 * step,
            "learning_rate": 3e-4 * (1 - 0.9 * t),
            "samples_per_second": 9.0,
        }
        if name in ("sft1", "sft2"):
            row |= {
                "loss": 0.25 + 2.2 * math.exp(-6 * t) + rng.gauss(0, 0.05),
                "grad_norm": rng.uniform(0.4, 1.2),
            }
        elif name == "dpo":
            row |= {"loss": 1.386 - 0.5 * t + rng.gauss(0, 0.05)}
            row |= {
                "logps/chosen": -14 + 1.5 * t + rng.gauss(0, 0.4),
                "logps/rejected": -18 - 9 * t + rng.gauss(0, 0.7),
            }
        else:
            row |= {
                "reward": 0.6 + 0.2 * t + rng.gauss(0, 0.06),
                "mean_length": 80 + 25 * t + rng.gauss(0, 3),
            }
            row |= {
                "entropy": 0.5 - 0.2 * t + rng.gauss(0, 0.02),
                "kl": 0.02 * t,
                "loss": rng.gauss(0, 0.02),
            }
        rows.append(row)
    write_lines(folder / "metrics.jsonl", rows)
    if name == "rl":
        cause = (
            "72 % of groups have no spread in correctness, so most sampled tokens give no gradient."
        )
        note = {
            "level": "warn",
            "rule": "no-signal",
            "cause": cause,
            "remedy": "Narrow the pass-rate band to [0.2, 0.8].",
        }
        write_lines(folder / "health.jsonl", [{"step": step, **note} for step in (120, 180, 240)])
    else:
        write_lines(folder / "masks.jsonl", [mask_row(rng) for _ in range(2)])


def mask_row(rng: random.Random) -> dict[str, Any]:
    prompt, trace, answer = problem_text(rng)
    tokens = [
        "<|user|>",
        *prompt,
        "<|assistant|>",
        "<think>",
        *trace,
        "</think>",
        "\\boxed{",
        *answer,
        "}",
        "<|end|>",
    ]
    start = tokens.index("<think>") + 1
    return {"tokens": tokens, "mask": [int(place >= start) for place in range(len(tokens))]}


def problem_text(rng: random.Random) -> tuple[str, str, str]:
    value, steps = rng.randrange(2, 30), []
    prompt = f"Start with {value}."
    for _ in range(rng.randrange(2, 6)):
        amount, sign = rng.randrange(2, 20), rng.choice("+-*")
        after = (
            (value + amount) % 100
            if sign == "+"
            else (value - amount) % 100
            if sign == "-"
            else value * amount % 100
        )
        verb = {"+": "Add", "-": "Subtract", "*": "Multiply by"}[sign]
        prompt += f" {verb} {amount}."
        steps.append(f"{value}{sign}{amount}={after}")
        value = after
    return prompt + " What is left modulo 100?", "\n".join(steps), str(value)


def curate(folder: Path, name: str, rng: random.Random) -> None:
    funnel = [
        {"step": "exact duplicates", "kept": 11_780, "dropped": 220, "reasons": {"same text": 220}},
        {
            "step": "near duplicates",
            "kept": 10_904,
            "dropped": 876,
            "reasons": {"minhash >= 0.8": 876},
        },
        {
            "step": "decontaminate",
            "kept": 10_871,
            "dropped": 33,
            "reasons": {"13-gram in chain": 21, "exact in chain": 12},
        },
        {"step": "gold verifies", "kept": 10_871, "dropped": 0, "reasons": {}},
        {
            "step": "length",
            "kept": 9_012,
            "dropped": 1859,
            "reasons": {"prompt longer than 96 tokens": 1702, "empty": 157},
        },
    ]
    write(folder / "out" / "funnel.json", funnel)


def sample(folder: Path, name: str, rng: random.Random) -> None:
    problems, completions = questions(rng), []
    for problem in problems:
        rows = [
            completion(problem, index, 0.35 if name == "rated" else 0.8, rng)
            for index in range(SAMPLES)
        ]
        problem["pass_rate"] = sum(row["verdict"]["status"] == "correct" for row in rows) / SAMPLES
        completions += rows
    write_lines(folder / "out" / "problems.jsonl", problems)
    write_lines(folder / "out" / "completions.jsonl", completions)
    verdicts = Counter(row["verdict"]["status"] for row in completions)
    write(folder / "out" / "counts.json", {"verdicts": verdicts})


def questions(rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for place in range(PROBLEMS):
        prompt, trace, answer = problem_text(rng)
        rows.append(
            {
                "id": f"chain-{place:03d}",
                "prompt": prompt,
                "answer": answer,
                "solution": trace,
                "difficulty": 1 + place % 8,
            }
        )
    return rows


def completion(
    problem: dict[str, Any], index: int, skill: float, rng: random.Random
) -> dict[str, Any]:
    ease = skill ** (problem["difficulty"] / 4)
    ramble = 2.5 if skill < 0.1 else 1.0
    length = ramble * rng.gauss(16 + 11 * problem["difficulty"], 16 + 10 * (1 - skill))
    draw, tokens = rng.random(), min(BUDGET, max(9, int(length)))
    cut = tokens == BUDGET
    right = not cut and draw < ease
    answer = None if cut else problem["answer"] if right else str(rng.randrange(100))
    if answer == problem["answer"] and not right:
        answer = str((int(answer) + 1) % 100)
    status = "truncated" if cut else "correct" if right else "incorrect"
    text = f"<think>{problem['solution'] or ''}"
    text += "\nLet me check that again." * 4 if cut else f"</think>\\boxed{{{answer}}}"
    reason = {
        "truncated": "no end of thinking within the token budget",
        "incorrect": "other value",
    }.get(status, "")
    return {
        "problem_id": problem["id"],
        "sample_index": index,
        "prompt_ids": [1, 2, 3],
        "token_ids": [7] * tokens,
        "text": text,
        "finish_reason": "length" if cut else "stop",
        "verdict": {"status": status, "answer": answer, "reason": reason},
    }


def evaluate(folder: Path, name: str, rng: random.Random) -> None:
    out, benchmarks = folder / "out", {}
    for benchmark, slices in {"chain": {"easy": (1, 3), "hard": (6, 8)}, "equation": {}}.items():
        problems = questions(rng)
        write_lines(out / "problems" / f"{benchmark}.jsonl", problems)
        for model, (_, skill) in MODELS.items():
            rows = [completion(p, i, skill, rng) for p in problems for i in range(SAMPLES)]
            write_lines(out / "completions" / model / f"{benchmark}.jsonl", rows)
            level = {p["id"]: p["difficulty"] for p in problems}
            cells = {"all": cell(rows)}
            for part, (low, high) in slices.items():
                cells[part] = cell([row for row in rows if low <= level[row["problem_id"]] <= high])
            benchmarks.setdefault(model, {})[benchmark] = cells
    asked = {"samples": SAMPLES, "temperature": 0.6, "top_p": 0.95, "max_tokens": BUDGET}
    slices = {"easy": [1, 3], "hard": [6, 8]}
    protocol = {
        "models": list(MODELS),
        "benchmarks": {"chain": asked | {"slices": slices}, "equation": asked | {"slices": {}}},
        "seed": 17,
        "resamples": 10000,
    }
    write(
        out / "results.json",
        {"protocol": protocol, "models": benchmarks, "comparisons": comparisons(benchmarks)},
    )


def cell(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A cell in the schema of ``evaluate``, with a normal interval in place of the bootstrap."""
    status = [row["verdict"]["status"] for row in rows]
    problems, share = len(rows) // SAMPLES, status.count("correct") / len(rows)
    within, between = (
        math.sqrt(share * (1 - share) / len(rows)),
        math.sqrt(share * (1 - share) / problems),
    )
    total = math.hypot(within, between)
    cut = status.count("truncated") / len(rows)
    spread = {"se_within": within, "se_between": between, "se_total": total}
    return {
        "problems": problems,
        "samples": SAMPLES,
        "avg": {
            "value": share,
            "ci95": [max(0.0, share - 1.96 * total), min(1.0, share + 1.96 * total)],
            **spread,
        },
        "pass": {
            "1": {"value": share, "ci95": [0, 1]},
            "8": {"value": min(1.0, share + 0.1), "ci95": [0, 1]},
        },
        "maj": {"8": {"value": min(1.0, share * 1.05), "ci95": [0, 1]}},
        "truncated": cut,
        "stopped": 1 - cut,
        "no_answer": 0.0,
        "unscorable": 0,
        "tokens_mean": sum(len(row["token_ids"]) for row in rows) / len(rows),
        "finished_avg": share / max(1e-9, 1 - cut),
    }


def comparisons(models: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [("chain", "all"), ("chain", "easy"), ("chain", "hard"), ("equation", "all")]
    return [comparison(models, a, b, *part) for part in parts for a, b in combinations(MODELS, 2)]


def comparison(models: dict[str, Any], a: str, b: str, benchmark: str, part: str) -> dict[str, Any]:
    first, second = (models[name][benchmark][part] for name in (a, b))
    delta, spread = second["avg"]["value"] - first["avg"]["value"], 1.2 * second["avg"]["se_total"]
    low, high = delta - spread, delta + spread
    real = low > 0 or high < 0
    verdict = f"{b} is {'better' if delta > 0 else 'worse'}" if real else "not distinguishable"
    where = benchmark if part == "all" else f"{benchmark} ({part})"
    sentence = (
        f"{where}: {b} - {a} = {100 * delta:+.1f} points, 95 % interval "
        f"[{100 * low:+.1f}, {100 * high:+.1f}] over {first['problems']} problems: {verdict}"
    )
    row = {"a": a, "b": b, "benchmark": benchmark, "slice": part, "delta": delta}
    return row | {"ci95": [low, high], "distinguishable": real, "sentence": sentence}


MAKERS = {
    "sft": train,
    "prefer": train,
    "rl": train,
    "curate": curate,
    "sample": sample,
    "evaluate": evaluate,
}

if __name__ == "__main__":
    make_run(Path(sys.argv[1]))
