"""The block ``launch:`` of a recipe: how the processes of a run are started by Hugging Face accelerate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from longstep.config import Field, Strict, model_validator


class Launch(Strict):
    """How the processes of a run are started.

    Attributes:
        kind: by Hugging Face accelerate.
        machines: number of machines.
        processes: per machine, one for each device.
        sharding: ``fsdp2`` shards weights, gradients and optimiser states over all processes;
            ``none`` keeps a whole copy on each.
        offload: with ``fsdp2``: keep the shards in the host's memory (slow, but it fits).
        mixed_precision: of the matrix products; the weights that are trained stay in float32.
    """

    kind: Literal["accelerate"] = "accelerate"
    machines: int = Field(default=1, ge=1)
    processes: int = Field(default=8, ge=1)
    sharding: Literal["fsdp2", "none"] = "fsdp2"
    offload: bool = False
    mixed_precision: Literal["bf16", "no"] = "bf16"

    @model_validator(mode="after")
    def _offload_needs_shards(self) -> Self:
        if self.offload and self.sharding != "fsdp2":
            raise ValueError("offload has no effect with sharding: none; set sharding: fsdp2")
        return self

    @property
    def total(self) -> int:
        """Processes over all machines."""
        return self.machines * self.processes


def launch_command(launch: Launch, arguments: Sequence[str]) -> list[str]:
    """The command line that starts ``longstep`` with these arguments on each machine.

    With several machines, ``$MACHINE_RANK`` (0 on the first) and ``$MAIN_ADDRESS`` are for the
    scheduler to fill in. Activation checkpointing is left to the trainer: transformers refuses to
    have it switched on in both places. The run folder and the recipe must be the same files for
    all machines.
    """
    command = ["accelerate", "launch", "--num_processes", str(launch.total)]
    command += ["--num_machines", str(launch.machines)]
    if launch.machines > 1:
        command += ["--machine_rank", "$MACHINE_RANK", "--main_process_ip", "$MAIN_ADDRESS"]
        command += ["--main_process_port", "29500"]
    command += ["--mixed_precision", launch.mixed_precision]
    if launch.sharding == "none" and launch.total > 1:
        command += ["--multi_gpu"]
    if launch.sharding == "fsdp2":
        command += ["--use_fsdp", "--fsdp_version", "2"]
        command += ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]
        command += ["--fsdp_reshard_after_forward", "true"]
        command += ["--fsdp_offload_params", str(launch.offload).lower()]
        command += ["--fsdp_state_dict_type", "SHARDED_STATE_DICT"]
        # Otherwise all processes but the first start with weights that were never filled in.
        command += ["--fsdp_cpu_ram_efficient_loading", "false"]
    return [*command, "-m", "longstep", *arguments]
