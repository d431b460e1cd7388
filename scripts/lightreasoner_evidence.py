"""The miniature of LightReasoner over seeds: reads evidence runs and prints scores, claims, costs and the gap.

    for seed in 11 12 13 14 15; do
        longstep run lightreasoner --size tiny+evidence seed=$seed --out runs/lr-evidence-$seed
    done
    python scripts/lightreasoner_evidence.py runs/lr-evidence-*

A claim holds as in scripts/evidence.py: 4 of 5 seeds agree and the 95 % interval over problems and seeds excludes 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from evidence import table

from longstep.artifacts import read_json, read_rows
from longstep.evaluate.seeds import crossed_interval
from longstep.types import Completion, Problem

#: (claim, better arm, other arm)
CLAIMS = [
    ("contrast + gate above the expert", "tuned", "expert"),
    ("contrast above no contrast (one-hot) at the gate", "tuned", "t_one_hot"),
    ("contrast above sharpening (no amateur in the target) at the gate", "tuned", "t_sharpen"),
    ("contrast at the gate above contrast at random positions", "tuned", "t_random"),
    ("contrast at the gate above contrast everywhere", "tuned", "t_all"),
    ("sharpening everywhere (no amateur at all) above the expert", "t_sharpen_all", "expert"),
    ("sharpening at the gate above the expert", "t_sharpen", "expert"),
    ("one-hot at the gate above the expert", "t_one_hot", "expert"),
    ("amateur smaller and weak above amateur equal", "tuned", "t_equal"),
    ("amateur an early checkpoint above amateur equal", "t_early", "t_equal"),
    ("an equal amateur does not help (expert above it)", "expert", "t_equal"),
    ("a stronger amateur does harm (expert above it)", "expert", "t_stronger"),
    ("contrast above rejection sampling, equal tuned tokens", "tuned", "rft_tokens"),
    ("contrast above rejection sampling, equal steps and about equal time", "tuned", "rft_steps"),
    ("contrast above rejection sampling, about equal forward tokens", "tuned", "rft_time"),
    (
        "contrast above rejection sampling, full budget (19 % more forward tokens)",
        "tuned",
        "rft_full",
    ),
    ("rows per step: right place above the padding (defect 3.4.1)", "t_step", "t_padding"),
    ("rollouts of 80 tokens above 32", "tuned", "t_32"),
    ("rollouts of 80 tokens above 16", "tuned", "t_16"),
]
#: arm -> its contrast stage
CONTRASTS = {
    "tuned": "contrast", "t_random": "c_random", "t_all": "c_all", "t_one_hot": "c_one_hot",
    "t_sharpen": "c_sharpen", "t_sharpen_all": "c_sharpen_all", "t_early": "c_early",
    "t_equal": "c_equal", "t_stronger": "c_stronger", "t_16": "c_16", "t_32": "c_32",
    "t_step": "contrast", "t_padding": "contrast",
}  # fmt: skip
#: Tokens of the chat format around a question of the tiny models.
PROMPT_MARKUP = 3
AMATEURS = {"weak": "tuned", "early": "t_early", "equal": "t_equal", "stronger": "t_stronger"}


def correctness(run: Path, model: str, benchmark: str) -> np.ndarray:
    """Mean correctness by problem, in the order of the stored problems."""
    out = run / "scores" / "out"
    wanted = [p.id for p in read_rows(out / "problems" / f"{benchmark}.jsonl", Problem)]
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for row in read_rows(out / "completions" / model / f"{benchmark}.jsonl", Completion):
        assert row.verdict is not None and row.verdict.correctness is not None
        found[row.problem_id].append(row.verdict.correctness)
    return np.array([np.mean(found[name]) for name in wanted])


class Scores:
    """Correctness by seed and problem, read once."""

    def __init__(self, runs: list[Path]) -> None:
        self.runs = runs
        self._read: dict[tuple[str, str], np.ndarray] = {}

    def __call__(self, model: str, benchmark: str = "chain") -> np.ndarray:
        """Array [S, P]."""
        key = model, benchmark
        if key not in self._read:
            self._read[key] = np.stack([correctness(run, model, benchmark) for run in self.runs])
        return self._read[key]


def score_table(scores: Scores) -> str:
    models = read_json(scores.runs[0] / "scores" / "out" / "protocol.json")["models"]
    rows = [["arm", "avg@16, T 0.6", "greedy", "per seed (avg@16)"]]
    for model in models:
        cells = [model]
        for benchmark in ("chain", "chain-greedy"):
            values_SP = scores(model, benchmark)
            low, high = crossed_interval(values_SP)
            cells.append(f"{100 * values_SP.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        cells.append(" ".join(f"{100 * value:.1f}" for value in scores(model).mean(1)))
        rows.append(cells)
    return table(rows)


def claim_table(scores: Scores) -> str:
    rows = [["claim", "difference, T 0.6", "seeds", "verdict", "difference, greedy", "verdict"]]
    for claim, better, other in CLAIMS:
        cells = [claim]
        for benchmark in ("chain", "chain-greedy"):
            values_SP = scores(better, benchmark) - scores(other, benchmark)
            low, high = crossed_interval(values_SP)
            agree, seeds = int((values_SP.mean(1) > 0).sum()), len(values_SP)
            held = low > 0 and agree >= 0.8 * seeds
            verdict = "holds" if held else "reversed" if high < 0 else "null"
            cells.append(f"{100 * values_SP.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
            cells += [f"{agree} of {seeds}", verdict] if benchmark == "chain" else [verdict]
        rows.append(cells)
    return table(rows)


def cost_table(runs: list[Path]) -> str:
    """The paper's efficiency table: seconds, sampled problems, tuned tokens and forward tokens, means over seeds."""
    rows = [["arm", "seconds", "sampled problems", "tuned tokens", "forward tokens"]]
    for arm in [*CONTRASTS, "rft_tokens", "rft_steps", "rft_time", "rft_full"]:
        made = np.mean([_cost(run, arm) for run in runs], axis=0)
        rows.append([arm, f"{made[0]:.1f}", *(f"{value:,.0f}" for value in made[1:])])
    return table(rows)


