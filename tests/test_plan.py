import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from longstep.config import UserError
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding, Holding
from longstep.costs.estimate import Estimator, Fleet, Unknown
from longstep.costs.flow import Flow
from longstep.costs.planning import DEVICES, Planning
from longstep.costs.shapes import MODELS, Shape, shape_of
from longstep.evaluate import resolve
from longstep.problems import Chain, HubDataset, JsonlFile
from longstep.run.launch.accelerate import Launch, launch_command
from longstep.run.plan import COLUMNS, make_plan, plan_table
from longstep.run.recipe import load, recipe_files

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
OVERLAYS = [
    (folder.name, {"recipe": None, "evidence": "tiny+evidence"}.get(file.stem, file.stem))
    for folder in sorted(RECIPES.iterdir())
    for file in sorted(folder.glob("*.yaml"))
]
#: Light-R1-32B trained on 12 machines of 8 H800, no device waiting for a batch of 8 pairs.
PUBLISHED_SFT = ["launch.machines=12", "plan.device=h800", "plan.rows.sft1=76000"]
#: Light-R1-14B-DS: GRPO on 16 machines of 8 A100.
PUBLISHED_RL = ["launch.machines=16", "plan.device=a100"]


def plan_of(name, size=None, *overrides):
    return make_plan(load(recipe_files(str(RECIPES / name), size), overrides)[0])


# -- models ---------------------------------------------------------------------------------------

# Number of parameters on each model's hub page (from its safetensors header).
PUBLISHED = {
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "Qwen/Qwen2.5-3B-Instruct": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B-Instruct": 14_770_033_664,
    "Qwen/Qwen2.5-32B-Instruct": 32_763_876_352,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_give_the_published_number_of_parameters(name):
    assert MODELS[name].parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", ["longstep-tiny", "longstep-tiny-rater"])
def test_a_shipped_model_is_read_from_its_config(name):
    from safetensors import safe_open

    import longstep

    file = Path(longstep.__file__).parent / "data" / name / "model.safetensors"
    with safe_open(file, "pt") as weights:
        stored = sum(weights.get_tensor(key).numel() for key in weights.keys())  # noqa: SIM118
    shape, remark = shape_of(name)
    assert (shape.parameters, remark) == (stored, "")


def test_an_unknown_model_is_guessed_from_its_name_or_refused():
    shape, remark = shape_of("somebody/Finetune-of-14B-v2")
    assert shape == MODELS["Qwen/Qwen2.5-14B-Instruct"] and "not in the table" in remark
    with pytest.raises(UserError, match="size of model 'somebody/secret' is unknown"):
        shape_of("somebody/secret")


# -- arithmetic -----------------------------------------------------------------------------------

SMALL = Shape(layers=2, width=8, inner=16, heads=2, kv_heads=1, vocab=10, tied=True)


def test_operations_by_hand():
    # Per layer: q and o 8*8 each, k and v 8*4 each, three MLP matrices 8*16: 64+64+32+32+384 = 576.
    # Two layers and the output layer 10*8: 1232. Attention: 2 * 2 layers * 8 wide * 100 tokens = 3200.
    assert SMALL.matrices == 2 * 576 + 80
    assert costs.token_flops(SMALL, 100, costs.FORWARD) == 2 * 1232 + 3200
    assert costs.token_flops(SMALL, 100, costs.TRAIN) == 3 * (2 * 1232 + 3200)


def test_operations_agree_with_torchs_counter():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(1)
    model, tokens = _qwen(SMALL, "eager"), 64
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.zeros(1, tokens, dtype=torch.long))
    # Eager attention also multiplies what the causal mask throws away, as much again as it keeps.
    masked = 2 * SMALL.layers * SMALL.attention_width * tokens
    assert counter.get_total_flops() == tokens * (
        costs.token_flops(SMALL, tokens, costs.FORWARD) + masked
    )


