"""Per-token estimators of KL(policy || reference) from sampled tokens (J. Schulman's k1, k2, k3).

The estimate and its gradient are two different things. With samples of the current policy and the
sampling
detached, as in every loss term, the expected gradient is:

| estimator | value estimates       | expected gradient as a loss term                     |
|-----------|-----------------------|------------------------------------------------------|
| k1        | KL(policy || ref)     | zero: no regularisation at all                       |
| k2        | about KL (biased)     | that of KL(policy || ref), the reverse KL            |
| k3        | KL(policy || ref)     | that of KL(ref || policy), the *forward* KL          |

k3 is the penalty of GRPO (and of TRL's ``beta``); ``exp`` in it is unbounded where the policy drops
a token that the reference likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def k1(logps_BT: Tensor, ref_logps_BT: Tensor) -> Tensor:
    """``log(policy / ref)`` per token: unbiased, and may be negative."""
    return logps_BT - ref_logps_BT


def k2(logps_BT: Tensor, ref_logps_BT: Tensor) -> Tensor:
    """Half the squared log-ratio per token: biased, never negative."""
    return 0.5 * (logps_BT - ref_logps_BT).square()


def k3(logps_BT: Tensor, ref_logps_BT: Tensor) -> Tensor:
    """``ref/policy - 1 - log(ref/policy)`` per token: unbiased, never negative."""
    log_ratio_BT = ref_logps_BT - logps_BT
    return log_ratio_BT.exp() - log_ratio_BT - 1
