"""Tokens per second of our engine against ``model.generate``: same tiny model, prompts, sampling.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/generate.py [rows] [max_tokens]``.
The stop id is outside the vocabulary, so that both produce the same number of tokens.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from longstep.generate import Prompt, Sampling
from longstep.generate.engine import TransformersEngine

SAMPLES = 8


class NoText:
    """Decoding to text is left out on both sides."""

    def decode(self, token_ids: object, skip_special_tokens: bool = False) -> str:
        """Give nothing."""
        return ""


def seconds(run: Callable[[], object]) -> float:
    """Give the median of three runs after one warm-up."""
    run()
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(rows: int = 256, max_tokens: int = 64) -> None:
    """Measure both and write the ratio."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=81,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
    )
    model = Qwen2ForCausalLM(config).eval()
    ids_PT = torch.randint(1, 80, (rows // SAMPLES, 24))
    prompts = [Prompt(f"{i:04d}", tuple(ids)) for i, ids in enumerate(ids_PT.tolist())]
    sampling = Sampling(max_tokens=max_tokens, samples=SAMPLES, batch_size=rows)
    engine = TransformersEngine(model, NoText(), {81})  # outside the vocabulary: never drawn

    def theirs() -> object:
        return model.generate(
            ids_PT.repeat_interleave(SAMPLES, 0),
            attention_mask=torch.ones(rows, 24, dtype=torch.int64),
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            max_new_tokens=max_tokens,
            pad_token_id=0,
            eos_token_id=81,
        )

    ours_s = seconds(lambda: list(engine.draw(prompts, sampling)))
    theirs_s = seconds(theirs)
    tokens = rows * max_tokens
    sys.stdout.write(
        f"{rows} rows x {max_tokens} tokens: ours {tokens / ours_s:,.0f} tokens/s,"
        f" generate {tokens / theirs_s:,.0f} tokens/s, ratio {theirs_s / ours_s:.2f}\n"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