def test_layer_activations_agree_with_what_autograd_saves():
    import torch

    def saved(layers):
        shape = Shape(layers, 256, 1408, 4, 2, 64, True)
        model = _qwen(shape, "sdpa").to(torch.bfloat16)
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        kept = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            hold = model.model(input_ids=torch.zeros(1, 256, dtype=torch.long)).last_hidden_state
        assert hold is not None
        return sum(size for size, _ in kept.values()), shape

    torch.set_num_threads(1)
    (three, shape), (one, _) = saved(3), saved(1)
    assert (three - one) / 2 / 256 == pytest.approx(costs.layer_bytes(shape), rel=0.15)


def _qwen(shape, attention):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        attn_implementation=attention,
    )
    model = Qwen2ForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters
    return model


def test_states_shard_over_devices():
    shape = MODELS["Qwen/Qwen2.5-7B-Instruct"]
    whole = costs.state_bytes(shape, Holding(1, 0, True))
    # 16 bytes for each of 7.616e9 weights, and bf16 copies of the 7.07e9 in matrices.
    assert whole == pytest.approx(16 * 7.616e9 + 2 * 7.070e9, rel=1e-3)
    eight = costs.state_bytes(shape, Holding(8, 0, True))
    assert (
        eight - costs.state_bytes(shape, Holding(8, 0, True, offload=True)) == 2 * shape.parameters
    )
    adapters = costs.state_bytes(shape, Holding(1, 0, True, adapters=1000))
    assert whole - adapters == 12 * shape.parameters - 16 * 1000


def test_adapters_agree_with_peft():
    from peft import LoraConfig, get_peft_model

    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    model = get_peft_model(_qwen(SMALL, "eager"), LoraConfig(r=3, target_modules=list(targets)))
    assert costs.adapter_parameters(SMALL, 3, targets) == model.get_nb_trainable_parameters()[0]


def test_few_long_answers_cost_the_longest_one():
    shape, plan = MODELS["deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"], Planning(device="a100")
    alone = costs.decoding_hours(shape, Decoding(128, 0, 9000, 24_000, 8), 128, plan)
    # 24,000 steps, each reading 29.54 GB at 0.6 * 2.04 TB/s, and half of 9000 tokens' keys and values
    # (2 * 2 * 48 layers * 1024 = 196,608 bytes each) in 9000 of them.
    seconds = (24_000 * 29.54e9 + 9000 * 4500 * 196_608) / (0.6 * 2.04e12)
    assert alone * 3600 == pytest.approx(seconds, rel=1e-3)
    eight = costs.decoding_hours(shape, Decoding(8 * 128, 0, 9000, 24_000, 8), 128, plan)
    assert alone < eight < 1.3 * alone


def test_many_answers_scale_with_their_number():
    shape, plan = MODELS["Qwen/Qwen2.5-1.5B-Instruct"], Planning()
    some = costs.decoding_hours(shape, Decoding(1e5, 100, 2000, 4000, 64), 8, plan)
    more = costs.decoding_hours(shape, Decoding(2e5, 100, 2000, 4000, 64), 8, plan)
    assert more / some == pytest.approx(2, rel=0.02)


def test_busy_share():
    assert costs.busy_share(96, 96) == 1.0
    assert costs.busy_share(32, 96) == pytest.approx(1 / 3)
    assert costs.busy_share(100, 96) == pytest.approx(100 / 192)


# -- against the published cost -------------------------------------------------------------------


def test_light_r1_32b_against_the_published_six_hours_and_1000_dollars():
    # README of Light-R1: "no more than 6 hours" on 12 x H800 machines, "around $1000", for SFT and DPO.
    made = plan_of("light-r1", "qwen-32b", *PUBLISHED_SFT)
    hours = made.stage("sft1").hours + made.stage("sft2").hours
    assert 6 / 2 < hours < 6 * 2
    assert 1000 / 2 < hours * 96 * DEVICES["h800"].price < 1000 * 2
    # Not on 12 single H800, as the paper says: the same work takes more than ten times as long there.
    twelve = plan_of("light-r1", "qwen-32b", *PUBLISHED_SFT[1:], "launch.processes=12")
    assert twelve.stage("sft1").hours > 5 * 6


