"""How sure is a score? Standard errors, a two-level bootstrap, paired comparison of models.

Two things are random in avg@k: which k answers the model happened to give (the *within* level,
shrinks with k) and which N problems happen to form the benchmark (the *between* level, shrinks only
with N). On 30 problems the second is several times the first, so two models are compared problem by
problem, where most of it cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Two-sided 95 % point of the normal distribution.
Z95 = 1.959964
#: Fewer never reach 5 % in a two-sided sign test: 2 x 0.5^6 = 0.03, but 2 x 0.5^5 = 0.06.
MIN_PROBLEMS = 6
RESAMPLES = 10_000
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class StandardErrors:
    """Standard errors of a mean over problems; ``None`` where the data cannot tell."""

    within: float | None
    between: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model b against model a on the same problems: ``delta`` is b minus a."""

    delta: float
    ci95: tuple[float, float]
    distinguishable: bool
    sentence: str


def standard_errors(correct_P: Counts, samples_P: Counts) -> StandardErrors:
    """Split the uncertainty of a mean of per-problem means.

    total^2 = var(p_P) / N, within^2 = sum p(1-p)/(k-1) / N^2, between^2 = total^2 - within^2 (law
    of total variance; Miller 2024, arXiv 2411.00640). k-1 makes the within part unbiased
    from measured p; one sample per problem cannot tell the parts apart, one problem cannot give a
    total. A negative difference is reported as 0.

    Args:
        correct_P: right samples of each problem.
        samples_P: scorable samples of each problem.
    """
    num_problems = len(correct_P)
    p_P = correct_P / samples_P
    total = float(np.sqrt(p_P.var(ddof=1) / num_problems)) if num_problems > 1 else None
    within = None
    if samples_P.min() > 1:
        within = float(np.sqrt((p_P * (1 - p_P) / (samples_P - 1)).sum()) / num_problems)
    between = None
    if total is not None and within is not None:
        between = sqrt(max(0.0, total**2 - within**2))
    return StandardErrors(within, between, total)


def sampling_error(spread: float, num_problems: int, k: int) -> float:
    """Standard error of avg@k from sampling alone: sqrt(mean p(1-p) / (N k))."""
    return sqrt(spread / (num_problems * k))


def samples_needed(half_width: float, num_problems: int, spread: float = 0.15) -> int:
    """Smallest k whose 95 % interval from sampling alone is within +-``half_width``.

    Args:
        half_width: wanted half width of the interval, as a share (0.01 = one point).
        num_problems: problems in the benchmark.
        spread: mean p(1-p) over problems; 0.15 is AIME-like, 0.25 the worst case.
    """
    return max(1, ceil(spread * (Z95 / half_width) ** 2 / num_problems - 1e-9))


