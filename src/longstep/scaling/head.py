"""A value head: a small network on the states of a frozen model that says how likely a step is right.

``head.safetensors`` holds its weights, ``head.json`` whose states it reads, how answers are cut, and its card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from longstep.artifacts import sha256_file, write_bytes, write_json
from longstep.config import Field, Strict, UserError, field_validator
from longstep.evaluate.store import stored_as
from longstep.generate.base import AnswerRead

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WEIGHTS, FACTS = "head.safetensors", "head.json"
#: Names of the arrays: mean and spread of the features, then weights and biases of three layers.
ARRAYS = ("mean", "spread", "w1", "b1", "w2", "b2", "w3", "b3")
#: What the values of standing steps make of a path.
Over = Literal["product", "min", "last"]
_OVER: Mapping[Over, Callable[[Sequence[float]], float]] = {
    "product": prod,
    "min": min,
    "last": lambda values: values[-1],
}


class Cutting(Strict):
    """How an answer is cut into steps and what its path is worth; a head is trained and used with one.

    Attributes:
        step: texts behind which a step ends.
        undo: texts that, right behind a step, take it back: it no longer counts.
        over: the path's score from the values of the steps that stand: their product, the least, or the last.
    """

    step: tuple[str, ...] = Field(default=("\n\n",), min_length=1)
    undo: tuple[str, ...] = ()
    over: Over = "product"

    @field_validator("step", "undo")
    @classmethod
    def _texts(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(texts):
            raise ValueError("an empty text ends no step and takes none back")
        return texts

    def path(self, values: Sequence[float], standing: Sequence[bool]) -> float:
        """The score of a path; 1 where no step stands yet."""
        kept = [value for value, stands in zip(values, standing, strict=True) if stands]
        return float(_OVER[self.over](kept)) if kept else 1.0


class Card(Strict):
    """How good a scorer is, on problems that it was not trained on.

    Attributes:
        problems: how many.
        mixed: those with right and wrong answers, the only ones that say anything about a choice.
        steps: labelled ones.
        step_auc: a right step gets more than a wrong one; ``None`` without both.
        within_auc: a right answer gets more than a wrong one of the same problem; mean over mixed problems.
        within_ci95: its interval over problems.
        pooled_auc: the same over all pairs of answers, whatever their problems: how hard a problem is raises it.
        logprob_within_auc: ``within_auc`` of the mean log-probability, which costs nothing.
        fewer_within_auc: the same of the number of standing steps, fewer being better: what a product or a least value
            of senseless numbers amounts to.
        beyond_ci95: interval, over problems, of ``within_auc`` less that.
    """

    problems: int
    mixed: int
    steps: int
    step_auc: float | None
    within_auc: float | None
    within_ci95: tuple[float, float] | None
    pooled_auc: float | None
    logprob_within_auc: float | None
    fewer_within_auc: float | None = None
    beyond_ci95: tuple[float, float] | None = None

    @property
    def doubt(self) -> str:
        """Why nothing should be chosen by it alone; empty when it may be."""
        if self.within_auc is None or self.within_ci95 is None:
            return "none of its problems has right and wrong answers, so nothing shows what it can tell"
        low, high = self.within_ci95
        told = f"AUC {self.within_auc:.3f} [{low:.3f}, {high:.3f}]"
        if low <= 0.5:
            return f"within a problem it does not tell right answers from wrong ones: {told}, and 0.5 is chance"
        if self.beyond_ci95 is not None and self.beyond_ci95[0] <= 0:
            return (
                f"within a problem it tells no more than the number of steps does: {told}, and fewer steps alone have "
                f"{self.fewer_within_auc:.3f}"
            )
        return ""


class HeadFacts(Strict):
    """The content of ``head.json``.

    Attributes:
        policy: the model whose states it reads, as the recipe calls it.
        weights: hash of that model's weights.
        labels: what it was taught.
        cutting: how answers are cut.
        card: how good it is, on problems that it was not trained on.
    """

    policy: str
    weights: str
    labels: str
    cutting: Cutting
    card: Card


@dataclass(frozen=True)
class ValueHead:
    """Weights by the names of ``ARRAYS``; two SiLU layers and a logistic unit over standardised features."""

    arrays: Mapping[str, Floats]

    def values(self, features_NF: Floats) -> list[float]:
        """How likely each step is right."""
        import numpy as np

        if not len(features_NF):
            return []
        a = self.arrays
        hidden_NW = (features_NF - a["mean"]) / a["spread"]
        for weights, bias in (("w1", "b1"), ("w2", "b2")):
            before_NW = hidden_NW @ a[weights] + a[bias]
            hidden_NW = before_NW / (1 + np.exp(-before_NW.clip(-60)))
        logits_N = (hidden_NW @ a["w3"] + a["b3"])[:, 0]
        return [float(value) for value in 1 / (1 + np.exp(-logits_N.clip(-60)))]

    def save(self, folder: Path, facts: HeadFacts) -> None:
        """Write the folder's two files."""
        from safetensors.numpy import save

        write_bytes(folder / WEIGHTS, save(dict(self.arrays)))
        write_json(folder / FACTS, facts.model_dump(mode="json"))


def read_head(folder: Path) -> tuple[ValueHead, HeadFacts]:
    """Load a folder.

    Raises:
        UserError: it is no such folder, or is damaged.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    facts = read_facts(folder)
    try:
        arrays = load((folder / WEIGHTS).read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder / WEIGHTS}: cannot be read ({error}); train the head again"
        ) from None
    shapes = [arrays[name].shape for name in ARRAYS if name in arrays]
    finite = all(np.isfinite(array).all() for array in arrays.values())
    if {*arrays} != {*ARRAYS} or not finite or not _fit(shapes):
        raise UserError(
            f"{folder / WEIGHTS}: holds other weights than a value head's; train it again"
        )
    return ValueHead({name: array.astype("float32") for name, array in arrays.items()}), facts


def read_facts(folder: Path) -> HeadFacts:
    """What ``head.json`` says.

    Raises:
        UserError: there is none, or it does not fit.
    """
    return stored_as(HeadFacts, folder, "the out/ folder of a verifier stage", FACTS)


def head_identity(folder: Path) -> str:
    """A hash of the weights and of what they are used with."""
    return sha256_file(folder / WEIGHTS) + sha256_file(folder / FACTS)


def features_of(read: AnswerRead, ends: Sequence[int]) -> Floats:
    """What a head sees of each step, [N, 4 + 2 H].

    Log-probabilities of the step's tokens (of the last, the mean, the least) and the entropy before the last; the state
    before its last token; and that state times, element by element, the output layer's row for this token. The state
    alone does not hold which token was written; the sum of the products is its logit.
    """
    import numpy as np

    last_N = np.array(ends, dtype=np.int64) - 1
    parts = [read.logps_T[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    told_N4 = np.stack(
        [
            read.logps_T[last_N],
            np.array([part.mean() for part in parts], dtype=np.float32),
            np.array([part.min() for part in parts], dtype=np.float32),
            read.entropies_T[last_N],
        ],
        axis=-1,
    )
    return np.concatenate([told_N4, read.states_NH, read.states_NH * read.tokens_NH], axis=-1)


def _fit(shapes: Sequence[tuple[int, ...]]) -> bool:
    mean, spread, w1, b1, w2, b2, w3, b3 = shapes
    width = b1[-1:]
    return (
        mean == spread == w1[:1]
        and w1[1:] == w2[:1] == width
        and w2[1:] == w3[:1] == b2
        and (*w3[1:], *b3) == (1, 1)
    )
