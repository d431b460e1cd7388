"""From logits to log-probabilities and entropies, a slice of tokens at a time.

A full ``[B, T, V]`` float32 log-softmax is the largest tensor of a training step; slicing over T
keeps only one slice of intermediate values alive when no gradient is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def token_logps(
    logits_BTV: Tensor, ids_BT: Tensor, temperature: float = 1.0, chunk: int = 1024
) -> Tensor:
    """Log-probability of each id under the logits at its own position, in float32.

    Args:
        logits_BTV: ``logits_BTV[:, t]`` predicts ``ids_BT[:, t]``; the caller has shifted already.
        ids_BT: token ids, shape ``[B, T]``.
        temperature: the sampling temperature, so that ratios compare what was really sampled from.
        chunk: positions per slice; the value does not change the result.

    Returns:
        ``[B, T]`` float32.
    """
    import torch

    def one(logits_BtV: Tensor, ids_Bt: Tensor) -> Tensor:
        scaled_BtV = logits_BtV.float() / temperature
        picked_Bt = scaled_BtV.gather(-1, ids_Bt.unsqueeze(-1)).squeeze(-1)
        return picked_Bt - scaled_BtV.logsumexp(-1)

    pieces = zip(logits_BTV.split(chunk, dim=1), ids_BT.split(chunk, dim=1), strict=True)
    return torch.cat([one(logits_BtV, ids_Bt) for logits_BtV, ids_Bt in pieces], dim=1)


def entropy(logits_BTV: Tensor, temperature: float = 1.0, chunk: int = 1024) -> Tensor:
    """Entropy in nats of the next-token distribution at each position, ``[B, T]`` float32."""
    import torch

    def one(logits_BtV: Tensor) -> Tensor:
        logps_BtV = (logits_BtV.float() / temperature).log_softmax(-1)
        # A forbidden token has p = 0 and log p = -inf: its term is 0, not NaN.
        return -(logps_BtV.exp() * logps_BtV.clamp(min=torch.finfo(torch.float32).min)).sum(-1)

    return torch.cat([one(logits_BtV) for logits_BtV in logits_BTV.split(chunk, dim=1)], dim=1)
