"""How far two right runs may lie apart, from the arithmetic and not from one machine.

One process and two, a batch and its parts, a row alone and packed: they add the same float32 numbers in another order,
and which order depends on the width of the CPU's vectors. Two things make the difference in the weights:

* A sum of n terms in two orders differs by at most 2 (n - 1) u times the sum of their sizes (Higham, Accuracy and
  Stability of Numerical Algorithms, section 4.2; u is half of float32's epsilon). A gradient is such a sum over the
  tokens of a batch. The sizes are taken as 1 together: the loss is a mean over tokens, a probability less a target is at
  most 1, and the norms keep activations near 1.
* Adam moves a weight by lr m / (sqrt(v) + eps), and m and sqrt(v) are means of past gradients. Where all gradients are
  off by at most d, both are, and since m is at most about sqrt(v), the move is off by at most 2 lr d / eps. Storing
  a weight rounds it, by u for one of size 1, in both runs.

With Adam's usual eps of 1e-8 the second line says nothing: a gradient that is all rounding becomes a whole step, of
either sign. So the tests of equality train with a large eps. That makes them sharper, too: Adam with a small eps hides
a gradient that is wrong by a factor, and with a large one that factor is in the weights.
"""

from __future__ import annotations

UNIT = 2.0**-24
#: An eps as large as the largest gradients: a weight moves by about lr/eps times its gradient, which is descent at 0.01.
LR, EPS = 1e-3, 1e-1


def sum_bound(terms: int) -> float:
    """Largest difference of a float32 sum in two orders, for terms whose sizes add up to 1."""
    return 2 * (terms - 1) * UNIT


def chain_bound(sums: int, terms: int) -> float:
    """Largest difference of a number that stands behind so many sums, one behind another, of at most so many terms."""
    return sums * sum_bound(terms)


def weight_bound(steps: int, tokens: int, lr: float = LR, eps: float = EPS) -> float:
    """Largest difference of a weight after AdamW's steps on batches of at most so many tokens, summed in two orders."""
    return steps * (2 * lr / eps * sum_bound(tokens) + 2 * UNIT)
