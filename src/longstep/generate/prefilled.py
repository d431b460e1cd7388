"""A batch in decoding: the model's cache, its mask and the next token's logits, one row per answer."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from longstep.generate.batches import Row


class Prefilled:
    """The model's cache and next-token logits, one row per completion still in the batch."""

    def __init__(self, model: Any, rows: Sequence[Row], watched: bool) -> None:
        """Encode each prompt once, padded on the left, and copy its cache to its samples."""
        self.model = model
        self.watched = watched
        self.head_input_BH: Tensor | None = None
        prompts = list({row.prompt.name: row.prompt.prompt_ids for row in rows}.items())
        place = {name: i for i, (name, _) in enumerate(prompts)}
        width = max(len(ids) for _, ids in prompts)
        ids_PT = torch.zeros((len(prompts), width), dtype=torch.int64)
        self.mask_BT = torch.zeros_like(ids_PT)
        for i, (_, ids) in enumerate(prompts):
            ids_PT[i, width - len(ids) :] = torch.tensor(ids)
            self.mask_BT[i, width - len(ids) :] = 1
        self.mask_BT = self.mask_BT.to(model.device)
        self.position_B = self.mask_BT.sum(-1)
        # Without padding no mask is needed, and attention without a mask is faster.
        self.padded = not bool(self.mask_BT.all())
        self.wide_mask = _takes_wide_masks(model)
        # A trainer leaves the routers' logits switched on in a mixture of experts; their loss cannot read our masks.
        routed = hasattr(model.config, "output_router_logits")
        self.quiet = {"output_router_logits": False} if routed else {}
        self.cache: Any = None
        positions_PT = (self.mask_BT.cumsum(-1) - 1).clamp(min=0)
        self._forward(ids_PT.to(model.device), positions_PT)
        if len(rows) > len(prompts):
            of_row = [place[row.prompt.name] for row in rows]
            self.select(of_row)

    def advance(self, token_B: Tensor) -> None:
        """Feed one token per row."""
        if self.padded:
            ones_B1 = self.mask_BT.new_ones(len(token_B), 1)
            self.mask_BT = torch.cat([self.mask_BT, ones_B1], dim=-1)
        self._forward(token_B[:, None], self.position_B[:, None])
        self.position_B = self.position_B + 1

    def advance_some(self, token_B: Tensor, live_B: Tensor) -> None:
        """Feed one token to the live rows; the others keep their logits, and their masks leave out the new column."""
        before_BV = self.logits_BV
        live_B1 = live_B[:, None]
        self.padded = True
        self.mask_BT = torch.cat([self.mask_BT, live_B1.to(self.mask_BT.dtype)], dim=-1)
        # What waits may stand where the context ends: its token counts for nothing, and takes the place before.
        position_B = self.position_B - (~live_B).to(self.position_B.dtype)
        self._forward(token_B[:, None], position_B[:, None])
        self.logits_BV = torch.where(live_B1, self.logits_BV, before_BV)
        self.position_B = self.position_B + live_B

    def go_back(self, row: int, count: int) -> None:
        """Take back the last tokens of a row: its mask leaves them out, its logits mean nothing until it is fed."""
        columns = self.mask_BT[row].nonzero().squeeze(-1)
        self.mask_BT[row, columns[len(columns) - count :]] = 0
        self.position_B[row] -= count

    def pack(self, dense: float) -> None:
        """Move each row's columns together, to the right, when less than a share ``dense`` of all is in use.

        Keys were turned by their positions when they were made, so a column may stand anywhere.
        """
        used = self.mask_BT.sum()
        if used >= dense * self.mask_BT.numel():
            return
        width = int(self.mask_BT.sum(-1).max())
        index_BW = self.mask_BT.argsort(dim=-1, stable=True)[:, -width:]
        self.mask_BT = self.mask_BT.gather(-1, index_BW)
        for layer in self.cache.layers:
            if layer.is_initialized:
                wide = index_BW[:, None, :, None].expand(-1, layer.keys.shape[1], -1, -1)
                layer.keys = layer.keys.gather(2, wide.expand(-1, -1, -1, layer.keys.shape[-1]))
                layer.values = layer.values.gather(
                    2, wide.expand(-1, -1, -1, layer.values.shape[-1])
                )

    def select(self, index: Sequence[int]) -> None:
        """Keep, or repeat, the rows at these places."""
        index_B = torch.tensor(index, dtype=torch.int64, device=self.position_B.device)
        self.cache.batch_select_indices(index_B)
        self.mask_BT = self.mask_BT[index_B]
        self.position_B = self.position_B[index_B]
        self.logits_BV = self.logits_BV[index_B]
        if self.head_input_BH is not None:
            self.head_input_BH = self.head_input_BH[index_B]

    def taken(self, index: Sequence[int]) -> Prefilled:
        """The rows at these places as a batch of its own."""
        other = copy(self)
        other.cache = copy(self.cache)
        other.cache.layers = [copy(layer) for layer in self.cache.layers]
        other.select(index)
        return other

    def join(self, others: Sequence[Prefilled]) -> None:
        """Take the rows of others behind one's own, and leave them nothing; the narrow get columns that no row sees."""
        all_ = [self, *others]
        width = max(each.mask_BT.shape[-1] for each in all_)
        missing = [width - each.mask_BT.shape[-1] for each in all_]
        self.padded = self.padded or any(missing) or any(each.padded for each in others)
        for at, layer in enumerate(self.cache.layers):
            if (
                layer.is_initialized
            ):  # one layer after the other, so that no two whole caches are held
                layers = [each.cache.layers[at] for each in all_]
                layer.keys = _side_by_side([each.keys for each in layers], missing)
                layer.values = _side_by_side([each.values for each in layers], missing)
                for each in layers[1:]:
                    each.keys = each.values = None
        masks = [each.mask_BT[:, None, :, None] for each in all_]
        self.mask_BT = _side_by_side(masks, missing)[:, 0, :, 0]
        self.position_B = torch.cat([each.position_B for each in all_])
        self.logits_BV = torch.cat([each.logits_BV for each in all_])

    def _forward(self, ids_BT: Tensor, positions_BT: Tensor) -> None:
        seen: list[Tensor] = []
        if self.watched:
            head = self.model.get_output_embeddings()
            hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        else:
            hook = None
        mask = self.mask_BT if self.padded else None
        if mask is not None and self.wide_mask and ids_BT.shape[1] == 1:
            mask = mask[:, None, None, :].bool()  # as the model would make it, at every step anew
        out = self.model(
            input_ids=ids_BT,
            attention_mask=mask,
            position_ids=positions_BT,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            **self.quiet,
        )
        if hook is not None:
            hook.remove()
            self.head_input_BH = seen[0][:, -1]
        self.cache = out.past_key_values
        self.logits_BV = out.logits[:, -1]


