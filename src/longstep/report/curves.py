"""Learning curves from ``metrics.jsonl``, in bounded memory however long the run was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from longstep.report.read import number

_POINTS = 240


@dataclass(frozen=True, slots=True)
class Panel:
    """One small plot: a title and, for each line in it, the metric names that may carry it."""

    title: str
    lines: Mapping[str, tuple[str, ...]]


#: A panel with a line for each name that a run gives: metric prefix -> title.
_VALUES = "value of each category"
_PREFIXES = {"curriculum/value/": _VALUES}

#: Drawn in this order; a panel without data is not drawn. Names cover longstep's own and TRL's.
PANELS = (
    Panel("loss", {"training": ("loss", "train_loss"), "held-out": ("eval_loss",)}),
    Panel("reward", {"reward": ("reward",)}),
    Panel("share correct", {"correct": ("correct",)}),
    Panel("completion length (tokens)", {"mean": ("mean_length", "completions/mean_length")}),
    Panel(
        "share cut at the length limit", {"cut": ("truncated_share", "completions/clipped_ratio")}
    ),
    Panel(
        "groups without signal",
        {
            "all": ("zero_variance_share", "frac_reward_zero_std"),
            "all right": ("all_right_share",),
            "all wrong": ("all_wrong_share",),
            "not scorable": ("unscorable_group_share",),
        },
    ),
    Panel("groups that teach", {"groups": ("effective_groups",)}),
    Panel(
        "answers that carry the gradient, as so many equal ones",
        {"answers": ("effective_answers",)},
    ),
    Panel(
        "what the curriculum aims at",
        {"target": ("curriculum/target",), "picked": ("curriculum/picked",)},
    ),
    Panel("pairs in another order than rated (NIR)", {"NIR": ("curriculum/nir",)}),
    Panel(
        "problems the curriculum leaves out",
        {"skipped": ("curriculum/skipped",), "retired": ("curriculum/retired",)},
    ),
    Panel(_VALUES, {}),
    Panel(
        "tokens drawn, by purpose",
        {
            "trained": ("tokens/trained",),
            "discarded": ("tokens/discarded",),
            "probe": ("tokens/probe",),
            "guided": ("tokens/guided",),
        },
    ),
    Panel(
        "log-probability of the pair",
        {"chosen": ("logps/chosen",), "rejected": ("logps/rejected",)},
    ),
    Panel("pairs in the right order", {"share": ("rewards/accuracies",)}),
    Panel("reward margin of the pair", {"margin": ("rewards/margins",)}),
    Panel(
        "entropy",
        {
            "entropy": ("entropy",),
            "of right answers": ("entropy_right",),
            "of wrong answers": ("entropy_wrong",),
            "of first halves": ("entropy_early",),
            "of second halves": ("entropy_late",),
        },
    ),
    Panel("what entropy earns", {"coefficient": ("entropy_coefficient",)}),
    Panel("loss of the critic", {"loss": ("value_loss",)}),
    Panel("variance the critic explains", {"share": ("explained_variance",)}),
    Panel("KL to the reference", {"KL": ("kl",)}),
    Panel("next-token accuracy", {"accuracy": ("mean_token_accuracy",)}),
    Panel("gradient norm", {"norm": ("grad_norm",)}),
    Panel("learning rate", {"rate": ("learning_rate",)}),
)
_PLACE = {
    key: (panel.title, line)
    for panel in PANELS
    for line, keys in panel.lines.items()
    for key in keys
}
_NOT_METRICS = {"step", "seconds", "time", "epoch"}


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of one panel.

    Attributes:
        panel: title of its `Panel`.
        line: its name in the panel.
        steps: where, one entry a point.
        values: what; each point is a mean over ``every`` consecutive records.
        every: how many records a point stands for.
    """

    panel: str
    line: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    every: int


class Thinner:
    """Keeps a stream as at most ``limit`` means of equally many consecutive records.

    When full, neighbours are averaged and every later point stands for twice as many records.
    A last, incomplete group is kept as its own mean, so the end of the curve is never lost.
    """

    def __init__(self, limit: int = _POINTS) -> None:
        """Keep at most ``limit`` points (an even number)."""
        if limit < 2 or limit % 2:
            raise ValueError(f"limit must be an even number >= 2, got {limit}")
        self.every = 1
        self._limit = limit
        self._points: list[tuple[float, float]] = []
        self._pending: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Add one record."""
        self._pending.append((step, value))
        if len(self._pending) < self.every:
            return
        self._points.append(_mean(self._pending))
        self._pending = []
        if len(self._points) == self._limit:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [_mean(pair) for pair in pairs]
            self.every *= 2

    def points(self) -> list[tuple[float, float]]:
        """The (step, value) means so far."""
        return self._points + ([_mean(self._pending)] if self._pending else [])


def _mean(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    steps, values = zip(*points, strict=True)
    return sum(steps) / len(steps), sum(values) / len(values)


def read_curves(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[tuple[Curve, ...], tuple[str, ...], int]:
    """Curves of one stage.

    Args:
        rows: metric records in the order they were written.

    Returns:
        The curves, the names of further numeric metrics that no panel shows, and how many values of
        shown metrics were not finite numbers (a NaN loss must not vanish silently).
    """
    kept: dict[str, Thinner] = {}
    others: set[str] = set()
    bad = 0
    for place, row in enumerate(rows):
        step = number(row.get("step"))
        for key, raw in row.items():
            value = number(raw)
            if _place(key) is None:
                if value is not None and key not in _NOT_METRICS:
                    others.add(key)
            elif value is None:  # a trainer's NaN is written as null
                bad += 1
            else:
                kept.setdefault(key, Thinner()).add(place if step is None else step, value)
    ordered = [key for key in _PLACE if key in kept] + [key for key in kept if key not in _PLACE]
    curves = (_curve(key, kept[key]) for key in ordered)
    return tuple(curves), tuple(sorted(others)), bad


def _place(key: str) -> tuple[str, str] | None:
    """Panel and line of a metric."""
    for prefix, panel in _PREFIXES.items():
        if key.startswith(prefix):
            return panel, key.removeprefix(prefix)
    return _PLACE.get(key)


def _curve(key: str, thinner: Thinner) -> Curve:
    panel, line = _place(key) or ("", key)
    steps, values = zip(*thinner.points(), strict=True)
    return Curve(panel, line, steps, values, thinner.every)
