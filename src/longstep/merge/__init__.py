"""Merging models of one architecture, streamed over shards: one leaf file per member, one line in ``AnyMerge``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.merge.base import MergeMethod, Weighted
from longstep.merge.checks import check_configs, check_tokenizers, shared_token_ids
from longstep.merge.folders import merge_models
from longstep.merge.methods import Dare, Linear, Slerp, Ties, dare, linear, slerp, ties

AnyMerge = Annotated[Dare | Linear | Slerp | Ties, Field(discriminator="kind")]

__all__ = [
    "AnyMerge",
    "Dare",
    "Linear",
    "MergeMethod",
    "Slerp",
    "Ties",
    "Weighted",
    "check_configs",
    "check_tokenizers",
    "dare",
    "linear",
    "merge_models",
    "shared_token_ids",
    "slerp",
    "ties",
]
