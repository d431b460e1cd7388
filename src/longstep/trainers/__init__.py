"""Thin adapters over TRL's hooks; the only package that imports trl."""

from __future__ import annotations

from longstep.trainers.grpo import GrpoSettings, train_grpo
from longstep.trainers.job import Job
from longstep.trainers.preference import train_preference
from longstep.trainers.sft import train_sft
from longstep.trainers.soft import train_soft

__all__ = ["GrpoSettings", "Job", "train_grpo", "train_preference", "train_sft", "train_soft"]
