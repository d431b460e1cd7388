"""A batch in decoding: the model's cache, its mask and the next token's logits, one row per answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from longstep.generate.batches import Row
from longstep.generate.room import give_room


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
        #: Whether rows can change places and the last ones be dropped, without a copy of the others.
        self.roomy = give_room(self.cache)
        if len(rows) > len(prompts):
            of_row = [place[row.prompt.name] for row in rows]
            self.select(torch.tensor(of_row, device=model.device))

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
        self._forward(token_B[:, None], self.position_B[:, None])
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

    def select(self, index_B: Tensor) -> None:
        """Keep, or repeat, the rows at these places."""
        self.cache.batch_select_indices(index_B)
        self.mask_BT = self.mask_BT[index_B]
        self.position_B = self.position_B[index_B]
        self.logits_BV = self.logits_BV[index_B]
        if self.head_input_BH is not None:
            self.head_input_BH = self.head_input_BH[index_B]

    def swap(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Let rows of a roomy cache change places."""
        device = self.position_B.device
        to_K = torch.tensor([*one, *other], device=device)
        from_K = torch.tensor([*other, *one], device=device)
        for layer in self.cache.layers:
            layer.move(to_K, from_K)
        order_B = torch.arange(len(self.position_B), device=device).index_copy(0, to_K, from_K)
        self.mask_BT = self.mask_BT[order_B]
        self.position_B = self.position_B[order_B]
        self.logits_BV = self.logits_BV[order_B]

    def drop_behind(self, count: int) -> None:
        """Keep the first rows of a roomy cache."""
        for layer in self.cache.layers:
            layer.drop_behind(count)
        self.mask_BT, self.position_B = self.mask_BT[:count], self.position_B[:count]
        self.logits_BV = self.logits_BV[:count]

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
