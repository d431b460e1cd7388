"""A control for pairs: Light-R1's accident. No method of ours; its merge needs a model that had it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from longstep.config import Strict
from longstep.types import Pair

TAGS = ("<think>", "</think>")


class SkippedTags(Strict):
    """Rejected answers lose their think tags, as if decoded with special tokens skipped.

    Light-R1 (arXiv 2503.10460) merges a model trained on such pairs, made by mistake, with the right one.
    """

    kind: Literal["skipped-tags"] = "skipped-tags"

    def spoil(self, pairs: Iterable[Pair], tag_ids: frozenset[int]) -> Iterator[Pair]:
        """The pairs with spoilt rejected sides; ``tag_ids`` are the token ids of the tags.

        Raises:
            ValueError: there are no such ids, so that nothing would be spoilt.
        """
        if not tag_ids:
            raise ValueError("the control skipped-tags needs the ids of the think tags")
        for pair in pairs:
            text = pair.rejected
            for tag in TAGS:
                text = text.replace(tag, "")
            ids = tuple(each for each in pair.rejected_ids if each not in tag_ids)
            yield replace(pair, rejected=text, rejected_ids=ids)
