"""Generators: what draws completions. Importing this package imports neither torch nor httpx.

The generators themselves: ``engine.TransformersEngine``, ``endpoint.EndpointGenerator``,
``fake.FakeGenerator`` and ``fake.ReferenceGenerator``.
"""

from longstep.generate.base import Generator, Prompt, Sampling
from longstep.generate.batches import Batch, Row, plan_batches
from longstep.generate.endpoint import Endpoint
from longstep.generate.fake import FakeGenerator, ReferenceGenerator, worked

__all__ = [
    "Batch",
    "Endpoint",
    "FakeGenerator",
    "Generator",
    "Prompt",
    "ReferenceGenerator",
    "Row",
    "Sampling",
    "plan_batches",
    "worked",
]
