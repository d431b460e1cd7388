"""The reasoning toggle in training: some problems are asked for a thought, the others for an answer without one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from longstep.config import UserError
from longstep.draw.prompts import prompts_for
from longstep.generate import Prompt
from longstep.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def toggled(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], share: float, seed: int
) -> list[Prompt]:
    """Prompts, a ``share`` of them with thinking switched off: always the same problems for one seed.

    Raises:
        UserError: the template opens a thought in either mode.
    """
    from longstep.models.chat import opens_anyway

    if share and opens_anyway(tokenizer):
        raise UserError(
            "unthinking: the model's chat template opens a thought also when it is asked for none (enable_thinking: "
            "false), so there is no other mode to train; leave unthinking out, or give the model another chat_template"
        )
    modes = [random.Random(f"{seed}:{problem.id}").random() >= share for problem in problems]
    asked = {
        mode: iter(
            prompts_for(
                tokenizer, [p for p, own in zip(problems, modes, strict=True) if own is mode], mode
            )
        )
        for mode in (True, False)
    }
    return [next(asked[mode]) for mode in modes]
