"""The arithmetic of a plan: operations, seconds and bytes from a model's shape; pure functions.

Sources: 6 operations per weight and token and the attention term are those of Kaplan et al. (arXiv
2001.08361, section 2.1) and Chowdhery et al. (arXiv 2204.02311, appendix B), the latter halved
because a causal token sees half of its row on average; the bytes per weight of mixed-precision Adam
are those of Rajbhandari et al. (arXiv 1910.02054, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from longstep.costs.decoder import Shape
from longstep.costs.planning import Planning

FORWARD = 1.0
#: Forward and backward through weights and activations.
TRAIN = 3.0
#: The same with frozen weights: no gradients of weights (those of the adapters are negligible).
TRAIN_ADAPTERS = 2.0

#: float32 weight, gradient and Adam's two moments: longstep trains float32 weights under autocast.
TRAINED_BYTES = 16
#: The same between two steps: gradients are thrown away once they are applied.
DRAWN_BYTES = 12
#: A frozen float32 weight: the reference model, or the base of adapters.
FROZEN_BYTES = 4
#: The same in 4 bits, with scales that are quantised themselves: 0.127 bits more (arXiv 2305.14314, section 3).
NF4_BYTES = 4.127 / 8
#: Adam's two moments in float32, which are in the bytes of a trained weight.
MOMENT_BYTES = 8
HALF = 2
#: Share of the memory left to weights, caches and states; the rest is the allocator's and CUDA's.
USABLE = 0.92
#: Share of the peak that decoding many sequences reaches in its matrix products.
DECODE_MFU = 0.4
#: Share of the completions decoded together that must still run, or the built-in engine drops those that do not.
STILL_RUNNING = 0.9
#: Seconds that the built-in engine needs for one decoding step, and a trainer for one small step, however little is in
#: it: the time to launch the kernels of some 28 layers. Assumed, not measured.
DECODE_STEP = 0.03
TRAIN_STEP = 0.1
#: Tokens whose logits exist at once: TRL 1.16 multiplies with the output layer in chunks.
LOGIT_CHUNK = 256


def token_flops(shape: Shape, length: float, passes: float) -> float:
    """Operations for one token of a row of ``length`` tokens.

    A forward pass multiplies and adds every matrix weight once (2 operations each), and each
    layer's attention multiplies with keys and values of, on average, half the row: 2 * 2 * length /
    2 times the attention's width. What activation checkpointing computes again is not counted here;
    it lowers the utilisation.
    """
    attention = 2 * shape.layers * shape.attention_width * length
    return passes * (2 * shape.matrices + attention)


def training_hours(flops: float, devices: int, plan: Planning) -> float:
    """Hours for this many useful operations."""
    return flops / (devices * plan.hardware.flops * plan.mfu) / 3600


def busy_share(batch: int, devices: int) -> float:
    """Share of the devices' time that a batch fills: 32 rows on 96 devices keep a third busy."""
    rounds = -(-batch // devices)
    return batch / (rounds * devices)


@dataclass(frozen=True)
class Decoding:
    """One round of decoding on all devices that draw, each with a copy of the model and its part of the round.

    Attributes:
        completions: to draw in all.
        prompt: mean prompt tokens.
        mean: mean tokens of a completion.
        longest: tokens of the longest completion, which the round waits for.
        slots: most completions decoded together on one device.
    """

    completions: float
    prompt: float
    mean: float
    longest: float
    slots: int

    def live(self, devices: int) -> float:
        """Completions decoded together on each of so many devices."""
        return max(1.0, min(self.completions / devices, self.slots))


def decoding_hours(shape: Shape, work: Decoding, devices: int, plan: Planning) -> float:
    """Hours to decode, by the roofline: reading bytes or multiplying, whichever is slower.

    Every step reads all weights once, of a mixture those that its live sequences meet, and every
    live sequence's keys and values. With continuous batching a device needs ``its tokens / slots``
    steps, and the last, longest completion finishes ``longest - mean`` steps after the average one:
    with few completions per device, which is the rule in reinforcement learning at 24k tokens, that
    tail is most of the time.
    """
    hardware, word = plan.hardware, plan.hardware.word / HALF
    share, live = work.completions / devices, work.live(devices)
    steps = max(1.0, share / live) * work.mean + (work.longest - work.mean)
    cache = share * work.mean * (work.prompt + work.mean / 2) * shape.kv_bytes_per_token * word
    weights = steps * hardware.word * shape.read(live)
    reading = (weights + cache) / (hardware.bandwidth * plan.decode)
    flops = share * work.mean * token_flops(shape, work.prompt + work.mean, FORWARD)
    return max(reading, flops / (hardware.flops * DECODE_MFU)) / 3600


def cached_tokens(work: Decoding, live: float) -> float:
    """Tokens whose keys and values are held at the peak, when so many completions are decoded together.

    All of them are equally far at any time, so ``t`` tokens in there are ``live * P(length >= t)`` completions left,
    which by Markov's inequality hold no more than ``live * mean`` tokens, whatever the lengths are; the engine drops
    finished ones a tenth at a time. The longest completion is held alone in the end.
    """
    return max(live * (work.prompt + work.mean) / STILL_RUNNING, work.prompt + work.longest)


def cache_bytes(shape: Shape, work: Decoding, devices: int, word: int) -> float:
    """Bytes of keys and values per device at the peak, of so many bytes a number."""
    tokens = cached_tokens(work, work.live(devices))
    return tokens * shape.kv_bytes_per_token * word / HALF


def decoding_bytes(shape: Shape, work: Decoding, devices: int, word: int) -> float:
    """Bytes per device while decoding: a whole copy of the weights, and the keys and values."""
    return word * shape.parameters + cache_bytes(shape, work, devices, word)


def fitting_slots(shape: Shape, work: Decoding, free: float, word: int) -> int:
    """Completions that can be decoded together where so many bytes are free for keys and values; 0 if none."""
    tokens = free / (shape.kv_bytes_per_token * word / HALF)
    if tokens < work.prompt + work.longest:
        return 0
    return max(1, int(tokens * STILL_RUNNING / (work.prompt + work.mean)))


@dataclass(frozen=True)
class Holding:
    """What a training step keeps in a device's memory.

    Attributes:
        shards: devices that share weights, gradients and optimiser states; 1 keeps a whole copy.
        tokens: of the rows in one forward pass on one device, at their longest.
        checkpointing: only layer inputs are kept, the rest is recomputed.
        adapters: trainable weights of adapters; 0 trains everything.
        reference: a frozen second model is held.
        critic: a second model is trained beside it.
        copies: whole copies held beside it all the time, in the precision of sampling.
        offload: shards stay in the host's memory.
        word: bytes of a number in matrix products: 2 under autocast, with copies of the matrices; 4 without.
        nf4: the base of adapters has its linear layers in 4 bits.
        moments: bytes the optimiser keeps for each trained weight.
    """

    shards: int
    tokens: float
    checkpointing: bool
    adapters: int = 0
    reference: bool = False
    critic: bool = False
    copies: int = 0
    offload: bool = False
    word: int = HALF
    nf4: bool = False
    moments: float = MOMENT_BYTES

    def twins(self, shape: Shape) -> float:
        """Bytes of the bf16 copies of an unsharded model's matrices, which autocast keeps; of 4 bits it keeps none."""
        plain = shape.held_matrices - (shape.linear if self.nf4 else 0)
        return HALF * plain if self.word == HALF else 0.0

    def base_bytes(self, shape: Shape) -> float:
        """Bytes of the frozen base of adapters."""
        rounded = shape.linear if self.nf4 else 0
        return NF4_BYTES * rounded + FROZEN_BYTES * (shape.parameters - rounded)


def resident_bytes(shape: Shape, holding: Holding, trained_bytes: int = TRAINED_BYTES) -> float:
    """Bytes per device that stay from step to step, with ``trained_bytes`` for each weight that is trained."""
    trained = holding.adapters or shape.parameters
    frozen = holding.base_bytes(shape) if holding.adapters else 0.0
    frozen += FROZEN_BYTES * shape.parameters if holding.reference else 0
    trained += shape.parameters if holding.critic else 0
    each = trained_bytes - MOMENT_BYTES + holding.moments
    own = (trained * each + frozen) / holding.shards
    return holding.word * shape.parameters * holding.copies + (0 if holding.offload else own)


def state_bytes(shape: Shape, holding: Holding) -> float:
    """Bytes of weights, gradients and optimiser states per device, with what sharding gathers.

    A gathered layer is there in bf16 beside the next one, fetched ahead, and the embedding and the
    output layer; an unsharded model keeps autocast's bf16 copies of its matrices.
    """
    if holding.shards == 1:
        return resident_bytes(shape, holding) + holding.twins(shape) * (1 + holding.critic)
    gathered = HALF * (2 * shape.layer_matrices + 2 * shape.vocab * shape.width)
    return resident_bytes(shape, holding) + gathered


def updating_bytes(shape: Shape, holding: Holding) -> float:
    """Bytes per device at the peak of an optimiser step."""
    return state_bytes(shape, holding) + activation_bytes(shape, holding)


def rollout_bytes(shape: Shape, holding: Holding, work: Decoding, devices: int) -> float:
    """Bytes per device while the policy in training draws: gradients are gone, keys and values are there.

    It draws from the weights that are trained, under autocast: their matrices are there in bf16 too, and keys and
    values are held in float32, for the rotation of the keys is not autocast (seen with transformers 5.23). With shards,
    or when asked for, it draws from a whole copy, in bf16 throughout.
    """
    kept = resident_bytes(shape, holding, DRAWN_BYTES)
    kept += 0 if holding.copies else holding.twins(shape)
    return kept + cache_bytes(shape, work, devices, rollout_word(holding))


def rollout_word(holding: Holding) -> int:
    """Bytes of a number in the cache of a policy in training: see :func:`rollout_bytes`."""
    return holding.word if holding.copies else FROZEN_BYTES


def scoring_bytes(shape: Shape, holding: Holding) -> float:
    """Bytes per device while the reference rates what was drawn: no gradients; of shards it is gathered all at once."""
    read = holding.tokens * layer_bytes(shape) * holding.word / HALF
    gathered = holding.twins(shape) if holding.shards == 1 else HALF * shape.parameters
    return resident_bytes(shape, holding, DRAWN_BYTES) + read + gathered


def layer_bytes(shape: Shape) -> float:
    """Bytes in bf16 that one token's backward pass through one layer needs.

    Two norms and their inputs (4 widths), queries and attention output (2), the projections'
    outputs (2), keys and values, and four vectors of the gated MLP: gate, up, activated gate and
    their product.
    """
    return HALF * (
        6 * shape.width + 2 * shape.attention_width + 2 * shape.kv_width + 4 * shape.token_inner
    )


def activation_bytes(shape: Shape, holding: Holding) -> float:
    """Bytes of activations per device at the peak: after the forward pass, inside a layer's backward.

    With checkpointing each layer keeps its input; one layer at a time is recomputed, and its
    gradients are about as large. Logits exist for a chunk of tokens only.
    """
    layers = shape.layers
    kept = HALF * shape.width * layers if holding.checkpointing else layer_bytes(shape) * layers
    working = 2 * layer_bytes(shape)
    logits = min(holding.tokens, LOGIT_CHUNK) * shape.vocab * 10
    return holding.tokens * (kept + working) * holding.word / HALF + logits


def gigabytes(value: float) -> str:
    """Bytes for a sentence: ``41.8 GB``, ``1,234 GB``."""
    return f"{value / 1e9:.3g} GB" if value < 1e12 else f"{value / 1e9:,.0f} GB"


def adapter_parameters(shape: Shape, rank: int, targets: tuple[str, ...]) -> int:
    """Weights of rank-``rank`` adapters on the named projections; experts are no linear layers, so they get none."""
    width, attention, kv, inner = shape.width, shape.attention_width, shape.kv_width, shape.inner
    projections = {
        "q_proj": width + attention,
        "k_proj": width + kv,
        "v_proj": width + kv,
        "o_proj": attention + width,
    }
    mlp = {"gate_proj": width + inner, "up_proj": width + inner, "down_proj": inner + width}
    dense = shape.layers - (shape.experts.layers if shape.experts else 0)
    sides = shape.layers * sum(projections.get(target, 0) for target in targets)
    return rank * (sides + dense * sum(mlp.get(target, 0) for target in targets))
