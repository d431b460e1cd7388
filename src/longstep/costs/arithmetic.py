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
#: A frozen float32 weight: the reference model, or the base of adapters.
FROZEN_BYTES = 4
HALF = 2
#: Share of the memory left to weights, caches and states; the rest is the allocator's and CUDA's.
USABLE = 0.92
#: Share of the peak that decoding many sequences reaches in its matrix products.
DECODE_MFU = 0.4
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
    """One round of decoding on all devices.

    Attributes:
        completions: to draw in all.
        prompt: mean prompt tokens.
        mean: mean tokens of a completion.
        longest: tokens of the longest completion, which the round waits for.
        slots: most completions decoded together by one replica.
    """

    completions: float
    prompt: float
    mean: float
    longest: float
    slots: int


def replica_devices(shape: Shape, memory: float) -> int:
    """Devices that share one copy of the weights while decoding, so that half is left for caches."""
    devices = 1
    while HALF * shape.parameters > 0.5 * USABLE * memory * devices:
        devices *= 2
    return devices


def fitting_slots(shape: Shape, memory: float, tokens: float) -> int:
    """Sequences of ``tokens`` whose keys and values fit beside the weights of one replica."""
    devices = replica_devices(shape, memory)
    free = USABLE * memory * devices - HALF * shape.parameters
    return max(1, int(free // (shape.kv_bytes_per_token * tokens)))


def decoding_hours(shape: Shape, work: Decoding, devices: int, plan: Planning) -> float:
    """Hours to decode, by the roofline: reading bytes or multiplying, whichever is slower.

    Every step reads all weights once, of a mixture those that its live sequences meet, and every
    live sequence's keys and values. With continuous batching a replica needs ``its tokens / slots``
    steps, and the last, longest completion finishes ``longest - mean`` steps after the average one:
    with few completions per device, which is the rule in reinforcement learning at 24k tokens, that
    tail is most of the time.
    """
    hardware = plan.hardware
    width = replica_devices(shape, hardware.memory)
    replicas = max(1, devices // width)
    share = work.completions / replicas
    live = max(
        1.0, min(share, work.slots, fitting_slots(shape, hardware.memory, work.prompt + work.mean))
    )
    steps = max(1.0, share / live) * work.mean + (work.longest - work.mean)
    cache = share * work.mean * (work.prompt + work.mean / 2) * shape.kv_bytes_per_token
    weights = steps * HALF * shape.read(live)
    reading = (weights + cache) / (hardware.bandwidth * plan.decode * width)
    flops = share * work.mean * token_flops(shape, work.prompt + work.mean, FORWARD)
    return max(reading, flops / (hardware.flops * DECODE_MFU * width)) / 3600


def decoding_bytes(shape: Shape, work: Decoding, devices: int, memory: float) -> float:
    """Bytes per device while decoding: the weights in bf16, and the live keys and values."""
    width = replica_devices(shape, memory)
    share = work.completions / max(1, devices // width)
    live = max(1.0, min(share, work.slots, fitting_slots(shape, memory, work.prompt + work.mean)))
    cache = live * (work.prompt + work.mean) * shape.kv_bytes_per_token
    return (HALF * shape.parameters + cache) / width


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
        copies: with shards, whole bf16 copies held at a time all the same.
        offload: shards stay in the host's memory.
    """

    shards: int
    tokens: float
    checkpointing: bool
    adapters: int = 0
    reference: bool = False
    critic: bool = False
    copies: int = 0
    offload: bool = False


def state_bytes(shape: Shape, holding: Holding) -> float:
    """Bytes of weights, gradients and optimiser states per device, with what sharding gathers.

    A gathered layer is there in bf16 beside the next one, fetched ahead, and the embedding and the
    output layer; an unsharded model keeps autocast's bf16 copies of its matrices.
    """
    trained = holding.adapters or shape.parameters
    frozen = shape.parameters if holding.adapters else 0
    frozen += shape.parameters if holding.reference else 0
    trained += shape.parameters if holding.critic else 0
    resident = (trained * TRAINED_BYTES + frozen * FROZEN_BYTES) / holding.shards
    if holding.shards == 1:
        return resident + HALF * shape.held_matrices * (1 + holding.critic)
    gathered = HALF * (2 * shape.layer_matrices + 2 * shape.vocab * shape.width)
    gathered += HALF * shape.parameters * holding.copies
    return gathered + (0 if holding.offload else resident)


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
    kept = (
        HALF * shape.width * shape.layers
        if holding.checkpointing
        else layer_bytes(shape) * shape.layers
    )
    working = 2 * layer_bytes(shape)
    logits = min(holding.tokens, LOGIT_CHUNK) * shape.vocab * 10
    return holding.tokens * (kept + working) + logits


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
