"""lm-evaluation-harness against ``longstep serve``, and ``longstep eval`` on the same problems: is every answer equal?

The harness lives in an environment of its own, made by pip below ``--environment`` (a temporary folder when not given)
and used again when it is there; it knows nothing of longstep but the address. A stage of kind ``evaluate`` draws
greedily first and stores its problems; these are the harness's task (chat template by the server, ``until: []``, one
answer, the last box compared as text). Then texts, readings and verdicts are compared problem by problem.

    python bench/lm_eval.py                            # 400 chains, longstep-tiny
    python bench/lm_eval.py --model FOLDER --count 50 --environment /tmp/harness

The last bits of a float depend on how many rows are decoded together, so that a tie may be broken otherwise: texts may
then differ, and are counted apart from readings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, read_rows
from longstep.types import Completion, Problem

HARNESS = "lm-eval[api]==0.4.13"
MAX_TOKENS = 200
RECIPE = """
name: harness
stages:
  scores:
    kind: evaluate
    models: {{model: {model}}}
    benchmarks: [{{name: chains, source: {{kind: chain, count: {count}, difficulty: [1, 4], split: heldout}}}}]
    samples: 1
    temperature: 0
    max_tokens: {tokens}
"""
TASK = {
    "task": "longstep_chains",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {
        "until": [],
        "do_sample": False,
        "temperature": 0.0,
        "max_gen_toks": MAX_TOKENS,
    },
    "filter_list": [
        {
            "name": "boxed",
            "filter": [
                {
                    "function": "regex",
                    "regex_pattern": r"\\boxed\{([^{}]*)\}",
                    "group_select": -1,
                },
                {"function": "take_first"},
            ],
        }
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def main() -> None:
    """Run both and print the comparison; ends with 1 when an answer is judged otherwise."""
    parser = argparse.ArgumentParser(description="lm-eval against longstep serve.")
    parser.add_argument("--model", default="longstep-tiny")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--concurrent", type=int, default=8)
    parser.add_argument("--environment", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longstep-harness-") as scratch:
        folder = Path(scratch)
        python = harness(arguments.environment or folder / "environment")
        scores = evaluated(folder, arguments.model, arguments.count)
        with served(arguments.model) as url:
            samples = judged(python, folder, url, arguments.model, arguments.concurrent)
        sys.exit(compare(scores, samples))


def harness(environment: Path) -> str:
    """The Python of an environment that has the harness."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", HARNESS], check=True)
    return str(python)


def evaluated(folder: Path, model: str, count: int) -> Path:
    """Draw and score with ``longstep``; gives the stored evaluation."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(model=model, count=count, tokens=MAX_TOKENS), encoding="utf-8")
    longstep = [sys.executable, "-m", "longstep"]
    subprocess.run([*longstep, "run", str(recipe), "--out", str(folder / "run")], check=True)
    return folder / "run" / "scores" / "out"


@contextmanager
def served(model: str) -> Iterator[str]:
    """``longstep serve`` on a free port."""
    command = [sys.executable, "-m", "longstep", "serve", model, "--model", "served", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.strip() for line in server.stdout if line.startswith("http"))
        finally:
            server.terminate()


def judged(
    python: str, folder: Path, url: str, model: str, concurrent: int
) -> dict[str, dict[str, Any]]:
    """Run the harness on the stored problems; gives its samples by problem."""
    data = folder / "run" / "scores" / "out" / "problems" / "chains.jsonl"
    task = {**TASK, "dataset_kwargs": {"data_files": {"test": str(data)}}}
    (folder / "tasks").mkdir()
    (folder / "tasks" / "chains.yaml").write_text(
        json.dumps(task), encoding="utf-8"
    )  # JSON is YAML
    settings = {
        "model": "served",
        "base_url": f"{url}/chat/completions",
        "num_concurrent": str(concurrent),
        "max_retries": "1",
    }
    command = [python, "-m", "lm_eval", "run", "--model", "local-chat-completions"]
    command += ["--model_args", ",".join(f"{key}={value}" for key, value in settings.items())]
    command += ["--tasks", "longstep_chains", "--include_path", str(folder / "tasks")]
    command += ["--apply_chat_template", "--log_samples", "--output_path", str(folder / "harness")]
    hidden = {name: each for name, each in os.environ.items() if name != "PYTHONPATH"}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    subprocess.run(command, check=True, cwd=folder, env={**hidden, **offline})
    [file] = (folder / "harness").rglob("samples_*.jsonl")
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["doc"]["id"]: row for row in rows}


def compare(scores: Path, samples: dict[str, dict[str, Any]]) -> int:
    """Print both accuracies and every difference; gives 1 if a verdict differs."""
    problems = {row.id: row for row in read_rows(scores / "problems" / "chains.jsonl", Problem)}
    ours = list(read_rows(scores / "completions" / "model" / "chains.jsonl", Completion))
    assert {row.problem_id for row in ours} == problems.keys() == samples.keys()
    count: Counter[str] = Counter()
    for row in ours:
        theirs = samples[row.problem_id]
        assert row.verdict is not None
        right, text = row.verdict.status == "correct", theirs["resps"][0][0]
        differs = {
            "text": text != row.text,
            "verdict": right != (theirs["exact_match"] == 1),
        }
        count["ours right"] += right
        count["theirs right"] += int(theirs["exact_match"] == 1)
        count["ours unfinished"] += row.finish_reason == "length"
        for what in (name for name, is_so in differs.items() if is_so):
            count[f"{what} differs"] += 1
            problem = problems[row.problem_id]
            print(f"{what}: {problem.prompt} = {problem.answer}\n  {row.text!r}\n  {text!r}")
    total = len(ours)
    stored = read_json(scores / "results.json")["models"]["model"]["chains"]["all"]["avg"]["value"]
    print(f"{total} problems, {count['ours unfinished']} answers cut at {MAX_TOKENS} tokens")
    print(f"longstep eval  {count['ours right']} right, {stored:.4f}")
    print(f"{HARNESS}  {count['theirs right']} right, {count['theirs right'] / total:.4f}")
    print(
        f"texts that differ {count['text differs']}, verdicts that differ {count['verdict differs']}"
    )
    return int(count["verdict differs"] > 0)


if __name__ == "__main__":
    main()
