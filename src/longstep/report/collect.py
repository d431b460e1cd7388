"""A run folder as frozen facts: what the page shows, whatever state the run is in.

Nothing here trusts the folder: a stage may be missing, unfinished or damaged, and any text may be
hostile. Names found inside files never become paths; files are found by listing folders.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.report.blocks import Block, read_blocks
from longstep.report.completions import Lengths, Trace, read_completions, shorten
from longstep.report.curves import Curve, read_curves
from longstep.report.read import Reader, mapping, number, sequence, words
from longstep.report.scores import Scores, read_scores
from longstep.report.steering import Steering, read_steering

COMMANDS = "commands.jsonl"
_STAGE_NAME = re.compile(r"\w[\w.-]{0,99}")
_MASK_ROWS = 3
_MASK_TOKENS = 700


@dataclass(frozen=True, slots=True)
class Cost:
    """What a finished stage cost; ``None`` where the manifest does not say.

    ``peak_memory_mb`` is the stage's own; of runs older than that, and where the system cannot tell, it is unknown.
    """

    seconds: float | None
    tokens_trained: float | None
    tokens_generated: float | None
    peak_memory_mb: float | None
    peak_accelerator_mb: float | None


@dataclass(frozen=True, slots=True)
class Command:
    """One command that worked in the run folder: when (UTC), where, with what."""

    when: str
    command: str
    cwd: str
    host: str
    system: str
    versions: str


@dataclass(frozen=True, slots=True)
class HealthNote:
    """A health rule that fired, folded over the steps at which it did."""

    stage: str
    level: str
    rule: str
    cause: str
    remedy: str
    count: int
    first_step: str
    last_step: str


@dataclass(frozen=True, slots=True)
class MaskSample:
    """One training row as runs of text, each trained on or not."""

    pieces: tuple[tuple[str, bool], ...]
    trained: int
    total: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: its name in the recipe.
        kind: its kind, empty when unknown.
        state: ``finished``, ``unfinished`` (started, no manifest) or ``not run``.
        makes: the artifact it makes: ``model``, ``rows``, ``report``, or empty when nobody said.
        fingerprint: first characters of the fingerprint of config, inputs and code.
        cost: what it cost.
        curves: learning curves.
        more_metrics: names of recorded metrics that are not drawn.
        not_finite: how many values of drawn metrics were not finite numbers.
        blocks: what the stage shows of itself.
        masks: sample training rows with the loss mask.
        lengths: answer lengths for each model and benchmark.
        traces: sample answers.
        steering: what a contrast stage found.
    """

    name: str
    kind: str
    state: str
    makes: str
    fingerprint: str
    cost: Cost
    curves: tuple[Curve, ...]
    more_metrics: tuple[str, ...]
    not_finite: int
    blocks: tuple[Block, ...]
    masks: tuple[MaskSample, ...]
    lengths: tuple[Lengths, ...]
    traces: tuple[Trace, ...]
    steering: Steering | None


@dataclass(frozen=True, slots=True)
class Run:
    """Everything the page says about one run; ``notes`` say what could not be read."""

    name: str
    facts: tuple[tuple[str, str], ...]
    commands: tuple[Command, ...]
    differs: tuple[str, ...]
    stages: tuple[Stage, ...]
    scores: tuple[Scores, ...]
    health: tuple[HealthNote, ...]
    notes: tuple[str, ...]


