"""The next token: temperature, top-k, top-p and the draw, as one pure function of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from longstep.generate.base import Sampling


def choose(logits_BV: Tensor, uniform_B: Tensor, sampling: Sampling) -> Tensor:
    """Draw one token per row by inverting the cumulative distribution at a given number.

    Top-k and top-p are applied to the tempered distribution, top-k first, and top-p counts the
    mass that top-k kept (the order of transformers). Top-p keeps the smallest set of most likely
    tokens whose mass reaches p, so the most likely token always stays (Holtzman et al. 2020,
    section 3.1).
    With neither, tokens are laid out in vocabulary order and nothing is sorted.

    Args:
        logits_BV: finite logits, shape [B, V].
        uniform_B: numbers in [0, 1), shape [B]; unused at temperature 0.
        sampling: temperature, top_p and top_k.

    Returns:
        Token ids, int64, shape [B].
    """
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    wide = torch.promote_types(logits_BV.dtype, torch.float32)
    tempered_BV = (logits_BV.to(wide) - logits_BV.amax(-1, keepdim=True)) / sampling.temperature
    prob_BV = tempered_BV.softmax(-1)
    if sampling.top_k is None and sampling.top_p == 1:
        return _invert(prob_BV.double().cumsum(-1), uniform_B)
    prob_BV, token_BV = prob_BV.sort(dim=-1, descending=True, stable=True)
    mass_BV = prob_BV[:, : sampling.top_k].double().cumsum(-1)
    needed_B1 = sampling.top_p * mass_BV[:, -1:]
    before_BV = mass_BV.roll(1, -1)
    before_BV[:, 0] = 0
    last_B1 = ((before_BV < needed_B1).sum(-1, keepdim=True) - 1).clamp(min=0)
    kept_BV = mass_BV.minimum(mass_BV.gather(-1, last_B1))
    return token_BV.gather(-1, _invert(kept_BV, uniform_B)[:, None]).squeeze(-1)


def _invert(mass_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Give the first place whose cumulative mass exceeds ``uniform * total``; it has mass."""
    total_B = mass_BV[:, -1]
    below_B = torch.nextafter(
        total_B, torch.zeros_like(total_B)
    )  # the product may round up to total
    target_B = (uniform_B * total_B).minimum(below_B)
    place_B = torch.searchsorted(mass_BV, target_B[:, None], right=True).squeeze(-1)
    # A row that is not a number has no place; any token will do until the engine refuses the row.
    return place_B.clamp(max=mass_BV.shape[-1] - 1)