@pytest.mark.parametrize(("steps", "published"), [(140, 26.0), (220, 42.0)])
@pytest.mark.parametrize("tokens", [6000, 9000, 12_000])
def test_light_r1_14b_grpo_against_the_published_hours(steps, published, tokens):
    overrides = [*PUBLISHED_RL, f"stages.rl.steps={steps}", f"plan.tokens.rl={tokens}"]
    made = plan_of("light-r1-ds", "ds-14b", *overrides)
    assert published / 1.5 < made.stage("rl").hours < published * 1.5


# -- recipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), OVERLAYS)
def test_every_recipe_and_overlay_has_a_plan(name, size):
    made = plan_of(name, size)
    table = plan_table(made)
    assert table[0] == list(COLUMNS) and table[-1][0] == "total"
    assert len(table) == len(made.stages) + 2 and all(len(row) == len(COLUMNS) for row in table)
    assert json.loads(json.dumps(made.as_json()))["hours"] == pytest.approx(
        sum(s.hours for s in made.stages)
    )
    assert len(made.assumptions) >= 6
    assert (made.hours > 0) == any(stage.parameters for stage in made.stages)


@pytest.mark.parametrize(
    ("name", "size"), [each for each in OVERLAYS if str(each[1]).startswith(("qwen-", "ds-"))]
)
def test_overlays_for_real_models_split_every_batch_and_fit(name, size):
    made = plan_of(name, size)
    assert not [line for line in made.assumptions if "cannot be split" in line]
    assert [stage.stage for stage in made.stages if stage.relief] == []


def test_published_hyperparameters():
    ds = load(recipe_files(str(RECIPES / "light-r1-ds"), "ds-14b"))[0].stages
    assert (ds["sft2"].optimizer.lr, ds["sft2"].batch, ds["sft2"].max_length) == (5e-6, 32, 20_000)
    rl = ds["rl"]
    assert (rl.optimizer.lr, rl.group, rl.batch, rl.max_tokens) == (1e-6, 8, 8 * 128, 24_000)
    full = load(recipe_files(str(RECIPES / "light-r1"), "qwen-32b"))[0].stages
    assert (full["sft1"].optimizer.lr, full["sft1"].batch, full["sft1"].epochs) == (5e-5, 96, 4)
    assert (full["sft2"].optimizer.lr, full["sft2"].batch, full["sft2"].epochs) == (1e-5, 32, 8)
    assert (full["nca"].optimizer.lr, full["nca"].batch, full["nca"].loss.beta) == (5e-7, 8, 0.3)
    assert full["sft1"].schedule == full["sft2"].schedule == full["nca"].schedule == "constant"


def test_rows_flow_by_hand():
    # 93,733 + 40,315 problems, 80 % kept: 107,238; pass rates evenly spread, half of them at most 0.5:
    # 53,619 problems for the teacher, one verified trace each; stage 2 takes rates up to 0.4 of 0.5 and
    # 80 % of these are mixed: 34,316.
    made = plan_of("light-r1")
    assert made.stage("problems").rows == pytest.approx(107_238, abs=1)
    assert made.stage("traces").rows == pytest.approx(53_619, abs=1)
    assert made.stage("sft2").rows == pytest.approx(53_619 * 0.8 * 0.8, abs=1)
    # 4 answers of 6000 tokens to each, at $2.19 per million.
    assert made.stage("traces").dollars == pytest.approx(53_619 * 4 * 6000 * 2.19e-6, rel=1e-4)


