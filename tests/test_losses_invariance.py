"""The same batch gives the same loss and gradient however it is cut: packed, in micro-batches, over two ranks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from bounds import chain_bound
from longstep.losses import (
    Dapo,
    DrGrpo,
    Grpo,
    Gspo,
    Nca,
    Rloo,
    Tokens,
    Whole,
    next_token,
    token_logps,
)
from longstep.losses.penalties import K3
from patience import PATIENCE

pytestmark = pytest.mark.equality
torch.set_num_threads(1)
LENGTHS = (7, 3, 5, 6)
#: Sums over the 21 tokens, or over at most 40 terms inside of one (the vocabulary), eight behind one another: attention's
#: scores and values, two matrices before and two behind, and the loss. Each adds to the rounding of the one before.
BOUND = chain_bound(sums=8, terms=40)


def pico():
    """A Qwen2 with one layer of width 16 and a vocabulary of 40; the same weights each time."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        attn_implementation="sdpa",
    )
    return Qwen2ForCausalLM(config).float()


def batch():
    """Padded ids, attention mask, and a mask over the shifted tokens that leaves out a prompt of one."""
    make = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 40, (4, 7), generator=make)
    attention = (torch.arange(7) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    mask = attention[:, 1:].clone()
    mask[:, 0] = 0
    return ids * attention, attention, mask


def logps_of(model, ids, attention):
    logits = model(input_ids=ids, attention_mask=attention).logits
    return token_logps(logits[:, :-1], ids[:, 1:])


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_packed_equals_padded():
    model = pico()
    ids, attention, mask = batch()
    padded = next_token(logps_of(model, ids, attention), mask).loss
    want = gradients(model, padded)

    flat = torch.cat([ids[i, :n] for i, n in enumerate(LENGTHS)]).unsqueeze(0)
    position = torch.cat([torch.arange(n) for n in LENGTHS]).unsqueeze(0)
    owner = torch.cat([torch.full((n,), i) for i, n in enumerate(LENGTHS)])
    causal = torch.ones(len(owner), len(owner)).tril().bool()
    allowed = (causal & (owner.unsqueeze(0) == owner.unsqueeze(1))).view(1, 1, len(owner), -1)
    logits = model(input_ids=flat, position_ids=position, attention_mask=allowed).logits
    # A sequence's first token has no place before it, and its second is the prompt here.
    supervised = (position[:, 1:] >= 2).long()
    packed = next_token(token_logps(logits[:, :-1], flat[:, 1:]), supervised).loss
    torch.testing.assert_close(packed, padded, atol=BOUND, rtol=0)
    torch.testing.assert_close(gradients(model, packed), want, atol=BOUND, rtol=0)

    leaking = model(input_ids=flat, position_ids=position, attention_mask=causal.view(1, 1, 21, 21))
    leaked = next_token(token_logps(leaking.logits[:, :-1], flat[:, 1:]), supervised).loss
    assert abs(leaked - padded) > 10 * BOUND  # without the block mask the test would notice


ADVANTAGES = torch.tensor([1.0, -0.5, 2.0, -1.0])


def loss_next_token(model, rows, ids, attention, mask):
    logps = logps_of(model, ids[rows], attention[rows])
    return next_token(logps, mask[rows], total=float(mask.sum())).loss


def policy(config):
    def loss(model, rows, ids, attention, mask):
        old = torch.linspace(-4.5, -3.0, mask.numel()).view(mask.shape)[rows]
        tokens = Tokens(
            logps_BT=logps_of(model, ids[rows], attention[rows]),
            old_BT=old,
            advantages_BT=ADVANTAGES[rows].unsqueeze(-1),
            mask_BT=mask[rows],
            ref_BT=old - 0.1,
        )
        whole = Whole(sequences=4, tokens=int(mask.sum()), longest=6)
        return config.loss(tokens, config.divisor(whole)).loss

    return loss


def loss_nca(model, rows, ids, attention, mask):
    ratios = (logps_of(model, ids[rows], attention[rows]) * mask[rows]).sum(-1) + 10.0
    return Nca().loss(ratios[0::2], ratios[1::2], total=2.0).loss


@pytest.mark.parametrize(
    "loss",
    [
        loss_next_token,
        policy(Grpo(penalty=K3(beta=0.1))),
        policy(Dapo()),
        policy(DrGrpo()),
        policy(Gspo()),
        policy(Rloo(epsilon=0.99, epsilon_high=1e6)),
        loss_nca,
    ],
    ids=["next-token", "grpo", "dapo", "dr-grpo", "gspo", "rloo", "nca"],
)
def test_micro_batches_add_up(loss):
    model, data = pico(), batch()
    whole = loss(model, slice(0, 4), *data)
    want = gradients(model, whole)
    parts = [loss(model, slice(start, start + 2), *data) for start in (0, 2)]
    torch.testing.assert_close(sum(parts), whole, atol=BOUND, rtol=0)
    torch.testing.assert_close(gradients(model, sum(parts)), want, atol=BOUND, rtol=0)


# -- two ranks --------------------------------------------------------------------------------------


def train(rank: int, ranks: int) -> list[list[float]]:
    """Three SFT steps on this rank's rows; loss of the whole batch and gradient norm of each."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    model = pico()
    ids, attention, mask = batch()
    rows = slice(rank * 4 // ranks, (rank + 1) * 4 // ranks)
    total = float(mask.sum())
    if ranks > 1:
        fully_shard(model.model.layers[0])
        fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    seen = []
    for _ in range(3):
        logps = logps_of(model, ids[rows], attention[rows])
        # FSDP averages gradients over ranks; the losses of the parts must be added.
        loss = next_token(logps, mask[rows], total).loss
        (loss * ranks).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        whole = loss.detach().clone()
        if ranks > 1:
            dist.all_reduce(whole)
            norm = norm.full_tensor()
        optimizer.step()
        optimizer.zero_grad()
        seen.append([whole.item(), norm.item()])
    return seen


def worker(out: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo")
    seen = train(dist.get_rank(), dist.get_world_size())
    if dist.get_rank() == 0:
        Path(out).write_text(json.dumps(seen))
    dist.barrier()
    # gloo's threads sometimes abort while they are taken down; what is compared is written by now.
    os._exit(0)


def test_two_fsdp_ranks_equal_one_process(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "seen.json"
    base = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    base |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    base["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, __file__, str(out)]
    ranks = [subprocess.Popen(command, env={**base, "RANK": str(rank)}) for rank in range(2)]
    try:
        assert [rank.wait(timeout=PATIENCE) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    seen, alone = json.loads(out.read_text()), train(0, 1)
    for (loss, norm), (want_loss, want_norm) in zip(seen, alone, strict=True):
        # Three steps at rate 0.5: what the gradients were off by in one is in the weights of the next.
        assert loss == pytest.approx(want_loss, abs=3 * BOUND)
        assert norm == pytest.approx(want_norm, abs=3 * BOUND)
    assert alone[2][0] < alone[0][0]  # it did train


if __name__ == "__main__":
    worker(sys.argv[1])
