"""A small OpenAI-compatible server around any generator; what it cannot honour it refuses, never ignores."""

from longstep.generate.serve.asked import Turns
from longstep.generate.serve.server import Server, serve
from longstep.generate.serve.worked import Worked
from longstep.generate.serve.worker import Chooser, PickedAnswer, Served

__all__ = ["Chooser", "PickedAnswer", "Served", "Server", "Turns", "Worked", "serve"]
