"""The model card: what a model folder was made from, by which stage, with which settings, and under which licence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import longstep
from longstep.artifacts import write_bytes
from longstep.config import Strict, dump
from longstep.context import Context
from longstep.models.origin import CARD, TAG, Ancestor, License, published, together
from longstep.workfolder import settled

TEXT = """---
library_name: {library}
{front}
tags: [{tag}, reasoning]
---

# {name}

Made by longstep {version}, stage `{name}` ({kind}), from {parents}.

Licence: {licence}

{load} and use its chat template: the generation prompt ends with a
forced `<think>`; pass `enable_thinking=False` to switch thinking off where the template supports it.

Scores with their protocol, and what the whole way to it cost: `longstep card RUN {name}`.

## Settings

```json
{settings}
```
{facts}"""
LOAD = "Load it with `AutoModelForCausalLM.from_pretrained`"
#: What the hub calls a model that is laid over its base.
ADAPTER = "adapter"
LOAD_ADAPTER = "An adapter: load its base, lay it over with `PeftModel.from_pretrained`"


@dataclass(frozen=True)
class Made:
    """What a card says beside the settings.

    Attributes:
        parents: the models it was made from, as the recipe names them.
        facts: one line each.
        relation: to the base models, as the hub calls it.
    """

    parents: Sequence[str]
    facts: Mapping[str, object] = field(default_factory=dict)
    relation: str = "finetune"


def write_card(out: Path, context: Context, config: Strict, made: Made) -> None:
    """Write ``README.md`` into a model folder.

    It holds no date, no time and no setting that may change on the way, so that equal runs give equal files. Its
    licence is the base's or unknown: nothing that is trained on a model is freer than the model.
    """
    bases = list(dict.fromkeys(each for parent in made.parents for each in context.origins(parent)))
    licence = together(bases)
    facts = {**made.facts, **_tokens(context), "data": ", ".join(context.datasets)}
    lines = "".join(f"\n* {key}: {value}" for key, value in facts.items() if value != "")
    text = TEXT.format(
        front="\n".join(_front(licence, bases, context.datasets, made.relation)),
        library="peft" if made.relation == ADAPTER else "transformers",
        load=LOAD_ADAPTER if made.relation == ADAPTER else LOAD,
        tag=TAG,
        name=context.name,
        version=longstep.__version__,
        kind=dump(config)["kind"],
        parents=_parents(context, made.parents) or "random weights",
        licence=_about(licence, bases),
        settings=json.dumps(settled(config), indent=1, sort_keys=True),
        facts=f"\n## Facts\n{lines}\n" if lines else "",
    )
    write_bytes(out / CARD, text.encode())


def _parents(context: Context, parents: Sequence[str]) -> str:
    """``@base`` means nothing outside of its recipe, so what it goes back to stands beside it."""
    return ", ".join(
        f"`{parent}` ({' and '.join(sorted({each.model for each in context.origins(parent)}))})"
        for parent in parents
    )


def _front(
    licence: License, bases: Sequence[Ancestor], datasets: Sequence[str], relation: str
) -> list[str]:
    """The lines that the hub reads; a name is quoted as JSON, which YAML reads too."""
    lines = [f"license: {json.dumps(licence.id)}"]
    lines += [f"license_name: {json.dumps(licence.name)}"] if licence.name else []
    lines += [f"license_link: {json.dumps(licence.link)}"] if licence.link else []
    if bases:
        lines.append(f"base_model: {json.dumps(sorted({each.model for each in bases}))}")
        lines.append(f"base_model_relation: {relation}")
    if named := [each for each in datasets if published(each)]:
        lines.append(f"datasets: {json.dumps(named)}")
    return lines


def _about(licence: License, bases: Sequence[Ancestor]) -> str:
    if not bases:
        return "unknown; the weights were random, so it is yours to choose, as far as the data leaves you the choice."
    said = "; ".join(sorted(f"{each.model}: {each.license.told}" for each in bases))
    if licence == License():
        return f"unknown ({said}). Find out what holds before you pass this model on."
    if len({each.license for each in bases}) > 1:
        return f"several hold ({said}). Find out what they allow together before you pass this model on."
    return f"that of the base ({said})."


def _tokens(context: Context) -> dict[str, str]:
    """What the stage itself spent, by purpose."""
    spent = {
        name.removeprefix("tokens_"): number
        for name, number in vars(context.cost).items()
        if number
    }
    if not spent:
        return {}
    return {"tokens": ", ".join(f"{number:,} {purpose}" for purpose, number in spent.items())}