def sample_size_sentence(
    num_problems: int, k: int, spread: float = 0.15, points: float = 1.0
) -> str:
    """Say how many samples a wanted precision costs, beside what the present k gives."""
    needed = samples_needed(points / 100, num_problems, spread)
    now = 100 * Z95 * sampling_error(spread, num_problems, k)
    return (
        f"for +-{points:g} points you need k = {needed}: {num_problems} problems x {k} samples "
        f"give +-{now:.1f} points from sampling alone (95 %); "
        "the noise from the choice of problems does not shrink with k"
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson 95 % interval of a share of n; stays inside [0, 1] and never has zero width."""
    centre = share + Z95**2 / (2 * n)
    half = Z95 * sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def bootstrap_means(
    counts: tuple[tuple[Counts, Counts], ...], seed: int, resamples: int = RESAMPLES
) -> list[Floats]:
    """Two-level bootstrap of avg@k: draw N problems, then k samples of each, with replacement.

    Drawing k samples w times from a problem with c of k right is Binomial(w k, c/k), and binomials
    of equal c/k add up, so a resample needs one binomial per *distinct* (c, k), not one draw per
    sample.

    Every member of ``counts`` (one per model) sees the same drawn problems, which is what makes a
    comparison paired. The spread of these means is too large as it stands, see
    :func:`calibrated`.

    Args:
        counts: per model ``(correct_P, samples_P)`` over the same problems.
        seed: seed of the resampling.
        resamples: number of resamples R.

    Returns:
        One array of R means per model.
    """
    rng = np.random.default_rng(seed)
    num_problems = len(counts[0][0])
    tables = [np.unique(np.stack(pair, axis=1), axis=0, return_inverse=True) for pair in counts]
    means: list[list[Floats]] = [[] for _ in counts]
    step = max(1, _CHUNK // num_problems)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn_RP = rng.integers(0, num_problems, size=(rows, num_problems))
        for model, (classes, class_P) in enumerate(tables):
            weight_RC = _count_rows(class_P.reshape(-1)[drawn_RP], len(classes))
            c, k = classes[:, 0], classes[:, 1]
            right_RC = rng.binomial(weight_RC * k, c / k)
            means[model].append((right_RC / k).sum(axis=1) / num_problems)
    return [np.concatenate(parts) for parts in means]


def _count_rows(class_RP: Counts, num_classes: int) -> Counts:
    """How often each class occurs in each row."""
    rows = len(class_RP)
    offset = num_classes * np.arange(rows)[:, None]
    return np.bincount((class_RP + offset).ravel(), minlength=rows * num_classes).reshape(
        rows, num_classes
    )


def calibrated(means_R: Floats, estimate: float, standard_error: float) -> Floats:
    """Scale resampled means about the estimate so that their spread is the standard error.

    The textbook two-level bootstrap counts sampling noise twice: measured p_q already scatter by it
    before the second draw adds it again, which widens a comparison of equal models by sqrt(2). The
    bootstrap keeps the shape (skew near 0 and 1), the unbiased standard error sets the width.
    """
    spread = float(means_R.std())
    if spread == 0:
        return means_R
    return estimate + (means_R - means_R.mean()) * (standard_error / spread)


def percentile_interval(values: Floats) -> tuple[float, float]:
    """The 2.5 % and 97.5 % percentiles."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def avg_interval(
    correct_P: Counts, samples_P: Counts, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of avg@k over both levels.

    One problem, or nothing but right (or wrong) samples, gives a bootstrap of width zero; the
    Wilson interval with n = number of problems takes its place, so "all 30 solved" reads
    [0.89, 1], not certainty.
    """
    share = float((correct_P / samples_P).mean())
    if len(correct_P) == 1 or share in (0.0, 1.0):
        return wilson(share, len(correct_P))
    errors = standard_errors(correct_P, samples_P)
    # In truth total >= within; a smaller measured total is luck, not precision.
    error = max(errors.total or 0.0, errors.within or 0.0)
    means_R = bootstrap_means(((correct_P, samples_P),), seed, resamples)[0]
    low, high = percentile_interval(calibrated(means_R, share, error))
    return max(0.0, low), min(1.0, high)


def value_interval(value_P: Floats, seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % interval of a mean of per-problem values (pass@k, maj@k) over the choice of problems.

    Only problems are drawn: redrawing k of k samples would bias pass@k and maj@k, which are not
    linear in the samples. The spread of ``value_P`` over problems already contains their sampling
    noise.
    """
    return value_intervals(value_P[:, None], seed, resamples)[0]


def value_intervals(
    value_PK: Floats, seed: int, resamples: int = RESAMPLES
) -> list[tuple[float, float]]:
    """The same of K means over the same problems, all on the same resamples."""
    problems, kinds = value_PK.shape
    fixed_K = (value_PK == value_PK[:1]).all(0)
    moving_PM = value_PK[:, ~fixed_K]
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // problems)
    parts = []
    for start in range(0, resamples if moving_PM.size else 0, step):
        rows = min(step, resamples - start)
        drawn_RP = rng.integers(0, problems, size=(rows, problems))
        times_RP = _count_rows(drawn_RP, problems).astype(np.float64)
        parts.append(times_RP @ moving_PM / problems)
    found = iter(np.percentile(np.concatenate(parts), [2.5, 97.5], axis=0).T if parts else ())
    return [
        wilson(float(value_PK[:, k].mean()), problems)
        if fixed_K[k]
        else tuple(map(float, next(found)))  # pyright: ignore
        for k in range(kinds)
    ]


def compare(
    a: tuple[Counts, Counts],
    b: tuple[Counts, Counts],
    names: tuple[str, str],
    seed: int,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Paired comparison of two models by problem: both resampled on the same drawn problems.

    Args:
        a: ``(correct_P, samples_P)`` of the first model.
        b: the same of the second model, over the same problems in the same order.
        names: how the sentence calls them.
        seed: seed of the resampling.
        resamples: number of resamples.
    """
    if len(a[0]) != len(b[0]):
        raise ValueError(f"paired comparison over {len(a[0])} and {len(b[0])} problems")
    num_problems = len(a[0])
    delta_P = b[0] / b[1] - a[0] / a[1]
    delta = float(delta_P.mean())
    mean_a, mean_b = bootstrap_means((a, b), seed, resamples)
    means_R = mean_b - mean_a
    if num_problems > 1:
        total = float(np.sqrt(delta_P.var(ddof=1) / num_problems))
        within = hypot(*(standard_errors(*side).within or 0.0 for side in (a, b)))
        means_R = calibrated(means_R, delta, max(total, within))
    low, high = percentile_interval(means_R)
    distinguishable = num_problems >= MIN_PROBLEMS and (low > 0 or high < 0)
    if distinguishable:
        verdict = f"{names[1]} is {'better' if delta > 0 else 'worse'}"
    elif num_problems < MIN_PROBLEMS:
        verdict = f"not distinguishable, fewer than {MIN_PROBLEMS} problems never are"
    else:
        verdict = "not distinguishable"
    sentence = (
        f"{names[1]} - {names[0]} = {100 * delta:+.1f} points, "
        f"95 % interval [{100 * low:+.1f}, {100 * high:+.1f}], {num_problems} problems: {verdict}"
    )
    return Comparison(delta, (low, high), distinguishable, sentence)