def _cost(run: Path, arm: str) -> list[float]:
    trained = read_json(run / arm / "manifest.json")["cost"]
    if arm in CONTRASTS:
        stage = CONTRASTS[arm]
        facts = read_json(run / stage / "out" / "contrast.json")
        card = (run / arm / "out" / "README.md").read_text("utf-8")
        tuned = float(card.split("positions trained: ")[1].split("\n")[0])
        sampled = facts["rollouts"], facts["forward_tokens"]
    else:
        stage = "right"
        rows = list(read_rows(run / "right" / "out" / "completions.jsonl", Completion))
        share = sum(len(r.token_ids) for r in rows) / sum(
            len(r.token_ids) + len(r.prompt_ids) for r in rows
        )
        tuned = trained["tokens_trained"] * share
        questions = len(list(read_rows(run / "right" / "out" / "problems.jsonl", Problem)))
        # The prompts of all questions were read too; a generated chain has one token per character.
        asked = read_rows(run / "right" / "out" / "problems.jsonl", Problem)
        prompts = sum(len(problem.prompt) + PROMPT_MARKUP for problem in asked)
        drawn = prompts + read_json(run / "right" / "manifest.json")["cost"]["tokens_generated"]
        sampled = questions, drawn
    seconds = trained["seconds"] + read_json(run / stage / "manifest.json")["cost"]["seconds"]
    return [seconds, sampled[0], tuned, sampled[1] + trained["tokens_trained"]]


def gap_table(scores: Scores) -> str:
    """The paper's Figure 4: expertise gap against gain, and the share of positions that pass the gate."""
    rows = [["amateur", "gap (points)", "gain (points)", "kept", "agreement", "KL apart / agreed"]]
    for amateur, arm in AMATEURS.items():
        gap = 100 * (scores("expert") - scores(amateur)).mean()
        gain = 100 * (scores(arm) - scores("expert")).mean()
        facts = [read_json(r / CONTRASTS[arm] / "out" / "contrast.json") for r in scores.runs]
        mean = {
            k: np.mean([f[k] for f in facts])
            for k in ("kept_share", "agreement", "kl_when_apart", "kl_when_agreed")
        }
        rows.append(
            [
                amateur, f"{gap:+.1f}", f"{gain:+.1f}", f"{mean['kept_share']:.1%}",
                f"{mean['agreement']:.1%}", f"{mean['kl_when_apart']:.2f} / {mean['kl_when_agreed']:.3f}",
            ]
        )  # fmt: skip
    return table(rows)


def histogram(runs: list[Path]) -> str:
    facts = [read_json(run / "contrast" / "out" / "contrast.json") for run in runs]
    counts = np.sum([f["kl_histogram"] for f in facts], axis=0)
    edges = ["0", *(f"{edge:g}" for edge in facts[0]["kl_edges"]), "inf"]
    rows = [["KL (nats)", "share of positions"]]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        rows.append([f"{low} to {high}", f"{count / counts.sum():.1%}"])
    return table(rows)


def drift_table(runs: list[Path]) -> str:
    """Perplexity on the expert's rollouts and repetition, from the cards."""
    rows = [["arm", "perplexity, before -> after (means)", "repeated 4-grams"]]
    for arm in CONTRASTS:
        cards = [(run / arm / "out" / "README.md").read_text("utf-8") for run in runs]
        lines = [
            [
                card.split(f"{key}: ")[1].split("\n")[0].split(" -> ")
                for card in cards
                if key in card
            ]
            for key in ("perplexity on the expert's rollouts", "repeated 4-grams")
        ]
        if all(lines):
            means = [np.mean(np.array(each, float), axis=0) for each in lines]
            rows.append([arm, *(f"{m[0]:.3f} -> {m[1]:.3f}" for m in means)])
    return table(rows)


def main() -> None:
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    scores = Scores(runs)
    parts = [score_table(scores), claim_table(scores), cost_table(runs), gap_table(scores)]
    parts += [histogram(runs)]
    if "repeated 4-grams" in (runs[0] / "tuned" / "out" / "README.md").read_text("utf-8"):
        parts += [drift_table(runs)]
    sys.stdout.write("\n\n".join(parts) + "\n")
    facts = {str(run): read_json(run / "run.json")["recipe"]["seed"] for run in runs}
    sys.stdout.write(f"\n{json.dumps(facts)}\n")


if __name__ == "__main__":
    main()
