"""Counter-based noise: each (seed, problem, sample, position) has its own number."""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_key(seed: int, prompt_name: str, sample_index: int) -> int:
    """Give the 64-bit key of one completion."""
    name = f"{seed}\0{prompt_name}\0{sample_index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def uniforms(keys_B: np.ndarray, start: int, count: int) -> np.ndarray:
    """Draw the uniforms of positions ``start .. start + count`` of each row.

    SplitMix64 (Steele, Lea and Flood 2014, figure 17) seeded with the row's key, read anywhere: its
    state after n draws is ``key + n * golden``, so nothing has to be drawn in order.

    Args:
        keys_B: uint64 keys from ``row_key``, shape [B].
        start: first position.
        count: number of positions.

    Returns:
        float64 in [0, 1), shape [B, count].
    """
    return uniforms_at(keys_B[:, None], np.arange(start, start + count)[None, :])


def uniforms_at(keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Draw one uniform per row, each at a position of its own; the two are broadcast against each other."""
    z = keys + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) * 2.0**-53
