"""What all tests share: one thread per process, no hub, and runs in processes that may be killed."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fault_server import FaultServer, Script, echo

# Before torch is imported anywhere: sums in one order, so that hashes can be compared.
for name, value in {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}.items():
    os.environ.setdefault(name, value)

#: Files that take longest. They are begun first: the last one begun is waited for by all processes.
LONGEST = (
    "test_distributed.py",
    "test_kill.py",
    "test_faults.py",
    "test_data_cli.py",
    "test_architecture.py",
    "test_rollouts.py",
    "test_endpoint_pieces.py",
    "test_stranger.py",
    "test_one_line.py",
    "test_zoo.py",
    "test_light.py",
    "test_early.py",
    "test_endpoint_faults.py",
    "test_closure.py",
    "test_verify.py",
    "test_managed_server.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Take all that was imported out of garbage collection.

    Every trainer collects garbage when it begins and ends, a third of a second each time among the objects of the
    libraries and of some thousand tests, which no test sets free.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The short recipe, run once without interruption; to be copied, not changed."""
    from short_recipe import finish

    folder = tmp_path_factory.mktemp("whole") / "run"
    assert finish(folder) == "done"
    yield folder


@pytest.fixture
def start() -> Iterator[Callable[[Script], FaultServer]]:
    """Starts servers that answer by a script, or honestly without one; they stop with the test."""
    servers: list[FaultServer] = []

    def begin(script: Script = echo) -> FaultServer:
        servers.append(FaultServer(script))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()
