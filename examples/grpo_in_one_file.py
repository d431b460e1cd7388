"""Group-relative policy optimisation in one file, with nothing hidden.

    python examples/grpo_in_one_file.py             # under a minute on one core
    python examples/grpo_in_one_file.py --steps 2   # a look at the machinery

A tiny model reads ``a3b+4c-2?`` (a = 3, b = a + 4, c = b - 2, modulo 10) and must say what the last variable is:
``<think>a3b+4=7c-2=5</think>\\boxed{5}``. It first sees some worked solutions, so that it is right now and then; from
there on it learns from nothing but verdicts on its own answers. The five parts below are the loop:

    problems -> roll_out -> judge -> advantages -> update -> problems -> ...

What the stage ``rl`` of longstep adds to this file is engineering: checkpoints, curricula, health rules, several
devices. The arithmetic is the same.

Shape suffixes: P problems, G samples per problem, B = P * G sequences, T tokens, V vocabulary.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from longstep.generate import Prompt, Sampling
from longstep.generate.engine import TransformersEngine
from longstep.losses import Groups, LightR1, Tokens, Whole, next_token, token_logps
from longstep.losses.rewards import Correctness, Graded, shaped_reward
from longstep.models.bounds import stop_ids
from longstep.models.chat import encode_turn, render_prompt
from longstep.models.load import load_model, load_tokenizer, locate, save_model
from longstep.optimizers import Muon
from longstep.problems import Chain
from longstep.types import Completion, Problem, Verdict
from longstep.verify import judge

DIFFICULTY = (2, 3)  # steps per chain
MAX_TOKENS = 64


@dataclass(frozen=True)
class Policy:
    """A model in training and what belongs to it."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, name: str) -> Policy:
        """Open a shipped model or a Hugging Face folder."""
        folder = locate(name)
        return cls(load_model(folder, "float32"), load_tokenizer(folder))

    def prompts(self, problems: Sequence[Problem], noise: str = "") -> list[Prompt]:
        """Render questions once, up to the forced ``<think>``; from here on there are only token ids."""
        rendered = [render_prompt(self.tokenizer, problem.prompt) for problem in problems]
        return [
            Prompt(p.id, r.ids, r.prefix, key=noise + p.id)
            for p, r in zip(problems, rendered, strict=True)
        ]

    def sample(
        self, problems: Sequence[Problem], sampling: Sampling, noise: str = ""
    ) -> dict[str, list[Completion]]:
        """Draw completions of every problem, by problem id; ``noise`` and the id name the noise of a draw."""
        self.model.eval()
        engine = TransformersEngine(
            self.model, self.tokenizer, stop_ids(self.model, self.tokenizer)
        )
        drawn: dict[str, list[Completion]] = {problem.id: [] for problem in problems}
        for completion in engine.draw(self.prompts(problems, noise), sampling):
            drawn[completion.problem_id].append(completion)
        return drawn


# -- 1. problems ----------------------------------------------------------------------------------


def chains(count: int, seed: int, heldout: bool = False) -> list[Problem]:
    """Problems with worked solutions; a held-out problem is never a training problem, whatever the seed."""
    split = "heldout" if heldout else "train"
    return list(Chain(count=count, difficulty=DIFFICULTY, split=split).load(seed))


# -- 2. rollouts ----------------------------------------------------------------------------------


def roll_out(
    policy: Policy, problems: Sequence[Problem], group: int, step: int
) -> list[Completion]:
    """Draw ``group`` completions of each problem, group after group, with the log-probabilities they were drawn with.

    Temperature 1 and no top-p: the update below is only right for samples of the policy itself. The step is part of the
    noise's name and not added to the seed, so that runs of neighbouring seeds have nothing in common.
    """
    sampling = Sampling(
        temperature=1.0, top_p=1.0, max_tokens=MAX_TOKENS, samples=group, logprobs=True
    )
    drawn = policy.sample(problems, sampling, f"{step}:")
    return [completion for problem in problems for completion in drawn[problem.id]]


# -- 3. verdicts and rewards ----------------------------------------------------------------------


