"""Generators: what draws completions. Importing this package imports neither torch nor httpx.

The one that needs torch is ``engine.TransformersEngine``.
"""

from longstep.generate.base import (
    Continuation,
    Continued,
    Frontier,
    Generator,
    Headway,
    Prompt,
    Sampling,
    Watch,
    unwatched,
)
from longstep.generate.batches import Batch, Batched, Row, plan_batches
from longstep.generate.endpoint import Endpoint, EndpointGenerator
from longstep.generate.fake import FakeGenerator, ReferenceGenerator, worked
from longstep.generate.managed import Managed
from longstep.generate.pool import Tally, Tell
from longstep.generate.transport import Address

__all__ = [
    "Address",
    "Batch",
    "Batched",
    "Continuation",
    "Continued",
    "Endpoint",
    "EndpointGenerator",
    "FakeGenerator",
    "Frontier",
    "Generator",
    "Headway",
    "Managed",
    "Prompt",
    "ReferenceGenerator",
    "Row",
    "Sampling",
    "Tally",
    "Tell",
    "Watch",
    "plan_batches",
    "unwatched",
    "worked",
]
