"""LightReasoner: the published algorithm, written plainly, against ours, on the same models, questions and settings.

Reference, after methods 3.4 (the released code's structure with its defects in their corrected form, so that both
must agree): questions one at a time through ``model.generate`` with raw logits kept at every step; the amateur
encodes every prefix anew, in padded batches of 8; dense targets over the vocabulary; one training row per kept step.
Ours: questions together, each rollout read once by each model, sparse targets, all kept steps of a rollout in one
row. Before a time is printed, kept steps and weights are compared (1e-4) and so are the losses (1e-5).

    python bench/lightreasoner.py                 # the shipped tiny pair, CPU
    python bench/lightreasoner.py --shape qwen    # Qwen2.5-1.5B against 0.5B shapes, random weights; needs a GPU
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from longstep.contrast.pair import Contrasted, Pair
from longstep.contrast.targets import Contrast, KlGate
from longstep.generate import Prompt, Sampling
from longstep.generate.batches import plan_batches
from longstep.generate.engine import TransformersEngine
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.problems import Chain
from longstep.stages.soft_sft import _rollout_row
from longstep.training.soft import collate, soft_loss

ALPHA, BETA = 0.2, 0.4
AMATEUR_BATCH = 8
ROUNDS = 3


@dataclass(frozen=True)
class Step:
    """One kept step of the reference: its prefix and a dense target."""

    question: int
    position: int
    prefix: list[int]
    target_V: torch.Tensor
    kl: float


@dataclass(frozen=True)
class Bed:
    """What both sides get."""

    expert: Any
    amateur: Any
    vocabulary: int
    questions: list[list[int]]
    tokens: int
    beta: float = BETA


def reference_sampling(bed: Bed) -> list[Step]:
    steps: list[Step] = []
    bed.expert.generation_config.eos_token_id = None  # both sides run to the full length
    for number, question in enumerate(bed.questions):
        prompt_BT = torch.tensor([question], device=bed.expert.device)
        with torch.no_grad():
            out = bed.expert.generate(
                prompt_BT,
                attention_mask=torch.ones_like(prompt_BT),
                do_sample=False,
                max_new_tokens=bed.tokens,
                output_logits=True,
                return_dict_in_generate=True,
                pad_token_id=0,
            )
        rollout = out.sequences[0, len(question) :].tolist()
        prefixes = [question + rollout[:t] for t in range(len(rollout))]
        amateur_TV = torch.cat(
            [
                _last_logits(bed.amateur, prefixes[at : at + AMATEUR_BATCH])
                for at in range(0, len(prefixes), AMATEUR_BATCH)
            ]
        )
        for position, prefix in enumerate(prefixes):
            expert_V = out.logits[position][0, : bed.vocabulary].float().softmax(-1)
            other_V = amateur_TV[position, : bed.vocabulary].float().softmax(-1)
            kl = float((expert_V * (expert_V / other_V).log()).sum())
            if kl > bed.beta:
                ratio_V = (expert_V / other_V) * (expert_V >= ALPHA * expert_V.max())
                steps.append(Step(number, position, prefix, ratio_V / ratio_V.sum(), kl))
    return steps


def _last_logits(model: Any, prefixes: list[list[int]]) -> torch.Tensor:
    width = max(map(len, prefixes))
    ids_BT = torch.zeros((len(prefixes), width), dtype=torch.int64)
    mask_BT = torch.zeros_like(ids_BT)
    for row, prefix in enumerate(prefixes):
        ids_BT[row, : len(prefix)] = torch.tensor(prefix)
        mask_BT[row, : len(prefix)] = 1
    with torch.no_grad():
        out = model(ids_BT.to(model.device), attention_mask=mask_BT.to(model.device))
    last_B = mask_BT.sum(-1) - 1
    return out.logits[torch.arange(len(prefixes)), last_B]


def ours_sampling(bed: Bed, batch: int) -> list[Contrasted]:
    never = frozenset([-1])  # both sides run to the full length
    pair = Pair(TransformersEngine(bed.expert, _Silent(), never), bed.amateur, bed.vocabulary)
    sampling = Sampling(temperature=0, top_p=1, max_tokens=bed.tokens, batch_size=batch)
    prompts = [Prompt(str(n), tuple(q)) for n, q in enumerate(bed.questions)]
    rows: list[Contrasted] = []
    for each in plan_batches(prompts, sampling):
        rows += pair.run(each, sampling, KlGate(beta=bed.beta), Contrast(alpha=ALPHA))
    return sorted(rows, key=lambda row: int(row.completion.problem_id))


class _Silent:
    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> str:
        return ""


def agree(steps: list[Step], rows: list[Contrasted], beta: float) -> tuple[int, float]:
    """Kept steps in common, and the largest difference of a weight; raises when they disagree."""
    theirs = {(step.question, step.position): step for step in steps}
    ours = {(int(r.completion.problem_id), t.position): t for r in rows for t in r.targets}
    for key in theirs.keys() ^ ours.keys():  # only a KL within rounding of the gate may differ
        kl = theirs[key].kl if key in theirs else ours[key].kl
        if abs(kl - beta) > 1e-4:
            raise SystemExit(f"kept by one side only: question and step {key}, KL {kl}")
    worst = 0.0
    for key in theirs.keys() & ours.keys():
        dense_V = torch.zeros_like(theirs[key].target_V)
        for token, weight in zip(ours[key].token_ids, ours[key].weights, strict=True):
            dense_V[token] = weight
        worst = max(worst, float((dense_V - theirs[key].target_V).abs().max()))
    if worst > 1e-4:
        raise SystemExit(f"weights differ by {worst:.1e}")
    return len(theirs.keys() & ours.keys()), worst


def reference_training(model: Any, steps: list[Step], batch: int) -> float:
    """One pass over the steps, a row each; gives the mean loss."""
    total = 0.0
    for at in range(0, len(steps), batch):
        part = steps[at : at + batch]
        width = max(len(step.prefix) for step in part)
        ids_BT = torch.zeros((len(part), width), dtype=torch.int64)
        mask_BT = torch.zeros_like(ids_BT)
        for row, step in enumerate(part):
            ids_BT[row, : len(step.prefix)] = torch.tensor(step.prefix)
            mask_BT[row, : len(step.prefix)] = 1
        out = model(ids_BT.to(model.device), attention_mask=mask_BT.to(model.device))
        last_B = mask_BT.sum(-1) - 1
        logits_BV = out.logits[torch.arange(len(part)), last_B].float()
        target_BV = torch.stack([step.target_V for step in part]).to(logits_BV.device)
        logps_BV = logits_BV.log_softmax(-1)[:, : target_BV.shape[-1]]
        loss = (target_BV.xlogy(target_BV) - target_BV * logps_BV).sum(-1)
        (loss.mean()).backward()
        total += float(loss.detach().sum())
    return total / len(steps)


def ours_training(model: Any, rows: list[Contrasted], batch: int) -> float:
    """One pass over the rollouts, ``batch`` rows each; gives the mean loss."""
    made = [_rollout_row(row.completion, list(row.targets)) for row in rows if row.targets]
    total, count = 0.0, 0
    for at in range(0, len(made), batch):
        part = made[at : at + batch]
        inputs = {k: v.to(model.device) for k, v in collate(part, 0).items()}
        loss = soft_loss(model, inputs, None)
        loss.backward()
        positions = sum(len(row.places) for row in part)
        total, count = total + float(loss.detach()) * positions, count + positions
    return total / count


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    result, seconds = None, []
    for _ in range(ROUNDS):
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        result = work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def tiny_bed(questions: int, tokens: int) -> Bed:
    expert, amateur = (shipped_folder(n) for n in ("longstep-tiny", "longstep-tiny-rater"))
    tokenizer = load_tokenizer(expert)
    problems = Chain(count=questions, difficulty=(1, 8)).load(0)
    ids = [tokenizer(p.prompt, add_special_tokens=False)["input_ids"] for p in problems]
    return Bed(load_model(expert).eval(), load_model(amateur).eval(), len(tokenizer), ids, tokens)  # pyright: ignore


def qwen_bed(questions: int, tokens: int) -> Bed:
    """Qwen2.5-1.5B and 0.5B shapes with random weights: the work is real, the words are not."""
    torch.manual_seed(0)
    shapes = [(1536, 8960, 28, 12, 2), (896, 4864, 24, 14, 2)]
    models = []
    for width, inner, layers, heads, kv in shapes:
        config = Qwen2Config(
            vocab_size=151_936, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv, tie_word_embeddings=True,
        )  # fmt: skip
        with torch.device("cuda"):
            models.append(Qwen2ForCausalLM(config).to(torch.bfloat16).eval())
    ids = torch.randint(0, 151_000, (questions, 100)).tolist()
    return Bed(models[0], models[1], 151_665, ids, tokens, beta=0.0)


def compare(bed: Bed, batch: int, few: int) -> None:
    """Print one line: both sides on the same questions, the reference on the first ``few`` of them only."""
    device = bed.expert.device.type
    part = Bed(bed.expert, bed.amateur, bed.vocabulary, bed.questions[:few], bed.tokens, bed.beta)
    ours_sampling(part, batch)  # warm
    slow, steps = timed(lambda: reference_sampling(part), device)
    fast, rows = timed(lambda: ours_sampling(bed, batch), device)
    common, worst = agree(steps, rows[:few], bed.beta)
    sampling = (slow / few) / (fast / len(bed.questions))
    train_slow, loss_slow = timed(lambda: reference_training(bed.expert, steps, 16), device)
    train_fast, loss_fast = timed(lambda: ours_training(bed.expert, rows[:few], 16), device)
    if abs(loss_slow - loss_fast) > 1e-5 * max(1.0, loss_slow):
        raise SystemExit(f"losses differ: {loss_slow} and {loss_fast}")
    memory = f"  {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if device != "cpu" else ""
    print(
        f"{bed.tokens:6d} {batch:5d} {len(bed.questions):9d} | {few / slow:8.2f} {len(bed.questions) / fast:9.1f}"
        f" {sampling:7.1f}x | {len(steps) / train_slow:8.0f} {common / train_fast:9.0f}"
        f" {train_slow / train_fast:7.1f}x | {common:5d} kept, weights within {worst:.0e},"
        f" loss {loss_slow:.6f} = {loss_fast:.6f}{memory}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=("tiny", "qwen"), default="tiny")
    asked = parser.parse_args()
    if asked.shape == "qwen" and not torch.cuda.is_available():
        sys.exit("--shape qwen needs a GPU; none is here")
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.2f}"
    )
    print(
        "                        |  sampling, questions/s         |  training, positions/s         |"
    )
    print(
        "tokens batch questions | reference    ours     ratio |  reference    ours    ratio | both agree"
    )
    if asked.shape == "tiny":
        for tokens in (32, 64, 128):
            compare(tiny_bed(512, tokens), batch=512, few=8)
        for batch in (1, 8, 32, 128):
            compare(tiny_bed(max(8, batch), 64), batch=batch, few=8)
    else:
        for tokens in (64, 128, 256):
            compare(qwen_bed(64, tokens), batch=64, few=2)


if __name__ == "__main__":
    main()
