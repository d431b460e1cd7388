"""``longstep card``: a model's card with what only the finished run knows: the scores, their protocol, and the ledger.

The card inside of the artifact cannot hold them: it is sealed before anything is evaluated, and holds no time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, read_manifest
from longstep.config import Located, UserError, validate
from longstep.context import Cost
from longstep.models.origin import CARD
from longstep.report.collect import collect
from longstep.report.scores import Score, Scores, cell_text, column_name
from longstep.run.recipe import Recipe

_TOKENS = "tokens_"


def whole_card(run: Path, stage: str) -> str:
    """The card of a finished stage, with scores and ledger.

    Raises:
        UserError: the folder is no run, the stage is unfinished or makes no model.
    """
    if not (run / "run.json").is_file():
        raise UserError(f"{run}: not a run folder (no run.json)")
    recipe = validate(Recipe, Located(read_json(run / "run.json")["recipe"]))
    needed = recipe.needed_for([stage])
    path = run / stage / "out" / CARD
    if recipe.stages[stage].produces != "model" or not path.is_file():
        models = [name for name, each in recipe.stages.items() if each.produces == "model"]
        raise UserError(
            f"{run}: stage {stage} has no card; expected a finished stage that makes a model ({', '.join(models)})"
        )
    spent = {name: (read_manifest(run / name) or {}).get("cost", {}) for name in needed}
    scores = list(_scores(collect(run).scores, stage))
    parts = [path.read_text("utf-8").rstrip("\n"), *scores, "## Ledger", "\n".join(_ledger(spent))]
    return "\n\n".join(parts) + "\n"


def _scores(found: Sequence[Scores], stage: str) -> Iterator[str]:
    for scores in found:
        for model in [name for name, made_by in scores.origins.items() if made_by == stage]:
            rows = [
                _score_row(column_name(column), scores.cells[model, column])
                for column in scores.columns
                if (model, column) in scores.cells
            ]
            head = (
                "| benchmark | problems | average, 95 % interval | all of k right once | majority |"
            )
            yield f"## Scores, by stage `{scores.stage}`"
            yield "\n".join([head, "|---|---|---|---|---|", *rows])
            yield "\n".join(f"* {line}" for line in scores.protocol)
            if any(score.often_cut for score in scores.cells.values()):
                yield "\\* more than 5 % of the answers were cut, so this measures the token limit too."


def _score_row(name: str, score: Score) -> str:
    def last(values: Sequence[tuple[int, Any]], word: str) -> str:
        return f"{word}@{values[-1][0]} {100 * values[-1][1].value:.1f}" if values else "-"

    average = cell_text(score).replace("*", "\\*")
    cells = (
        f"avg@{score.samples} {average}",
        last(score.passes, "pass"),
        last(score.majority, "maj"),
    )
    return f"| {name} | {score.problems} | {' | '.join(cells)} |"


def _ledger(spent: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Every stage on the way by purpose; guided, probe and discarded tokens are among the generated ones."""
    purposes = [
        each.name
        for each in fields(Cost)
        if each.name.startswith(_TOKENS) and any(cost.get(each.name) for cost in spent.values())
    ]
    named = [purpose.removeprefix(_TOKENS) for purpose in purposes]
    yield f"| stage | seconds | {' | '.join(f'tokens {name}' for name in named)} |"
    yield "|---" * (2 + len(named)) + "|"
    for name, cost in spent.items():
        yield _ledger_row(f"`{name}`", cost, purposes)
    whole = {
        key: sum(cost.get(key) or 0 for cost in spent.values()) for key in ("seconds", *purposes)
    }
    yield _ledger_row("all", whole, purposes)


def _ledger_row(name: str, cost: Mapping[str, Any], purposes: Sequence[str]) -> str:
    tokens = [f"{cost.get(key) or 0:,}" for key in purposes]
    seconds = f"{cost.get('seconds') or 0:,.0f}"
    return f"| {' | '.join([name, seconds, *tokens])} |"
