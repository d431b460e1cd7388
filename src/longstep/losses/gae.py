"""Generalised advantage estimation (arXiv 1506.02438, equation 16): how much better a token was than expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def gae(rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> Tensor:
    """Advantages of the tokens under the mask, ``[B, T]``, 0 elsewhere.

    ``delta_t = r_t + gamma V_{t+1} - V_t`` and ``A_t = delta_t + gamma lam A_{t+1}``, where t + 1 is the *next token of
    the policy*: what stands between, a given beginning or padding, is no step of it. After its last token an answer has
    no value, cut ones too. With ``lam`` 1 ``A_t`` is the return from t on less ``V_t``, with 0 it is ``delta_t``.

    Args:
        rewards_BT: of each token.
        values_BT: what the critic expects *before* each token is drawn.
        mask_BT: 1 where the policy drew a token.
        gamma: what a later reward is worth.
        lam: how far rewards are believed beyond the next prediction.
    """
    import torch

    chosen_BT = mask_BT.bool()
    next_B = ahead_B = torch.zeros_like(values_BT[:, 0])
    found: list[Tensor] = []
    for t in reversed(range(values_BT.shape[1])):
        chosen_B = chosen_BT[:, t]
        delta_B = rewards_BT[:, t] + gamma * next_B - values_BT[:, t]
        here_B = delta_B + gamma * lam * ahead_B
        found.append(here_B.where(chosen_B, 0.0))
        ahead_B = here_B.where(chosen_B, ahead_B)
        next_B = values_BT[:, t].where(chosen_B, next_B)
    return torch.stack(found[::-1], dim=1)


def at_the_end(rewards_B: Tensor, mask_BT: Tensor) -> Tensor:
    """The reward of an answer on the last token under the mask, ``[B, T]``; an answer without any has none."""
    import torch

    places_T = torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device)
    counted_BT = places_T * mask_BT.long()
    last_BT = (counted_BT == counted_BT.amax(-1, keepdim=True)) & (counted_BT > 0)
    return rewards_B.unsqueeze(-1).where(last_BT, 0.0)