def _side_by_side(parts: Sequence[Tensor], missing: Sequence[int]) -> Tensor:
    """Rows of all parts [B, H, T, D] in one tensor; zeros stand where a part lacks columns on the left."""
    rows, shape = sum(map(len, parts)), list(parts[0].shape[1:])
    shape[1] += missing[0]
    whole, begin = parts[0].new_empty(rows, *shape), 0
    for part, few in zip(parts, missing, strict=True):
        mine = whole[begin : begin + len(part)]
        mine[:, :, :few], mine[:, :, few:] = 0, part
        begin += len(part)
    return whole


def _takes_wide_masks(model: Any) -> bool:
    """Whether one mask [B, 1, 1, T] is what all attention layers need; windows and other kernels make their own."""
    kinds = model.config.to_dict().get("layer_types") or ()
    return model.config._attn_implementation == "sdpa" and set(kinds) == {"full_attention"}


def looks_everywhere(model: Any) -> bool:
    """Whether every layer attends to the whole row, so that columns of its cache can be masked, moved and shared."""
    config = model.config.to_dict()
    kinds = config.get("layer_types")
    if kinds:
        return set(kinds) == {"full_attention"}
    stateful = any(key.startswith(("ssm_", "mamba_", "conv_kernel")) for key in config)
    return config.get("sliding_window") is None and not stateful


def logp(logits_BV: Tensor, token_B: Tensor) -> Tensor:
    """Log-probability of the chosen tokens at temperature 1, in float32."""
    wide_BV = logits_BV.float()
    chosen_B = wide_BV.gather(-1, token_B[:, None]).squeeze(-1)
    return chosen_B - wide_BV.logsumexp(-1)