def test_a_random_selection_is_counted():
    assert plan_of("light-r1", "qwen-7b").stage("sft2").rows == pytest.approx(3000)
    few = plan_of("light-r1", None, "stages.sft2.where.count=10")
    assert few.stage("sft2").rows == pytest.approx(10)


def test_rows_that_are_given_replace_estimates():
    made = plan_of("light-r1", None, "plan.rows={sft1: 1000}", "plan.trace_tokens=2000")
    assert made.stage("sft1").tokens_trained == 1000 * 4 * (2000 + 150)


def test_adapters_need_less_memory_and_time():
    every = "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"
    full = plan_of("light-r1", "qwen-7b").stage("sft1")
    lora = plan_of("light-r1", "qwen-7b", f"stages.sft1.lora={{r: 64, targets: {every}}}").stage(
        "sft1"
    )
    assert lora.memory < full.memory and lora.hours == pytest.approx(full.hours * 2 / 3)


def test_what_does_not_fit_is_said_with_what_to_change():
    made = plan_of("light-r1", "qwen-7b", "stages.sft1.micro_batch=12", "launch.sharding=none")
    line = next(line for line in made.assumptions if line.startswith("sft1 needs"))
    assert "micro_batch: 1, with launch: {processes: 8, sharding: fsdp2}" in line and "h100" in line
    row = next(row for row in plan_table(made) if row[0] == "sft1")
    assert row[COLUMNS.index("GB")].endswith("!")


def test_a_batch_that_cannot_be_split_is_said():
    made = plan_of("light-r1", "qwen-32b", *PUBLISHED_SFT)
    assert any(
        line.startswith("nca: a batch of 8 rows cannot be split evenly over 96")
        for line in made.assumptions
    )


def test_two_numbers_of_devices_are_refused():
    with pytest.raises(UserError, match=r"plan\.devices is 4 but launch starts 1 x 8 = 8"):
        plan_of("light-r1", "qwen-7b", "plan.devices=4")


def test_an_option_without_effect_is_refused():
    with pytest.raises(UserError, match="offload has no effect"):
        plan_of("light-r1", "qwen-7b", "launch.sharding=none", "launch.offload=true")


# -- launching ------------------------------------------------------------------------------------


def test_accelerate_understands_the_command_line():
    from accelerate.commands.launch import launch_command_parser

    command = launch_command(
        Launch(machines=2, processes=8, offload=True), ["run", "light-r1", "--size", "qwen-7b"]
    )
    assert command[:2] == ["accelerate", "launch"]
    filled = ["1" if part == "$MACHINE_RANK" else part for part in command[2:]]
    given = launch_command_parser().parse_args(filled)
    assert (given.num_processes, given.num_machines, given.machine_rank) == (16, 2, 1)
    assert given.use_fsdp and given.fsdp_version in (2, "2") and given.fsdp_offload_params == "true"
    assert given.mixed_precision == "bf16" and given.module
    assert [given.training_script, *given.training_script_args] == [
        "longstep",
        "run",
        "light-r1",
        "--size",
        "qwen-7b",
    ]


def test_without_shards_there_is_no_fsdp():
    command = launch_command(Launch(sharding="none"), ["run", "x"])
    assert not [part for part in command if "fsdp" in part]


# -- the program ----------------------------------------------------------------------------------


