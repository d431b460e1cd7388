"""The hooks of TRL and transformers that our adapters override still are what we think."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from transformers import Trainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from longstep.training.keys import OWNED, accepted, complaint


def names(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_overridden_methods_have_the_arguments_we_pass():
    assert names(Trainer.training_step)[1:] == ["model", "inputs", "num_items_in_batch"]
    assert names(Trainer._clip_grad_norm)[1:] == ["model"]
    assert names(Trainer._get_train_sampler)[1:] == ["train_dataset"]
    assert names(DPOTrainer._prepare_dataset)[1:2] == ["dataset"]


def test_the_rollout_hook_takes_prompts_and_trainer():
    assert "rollout_func" in names(GRPOTrainer.__init__)
    assert "self.rollout_func(prompts, self)" in inspect.getsource(GRPOTrainer._generate)


def test_unscorable_completions_stay_out_of_their_group():
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "unscorable_mask" in source and "nanmean" in source


@pytest.mark.parametrize(
    ("name", "config"), [("sft", SFTConfig), ("dpo", DPOConfig), ("grpo", GRPOConfig)]
)
def test_keys_read_from_source_are_the_keys_of_the_class(name, config):
    real = {key for key in inspect.signature(config.__init__).parameters if key != "self"}
    missing = real - accepted(name)
    assert missing == set(), "the class takes keys that plan would refuse"
    assert complaint(name, "bf16") is None


def test_every_owned_key_exists_in_some_class_of_some_version():
    known = accepted("sft") | accepted("dpo") | accepted("grpo")
    assert set(OWNED) - known <= {"warmup_ratio", "trust_remote_code"}
    assert complaint("sft", "seed") == "seed belongs to longstep; set the recipe's seed instead"


def test_supervised_labels_are_taken_as_given():
    assert "skip_prepare_dataset" in inspect.getsource(SFTTrainer.__init__)


def test_soft_targets_are_counted_by_labels_and_their_loss_is_scaled_once():
    assert names(SFTTrainer.compute_loss)[1:] == [
        "model", "inputs", "return_outputs", "num_items_in_batch",
    ]  # fmt: skip
    assert 'batch["labels"]' in inspect.getsource(Trainer._get_num_items_in_batch)
    assert "self.loss_is_scaled_for_ga is not None" in inspect.getsource(Trainer.training_step)


def test_every_argument_we_pass_is_refused_under_trainer():
    """A key a user could set as well would be given twice."""
    from longstep import training

    folder = Path(str(training.__file__)).parent
    files = [path.read_text("utf-8") for path in sorted(folder.glob("*.py"))]
    source = "\n".join(text for text in files if "from trl" in text or "def arguments(" in text)
    passed = set(re.findall(r'^        "([a-z_]+)": ', source, re.M)) | set(
        re.findall(r"^        ([a-z_]+)=", source, re.M)
    )
    meant_to_be_overridden = {
        "activation_checkpointing", "bf16", "dataloader_num_workers", "dataloader_pin_memory",
        "ddp_find_unused_parameters", "disable_tqdm", "gradient_checkpointing", "logging_nan_inf_filter", "use_cpu",
    }  # fmt: skip
    keys = passed & (accepted("sft") | accepted("dpo") | accepted("grpo"))
    assert len(keys) > 20
    assert keys - set(OWNED) <= meant_to_be_overridden