def judge_all(problems: Sequence[Problem], completions: Sequence[Completion]) -> list[Verdict]:
    """Ask each problem's verifier about each completion; a completion cut at the limit is ``truncated``."""
    by_id = {problem.id: problem for problem in problems}
    return [judge(by_id[c.problem_id], c.text, c.finish_reason) for c in completions]


def rewards(completions: Sequence[Completion], verdicts: Sequence[Verdict]) -> list[float]:
    """One for right and zero for wrong; NaN where the verdict says nothing about the model.

    Zero instead of NaN would teach the model that a verifier's timeout was its own mistake. Rewards may also look at
    the length: with ``ClippedCosine()`` here wrong answers learn to be long long before right ones become frequent.
    """
    shape = (Correctness(),)
    shaped = [
        shaped_reward(shape, Graded(verdict.correctness, len(completion.token_ids), MAX_TOKENS))
        for completion, verdict in zip(completions, verdicts, strict=True)
    ]
    return [float("nan") if reward is None else reward for reward in shaped]


# -- 4. tensors -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Rows of prompt and completion, padded on the right, where causal attention never looks.

    Attributes:
        ids_BT: prompt ids, completion ids, padding.
        mask_BT: 1 on the completion, its stop token included.
        old_logps_BT: log-probabilities noted while sampling; anything outside of the mask.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    old_logps_BT: Tensor


def collate(completions: Sequence[Completion], pad: int) -> Batch:
    """Put sampled ids into one rectangle. Nothing is decoded and tokenised again: the ids are those sampled."""
    width = max(len(c.prompt_ids) + len(c.token_ids) for c in completions)
    ids_BT = torch.full((len(completions), width), pad)
    mask_BT = torch.zeros(len(completions), width)
    old_logps_BT = torch.zeros(len(completions), width)
    for row, completion in enumerate(completions):
        start = len(completion.prompt_ids)
        end = start + len(completion.token_ids)
        ids_BT[row, :end] = torch.tensor(completion.prompt_ids + completion.token_ids)
        mask_BT[row, start:end] = 1.0
        if completion.logprobs is not None:
            old_logps_BT[row, start:end] = torch.tensor(completion.logprobs)
    return Batch(ids_BT, mask_BT, old_logps_BT)


def logps(model: Any, ids_BT: Tensor) -> Tensor:
    """Log-probability of every token given those before it; 0 for the first, which nothing predicts."""
    logits_BTV = model(input_ids=ids_BT[:, :-1]).logits
    return torch.nn.functional.pad(token_logps(logits_BTV, ids_BT[:, 1:]), (1, 0))


# -- 5. the update --------------------------------------------------------------------------------


def update(
    policy: Policy,
    reference: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    rewards_PG: Tensor,
) -> dict[str, float]:
    """Take one step on one batch of rollouts.

    Its advantages are GRPO's: a reward counts by how far it is from those of the same problem. A group of equal rewards
    gives advantage 0 everywhere: too easy or too hard, it teaches nothing.
    ``LightR1`` clips the probability ratio and adds a little KL to the start model; try ``Dapo()`` or ``Grpo()``.
    """
    algorithm = LightR1()
    lengths_PG = batch.mask_BT.sum(-1).reshape(rewards_PG.shape)
    advantages = algorithm.advantages(Groups(rewards_PG=rewards_PG, lengths_PG=lengths_PG))
    mask_BT = batch.mask_BT * advantages.trains_PG.reshape(-1, 1)
    trained = int(advantages.trains_PG.sum())
    whole = Whole(sequences=trained, tokens=int(mask_BT.sum()), longest=mask_BT.size(1))
    with torch.no_grad():
        ref_logps_BT = logps(reference, batch.ids_BT)
    policy.model.train()
    tokens = Tokens(
        logps_BT=logps(policy.model, batch.ids_BT),
        old_BT=batch.old_logps_BT,
        advantages_BT=advantages.values_PG.reshape(-1, 1),
        mask_BT=mask_BT,
        ref_BT=ref_logps_BT,
    )
    out = algorithm.loss(tokens, max(1.0, algorithm.divisor(whole)))
    optimizer.zero_grad()
    out.loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
    optimizer.step()
    silent = float((advantages.values_PG == 0).all(-1).float().mean())
    return {"norm": float(norm), "kl": float(out.metrics["kl"]), "silent": silent}


