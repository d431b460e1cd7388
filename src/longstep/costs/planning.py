"""The blocks ``plan:`` and ``launch:`` of a recipe: what a plan assumes, how processes are started.

Neither changes what a stage computes, so neither enters a stage's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from longstep.config import Field, Strict, model_validator


@dataclass(frozen=True)
class Device:
    """One accelerator as its maker describes it; the price is an assumption, rents change weekly.

    Attributes:
        flops: dense bf16 multiplications and additions per second, without sparsity.
        bandwidth: bytes per second between the memory and the chip.
        memory: bytes.
        price: dollars per hour.
        note: where the numbers come from.
        cores: processor cores, which compute in float32 and keep every activation.
    """

    flops: float
    bandwidth: float
    memory: float
    price: float
    note: str
    cores: bool = False

    @property
    def word(self) -> int:
        """Bytes of a number where a model is only read."""
        return 4 if self.cores else 2


#: Peaks for dense bf16 products summed up in float32, from the makers' data sheets; NVIDIA prints twice as much for
#: server chips, "with sparsity", and for consumer chips with sums in float16. Where none prints bf16, the note says so.
DEVICES: Mapping[str, Device] = {
    "a10": Device(125e12, 0.60e12, 24e9, 0.75, "A10 data sheet; price assumed"),
    "a100": Device(312e12, 2.04e12, 80e9, 1.50, "A100 80 GB SXM data sheet; price assumed"),
    "a100-40": Device(312e12, 1.56e12, 40e9, 1.20, "A100 40 GB SXM data sheet; price assumed"),
    "b200": Device(2250e12, 8.00e12, 180e9, 5.00, "DGX B200 data sheet, an eighth of it; price assumed"),
    "h100": Device(989e12, 3.35e12, 80e9, 2.50, "H100 SXM data sheet; price assumed"),
    "h100-pcie": Device(756e12, 2.00e12, 80e9, 2.20, "H100 PCIe data sheet; price assumed"),
    "h200": Device(989e12, 4.80e12, 141e9, 3.00, "H200 SXM data sheet; price assumed"),
    "h800": Device(
        989e12, 3.35e12, 80e9, 1.75,
        "an H100 SXM with slower links; price implied by Light-R1's $1000 for 6 h on 96 of them",
    ),
    "l4": Device(121e12, 0.30e12, 24e9, 0.70, "L4 data sheet; price assumed"),
    "l40s": Device(362e12, 0.864e12, 48e9, 1.00, "L40S data sheet; price assumed"),
    "rtx-3090": Device(71e12, 0.936e12, 24e9, 0.25, "NVIDIA's GA102 whitepaper, appendix A; price assumed"),
    "rtx-4090": Device(165e12, 1.008e12, 24e9, 0.40, "NVIDIA's Ada whitepaper, appendix A; price assumed"),
    "rtx-5090": Device(209e12, 1.792e12, 32e9, 0.65, "NVIDIA's RTX Blackwell whitepaper, appendix A; price assumed"),
    "t4": Device(
        65e12, 0.32e12, 16e9, 0.35,
        "T4 data sheet, its float16 rate: without bf16, in which longstep trains, it is far slower; price assumed",
    ),
    "cpu": Device(60e9, 10e9, 8e9, 0.0, "two laptop-class cores together, float32; assumed", cores=True),
}  # fmt: skip
#: Operations per byte of an A100 or RTX 4090, for a device whose bandwidth nobody gave.
BALANCE = 155

DeviceName = Literal[
    "a10", "a100", "a100-40", "b200", "cpu", "h100", "h100-pcie", "h200", "h800", "l4", "l40s", "rtx-3090",
    "rtx-4090", "rtx-5090", "t4",
]  # fmt: skip


class OwnDevice(Strict):
    """A device of your own: ``{memory: 24, tflops: 165}``.

    Attributes:
        memory: GB.
        tflops: dense bf16 peak; of processor cores what they reach in float32.
        bandwidth: TB/s; ``null`` assumes 155 operations a byte, as an A100 or RTX 4090 has.
        price: dollars per hour.
        cores: processor cores, which compute in float32.
    """

    memory: float = Field(gt=0)
    tflops: float = Field(gt=0)
    bandwidth: float | None = Field(default=None, gt=0)
    price: float = Field(default=0.0, ge=0)
    cores: bool = False

    def hardware(self) -> Device:
        """As in the table of devices."""
        flops = self.tflops * 1e12
        bandwidth = flops / BALANCE if self.bandwidth is None else self.bandwidth * 1e12
        note = "given by the recipe" + ("" if self.bandwidth else ", bandwidth assumed")
        return Device(flops, bandwidth, self.memory * 1e9, self.price, note, self.cores)


class Planning(Strict):
    """Assumptions of ``longstep plan``; change them when you know better.

    Attributes:
        device: what the stages run on: a name from the table of devices, or ``{memory: 24, tflops: 165}`` of your own.
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

    device: DeviceName | OwnDevice = "h100"
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
        return (
            self.device.hardware() if isinstance(self.device, OwnDevice) else DEVICES[self.device]
        )

    @property
    def called(self) -> str:
        """What the device is called in a sentence."""
        return self.device if isinstance(self.device, str) else f"{self.device.memory:g} GB device"

    @property
    def price(self) -> float:
        """Dollars per device and hour."""
        return self.hardware.price if self.price_per_hour is None else self.price_per_hour