def program(*arguments):
    code = (
        "import sys\n"
        "from longstep.cli.main import main\n"
        "sys.argv = ['longstep', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'transformers', 'trl', 'peft', 'accelerate', 'datasets'} & set(sys.modules)\n"
        "    sys.stderr.write(f'heavy: {sorted(heavy)}')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_the_program_plans_without_heavy_imports():
    done = program("plan", str(RECIPES / "light-r1"), "--size", "qwen-7b")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("heavy: []")
    assert "sft1" in done.stdout and "total" in done.stdout and "accelerate launch" in done.stdout
    table = [line for line in done.stdout.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80 and not [line for line in table if "…" in line]


def test_the_program_refuses_a_misspelt_key_with_its_neighbour_and_line(tmp_path):
    text = (
        (RECIPES / "light-r1" / "recipe.yaml")
        .read_text()
        .replace("    epochs: 4\n", "    epoch: 4\n", 1)
    )
    (tmp_path / "recipe.yaml").write_text(text)
    line = text.splitlines().index("    epoch: 4") + 1
    done = program("plan", str(tmp_path))
    assert done.returncode == 2
    assert f"recipe.yaml:{line}" in done.stderr and "did you mean 'epochs'" in done.stderr


def test_the_price_can_be_given():
    base = plan_of("light-r1", "qwen-1.5b")
    free = plan_of("light-r1", "qwen-1.5b", "plan.price_per_hour=0", "plan.endpoint_price=0")
    assert base.dollars > 0 and free.dollars == 0
    assert replace(free.stage("sft1"), dollars=base.stage("sft1").dollars) == base.stage("sft1")


# -- what a stage is handed -----------------------------------------------------------------------


def handed(**inputs):
    flows = {f"@{name}": flow for name, flow in inputs.items()}
    plan = Planning(rows={"mine/known": 700})
    return Estimator("next", "odd", plan, Fleet(1), flows, [])


def test_a_stage_after_one_that_cannot_tell_is_unknown_and_says_why():
    given = handed(before=Flow(problems=5, tokens=7))
    with pytest.raises(Unknown, match="the size of @before is unknown"):
        given.model("@before")
    # The first of each kind is the parent: its rows, and its shape when there is one.
    made = given.unknown([("@before", "rows"), ("somebody/secret", "model")])
    assert (made.flow, made.plan.hours) == (Flow(problems=5, tokens=7), None)
    known = given.unknown([("longstep-tiny", "model"), ("Qwen/Qwen2.5-0.5B", "model")])
    assert known.flow.shape == shape_of("longstep-tiny")[0]
    assert given.remarks == ["next: stages of kind odd are not estimated"]


def test_sources_and_benchmarks_say_how_many_rows_they_have(tmp_path):
    file = tmp_path / "three.jsonl"
    file.write_text("{}\n{}\n{}\n")
    known = handed().sizes
    assert known["openai/gsm8k"] == 1319
    assert Chain(count=12).rows(known) == 12
    assert HubDataset(name="mine/known").rows(known) == 700
    assert HubDataset(name="mine/known", limit=50).rows(known) == 50
    assert HubDataset(name="nobody/knows").rows(known) is None
    assert HubDataset(name="nobody/knows", limit=50).rows(known) == 50
    assert JsonlFile(path=file).rows(known) == 3
    assert JsonlFile(path=file, limit=2).rows(known) == 2
    assert JsonlFile(path=file).rows({str(file): 9}) == 9  # what the recipe says comes first
    assert resolve("gsm8k").rows(known) == 1319
    assert (resolve("chain").rows(known), resolve("chain").called) == (150, "chain")


def test_an_unknown_number_is_assumed_and_said_once():
    given = handed()
    assert [given.counted(None, "u/v", 500), given.counted(None, "u/v", 500)] == [500, 500]
    assert given.counted(3, "u/w") == 3
    assert given.remarks == ["u/v: 500 rows assumed; set plan.rows to say how many it holds"]


def test_an_exam_is_drawn_beside_the_rollouts():
    """60 steps, an exam before every second one: 30 of 120 problems, the four in five that a plan lets filters keep
    of 150, with 2 answers of 40 tokens."""
    drawn = [
        next(s for s in plan_of("curricula", "recipe", *given).stages if s.stage == "rl-uniform")
        for given in ((), ("stages.rl.exam=null",))
    ]
    assert drawn[0].tokens_generated - drawn[1].tokens_generated == 30 * 120 * 2 * 40
    assert (drawn[0].hours or 0) > (drawn[1].hours or 0)
