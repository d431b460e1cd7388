"""Merging models of one architecture: linear, SLERP, TIES and DARE, streamed over shards."""

from __future__ import annotations

from longstep.merge.checks import check_tokenizers, shared_token_ids
from longstep.merge.folders import merge_models
from longstep.merge.methods import AnyMerge, Dare, Linear, Slerp, Ties, dare, linear, slerp, ties

__all__ = [
    "AnyMerge",
    "Dare",
    "Linear",
    "Slerp",
    "Ties",
    "check_tokenizers",
    "dare",
    "linear",
    "merge_models",
    "shared_token_ids",
    "slerp",
    "ties",
]