# -- before and after -----------------------------------------------------------------------------


def warm_start(policy: Policy, steps: int, enough: float = 0.5, size: int = 64) -> None:
    """Supervised steps on worked solutions, until half of the answers are right.

    Where no answer is ever right, or every one is, there is nothing to tell apart and nothing to learn from rewards.
    """
    optimizer = Muon(lr=1e-2).build(policy.model)
    rows: list[Completion] = []
    for problem in chains(1024, seed=1):
        rendered = render_prompt(policy.tokenizer, problem.prompt)
        text = f"<think>{problem.solution}</think>\\boxed{{{problem.answer}}}"
        turn = tuple(encode_turn(policy.tokenizer, rendered, text))
        rows.append(Completion(problem.id, 0, rendered.ids, turn, text, "stop"))
    check = chains(64, seed=4)
    for step in range(steps):
        if step % 5 == 0 and score(policy, check) >= enough:
            break
        start = step * size % len(rows)
        batch = collate(rows[start : start + size], policy.tokenizer.pad_token_id)
        policy.model.train()
        loss = next_token(logps(policy.model, batch.ids_BT), batch.mask_BT).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def score(policy: Policy, problems: Sequence[Problem]) -> float:
    """Share of problems whose most likely answer is right."""
    drawn = policy.sample(problems, Sampling(temperature=0, top_p=1.0, max_tokens=MAX_TOKENS))
    completions = [drawn[problem.id][0] for problem in problems]
    return sum(v.status == "correct" for v in judge_all(problems, completions)) / len(problems)


def train(policy: Policy, steps: int, questions: int, group: int, lr: float) -> None:
    """Run the loop; prints one line per step."""
    reference = copy.deepcopy(policy.model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=lr, betas=(0.9, 0.95))
    pool = chains(questions * steps, seed=2)
    for step in range(steps):
        problems = pool[step * questions : (step + 1) * questions]
        completions = roll_out(policy, problems, group, step)
        verdicts = judge_all(problems, completions)
        rewards_PG = torch.tensor(rewards(completions, verdicts)).reshape(questions, group)
        batch = collate(completions, policy.tokenizer.pad_token_id)
        facts = update(policy, reference, optimizer, batch, rewards_PG)
        right = sum(verdict.status == "correct" for verdict in verdicts) / len(verdicts)
        length = sum(len(completion.token_ids) for completion in completions) / len(completions)
        print(
            f"step {step + 1:3d}  reward {rewards_PG.nanmean():+.3f}  right {right:.2f}  length {length:4.1f}  "
            f"silent groups {facts['silent']:.2f}  kl {facts['kl']:.4f}  grad {facts['norm']:.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Warm start, measure, train, measure again."""
    parser = argparse.ArgumentParser(description="GRPO in one file")
    parser.add_argument("--model", default="longstep-tiny", help="shipped name or model folder")
    parser.add_argument("--warm", type=int, default=300, help="most supervised steps before")
    parser.add_argument("--steps", type=int, default=25, help="GRPO steps")
    parser.add_argument("--questions", type=int, default=64, help="problems per step")
    parser.add_argument("--group", type=int, default=8, help="samples per problem")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, help="write the model here")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    policy = Policy.load(given.model)
    warm_start(policy, given.warm)
    exam = chains(200, seed=3, heldout=True)
    before = score(policy, exam)
    print(f"held-out problems whose most likely answer is right: {before:.2f} before")
    train(policy, given.steps, given.questions, given.group, given.lr)
    print(f"{score(policy, exam):.2f} after (was {before:.2f}), {time.monotonic() - started:.0f} s")
    if given.out is not None:
        save_model(policy.model, policy.tokenizer, given.out)
        print(f"written: {given.out}")


if __name__ == "__main__":
    main()
