"""The blocks ``plan:`` and ``launch:`` of a recipe: what a plan assumes, how processes are started.

Neither changes what a stage computes, so neither enters a stage's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from longstep.config import Field, Strict, model_validator

DeviceName = Literal["a100", "cpu", "h100", "h200", "h800"]


@dataclass(frozen=True)
class Device:
    """One accelerator as its maker describes it; the price is an assumption, rents change weekly.

    Attributes:
        flops: dense bf16 multiplications and additions per second, without sparsity.
        bandwidth: bytes per second between the memory and the chip.
        memory: bytes.
        price: dollars per hour.
        note: where the numbers come from.
    """

    flops: float
    bandwidth: float
    memory: float
    price: float
    note: str


DEVICES: Mapping[str, Device] = {
    "a100": Device(312e12, 2.04e12, 80e9, 1.50, "A100 80 GB SXM data sheet; price assumed"),
    "h100": Device(989e12, 3.35e12, 80e9, 2.50, "H100 SXM data sheet; price assumed"),
    "h200": Device(989e12, 4.80e12, 141e9, 3.00, "H200 SXM data sheet; price assumed"),
    "h800": Device(
        989e12, 3.35e12, 80e9, 1.75,
        "an H100 SXM with slower links; price implied by Light-R1's $1000 for 6 h on 96 of them",
    ),
    "cpu": Device(60e9, 10e9, 8e9, 0.0, "two laptop-class cores together, float32; assumed"),
}  # fmt: skip


class Planning(Strict):
    """Assumptions of ``longstep plan``; change them when you know better.

    Attributes:
        device: what the stages run on.
        devices: how many; ``null`` takes what ``launch:`` starts, or 1.
        price_per_hour: dollars per device; ``null`` takes the device table's.
        mfu: model FLOPs utilisation: share of the device's peak spent on useful training FLOPs,
            the recomputation of activation checkpointing not counted as useful.
        decode: share of the memory bandwidth that decoding reaches. 0.6 is a good serving engine;
            the built-in engine is slower, by how much was not measured on large models.
        prompt_tokens: mean prompt.
        trace_tokens: mean long chain-of-thought answer, but at most half of a stage's ``max_tokens``.
        tokens: mean answer of single stages, by stage name.
        rows: by dataset name, the problems it holds; by stage name, the problems that leave a
            curate stage, that a sample or rl stage draws for, or the rows that another training
            stage uses. What is not given is estimated.
        clean: share of collected problems that curation keeps.
        correct: share of drawn completions that verify.
        endpoint_price: dollars per million tokens drawn from an endpoint.
    """

    device: DeviceName = "h100"
    devices: int | None = Field(default=None, ge=1)
    price_per_hour: float | None = Field(default=None, ge=0)
    mfu: float = Field(default=0.3, gt=0, le=1)
    decode: float = Field(default=0.6, gt=0, le=1)
    prompt_tokens: int = Field(default=150, ge=1)
    trace_tokens: int = Field(default=6000, ge=1)
    tokens: dict[str, int] = Field(default_factory=dict)
    rows: dict[str, int] = Field(default_factory=dict)
    clean: float = Field(default=0.8, gt=0, le=1)
    correct: float = Field(default=0.6, gt=0, lt=1)
    endpoint_price: float = Field(default=2.19, ge=0)

    @model_validator(mode="after")
    def _positive(self) -> Self:
        for field, table in (("tokens", self.tokens), ("rows", self.rows)):
            for name, value in table.items():
                if value < 1:
                    raise ValueError(f"{field}.{name} must be at least 1, got {value}")
        return self

    @property
    def hardware(self) -> Device:
        """The device's numbers."""
        return DEVICES[self.device]

    @property
    def price(self) -> float:
        """Dollars per device and hour."""
        return self.hardware.price if self.price_per_hour is None else self.price_per_hour