def collect(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UserError: the folder holds no run.
    """
    reader = Reader(folder)
    if not reader.exists(folder / "run.json"):
        raise UserError(f"{folder}: no run.json, so this is not a run folder; expected runs/<name>")
    run = reader.object(folder / "run.json")
    if "makes" not in run:
        reader.notes.append(
            "run.json: does not say what each stage makes, so an older longstep wrote it; what stages show of "
            "themselves and models without a score are left out here: report the run with the version that ran it"
        )
    order = _stage_order(reader, run)
    scores = []
    for name in order:
        results = reader.object(folder / name / "out" / "results.json")
        if "models" in results:
            config = reader.object(folder / name / "config.json")
            scores.append(read_scores(words(name), results, _origins(config)))
    return Run(
        name=words(run.get("name")) or words(folder.name),
        facts=tuple(_facts(run)),
        commands=tuple(map(_command, reader.rows(folder / COMMANDS))),
        differs=tuple(words(entry) for entry in sequence(run.get("differs"))),
        stages=tuple(_stage(reader, name, run) for name in order),
        scores=tuple(scores),
        health=tuple(note for name in order for note in _health(reader, name)),
        notes=tuple(dict.fromkeys(reader.notes)),
    )


def _facts(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("recipe", "files", "overrides", "seed", "version", "code"):
        value = run.get(key)
        if isinstance(value, list):
            value = ", ".join(map(words, value))
        if value not in (None, "") and not isinstance(value, dict):
            yield key, words(value)


def _command(row: Mapping[str, Any]) -> Command:
    began, versions = number(row.get("time")), mapping(row.get("versions"))
    whole = {key: words(row.get(key)) for key in ("command", "cwd", "host", "system")}
    return Command(
        when="" if began is None else _moment(began),
        versions=", ".join(f"{words(name)} {words(found)}" for name, found in versions.items()),
        **whole,
    )


def began(reader: Reader) -> str:
    """When the first command worked in a run folder; empty where nobody wrote that down."""
    return next((_command(row).when for row in reader.rows(reader.root / COMMANDS)), "")


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""


def _stage_order(reader: Reader, run: Mapping[str, Any]) -> tuple[str, ...]:
    """Stages in the order of the recipe, then folders that it does not name."""
    declared = [*sequence(run.get("stages")), *mapping(mapping(run.get("recipe")).get("stages"))]
    folders = (path.parent.name for path in sorted(reader.root.glob("*/config.json")))
    names = dict.fromkeys([*filter(_is_stage_name, declared), *filter(_is_stage_name, folders)])
    return tuple(names)


def _is_stage_name(name: object) -> bool:
    """A stage name is a folder name; anything else in a file is no stage."""
    return isinstance(name, str) and _STAGE_NAME.fullmatch(name) is not None


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The stage's own settings inside of its ``config.json``."""
    return mapping(mapping(config.get("parts")).get("config"))


def _origins(config: Mapping[str, Any]) -> dict[str, str]:
    """The stage that made each evaluated model, as far as it is one of this run."""
    models = mapping(_settings(config).get("models"))
    references = ((words(name), words(model)) for name, model in models.items())
    return {name: model[1:] for name, model in references if model.startswith("@")}


def _stage(reader: Reader, name: str, run: Mapping[str, Any]) -> Stage:
    folder = reader.root / name
    declared = mapping(mapping(mapping(run.get("recipe")).get("stages")).get(name))
    config, manifest = (
        reader.object(folder / "config.json"),
        reader.object(folder / "manifest.json"),
    )
    curves, more, not_finite = read_curves(reader.rows(folder / "metrics.jsonl"))
    lengths, traces = _answers(reader, name)
    kind = words(manifest.get("kind") or config.get("kind") or declared.get("kind"))
    return Stage(
        name=words(name),
        kind=kind,
        state="finished" if manifest else "unfinished" if config else "not run",
        makes=words(mapping(run.get("makes")).get(name)),
        fingerprint=words(manifest.get("fingerprint"))[:12],
        cost=_cost(mapping(manifest.get("cost"))),
        curves=curves,
        more_metrics=tuple(map(words, more)),
        not_finite=not_finite,
        blocks=read_blocks(reader, folder),
        masks=_masks(reader, folder / "masks.jsonl"),
        lengths=lengths,
        traces=traces,
        steering=read_steering(reader, folder),
    )


def _cost(entry: Mapping[str, Any]) -> Cost:
    return Cost(
        seconds=number(entry.get("seconds")),
        tokens_trained=number(entry.get("tokens_trained")),
        tokens_generated=number(entry.get("tokens_generated")),
        peak_memory_mb=number(entry.get("peak_memory_mb")),
        peak_accelerator_mb=number(entry.get("peak_accelerator_mb")),
    )


def _answers(reader: Reader, name: str) -> tuple[tuple[Lengths, ...], tuple[Trace, ...]]:
    out = reader.root / name / "out"
    found = [
        read_completions(
            reader, path, out / "problems" / path.name, words(path.parent.name), words(path.stem)
        )
        for path in sorted((out / "completions").glob("*/*.jsonl"))
    ]
    if reader.exists(out / "completions.jsonl"):
        found.append(
            read_completions(
                reader, out / "completions.jsonl", out / "problems.jsonl", words(name), ""
            )
        )
    return tuple(lengths for lengths, _ in found), tuple(
        trace for _, traces in found for trace in traces
    )


def _masks(reader: Reader, path: Path) -> tuple[MaskSample, ...]:
    samples = []
    for row in reader.rows(path):
        tokens, mask = sequence(row.get("tokens")), sequence(row.get("mask"))
        if len(samples) < _MASK_ROWS and tokens and len(tokens) == len(mask):
            samples.append(
                _mask_sample([words(token) for token in tokens], [bool(bit) for bit in mask])
            )
    return tuple(samples)


def _mask_sample(tokens: list[str], mask: list[bool]) -> MaskSample:
    pieces: list[tuple[str, bool]] = []
    for token, trained in zip(tokens[:_MASK_TOKENS], mask, strict=False):
        if pieces and pieces[-1][1] == trained:
            pieces[-1] = (pieces[-1][0] + token, trained)
        else:
            pieces.append((token, trained))
    return MaskSample(tuple(pieces), sum(mask), len(tokens), max(0, len(tokens) - _MASK_TOKENS))


def _health(reader: Reader, name: str) -> Iterator[HealthNote]:
    """One note for each rule of a stage, however often it fired."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    last: dict[tuple[str, str], str] = {}
    fired: Counter[tuple[str, str]] = Counter()
    for row in reader.rows(reader.root / name / "health.jsonl"):
        key = words(row.get("level")), words(row.get("rule"))
        first.setdefault(key, row)
        last[key] = words(row.get("step"))
        fired[key] += 1
    for key, row in first.items():
        yield HealthNote(
            stage=words(name),
            level=key[0],
            rule=key[1],
            cause=shorten(words(row.get("cause")), 800),
            remedy=shorten(words(row.get("remedy")), 800),
            count=fired[key],
            first_step=words(row.get("step")),
            last_step=last[key],
        )
