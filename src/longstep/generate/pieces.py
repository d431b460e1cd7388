"""Answers written on piece by piece at OpenAI-compatible servers, by token ids: ``/v1/completions``.

What a server honours is seen in a few tiny requests before the first piece. Every piece is in the journal before it
counts, by what was asked and by the noise it has, so a kill loses and doubles none, and what two strategies ask alike
is asked once. An answer that cannot be what was asked for is asked for again, and refused for good in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.config import TypeAdapter, UserError, ValidationError
from longstep.generate.base import (
    Continuation,
    Continued,
    Frontier,
    Prompt,
    Sampling,
    Watch,
    unwatched,
)
from longstep.generate.endpoint import Endpoint, EndpointGenerator
from longstep.generate.journal import Journal, request_key
from longstep.generate.managed import Managed
from longstep.generate.piece import Vocabulary, body_of, continued, way_of
from longstep.generate.piece_probe import PieceFeatures, cannot_continue, probe_pieces
from longstep.generate.pool import Job, Pool, Tally, Tell
from longstep.types import Completion

PIECES, PROBED_PIECES = "pieces.jsonl", "pieces-probe.json"
_PROBED = TypeAdapter(dict[str, PieceFeatures])


class PiecesGenerator(EndpointGenerator):
    """As ``EndpointGenerator``, and continues texts of its own; see ``Generator.frontier``."""

    def __init__(
        self,
        remote: Endpoint | Managed,
        tokens: Vocabulary,
        folder: Path | None = None,
        tell: Tell | None = None,
        **fill: str,
    ) -> None:
        """Take the settings.

        Args:
            remote: running servers, or one that is started.
            tokens: of the model that they serve.
            folder: of the journal of pieces; ``None`` keeps none.
            tell: told of what happens on the way.
            fill: what stands for ``{name}`` in the command of a managed server.
        """
        super().__init__(remote, tell, **fill)
        self._tokens, self._folder = tokens, folder
        self._work: _Work | None = None
        self._seen: dict[str, PieceFeatures] = {}

    def draw(
        self,
        asked: Iterable[Prompt],
        how: Sampling,
        journal: Path | None = None,
        watch: Watch = unwatched,
    ) -> Iterator[Completion]:
        """Refuse: whole answers are drawn as text, and somebody meant that ids travel.

        Raises:
            UserError: always.
        """
        raise UserError(
            "by.tokenizer: has no effect on a stage that draws whole answers, which travel as text; leave it out"
        )

    def frontier(self) -> Frontier:
        """Write answers on at the servers, which hold what they like between the requests."""
        return _RemoteFrontier(self._extend)

    def describe(self) -> dict[str, Any]:
        """As of any endpoint, and what the servers were seen to honour."""
        if self._work is None and self._log is not None and self._log.is_file():
            with Journal(self._log) as journal:
                self._tallies[PIECES] = _counted(journal)
        seen = {
            url: each.model_dump(mode="json")
            for url, each in (self._seen or self._record()).items()
        }
        managed = isinstance(self.remote, Managed)  # its port is another in every run
        return {**super().describe(), "pieces": [*seen.values()] if managed else seen}

    def close(self) -> None:
        """Give up what is in flight, and stop a managed server."""
        work, self._work = self._work, None
        if work is not None:
            work.close()
        super().close()

    @property
    def _log(self) -> Path | None:
        return self._folder and self._folder / PIECES

    def _extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        if self._work is None:
            self._work = self._begin()
        work = self._work
        if not self._seen:
            work.runner.run(self._see(work, asked[0].prompt, how.logprobs))
        named = all(each.noise == "honoured" for each in self._seen.values())
        jobs = [self._job(ask, how, named, number) for number, ask in enumerate(asked)]
        work.finish(jobs)
        return [
            continued(ask, work.journal[job.key], self._tokens)
            for ask, job in zip(asked, jobs, strict=True)
        ]

    def _job(self, ask: Continuation, how: Sampling, named: bool, number: int) -> Job:
        body = body_of(ask, how, self._tokens, named)
        renamed = dict(self.remote.parameters)
        key = request_key(self.remote.model, {**body, "stream": ask.noise, "parameters": renamed})
        return Job(key, body, (ask.prompt.problem_id, number))

    def _begin(self) -> _Work:
        """Start or find the servers."""
        self._warn()
        started = self._start(self._log)
        runner = asyncio.Runner()
        journal = Journal(self._log)
        tally = self._tallies[PIECES] = _counted(journal)
        lanes = runner.run(self._lanes(started.addresses))
        for lane in lanes:
            lane.way = way_of(self._tokens)
        pool = Pool(self.remote, lanes, (), journal, tally, self.tell)
        return _Work(runner, pool, tally, started.check)

    async def _see(self, work: _Work, prompt: Prompt, logprobs: bool) -> None:
        """See what the servers honour.

        Raises:
            UserError: one of them cannot be asked for pieces.
        """
        lanes = work.pool.lanes
        known = {
            url: seen
            for url, seen in self._record().items()
            if seen.logprobs != "unknown" or not logprobs  # it may not have been asked for them
        }
        new = [lane for lane in lanes if lane.address.url not in known]
        asked = (probe_pieces(lane, prompt.prompt_ids, self._tokens, logprobs) for lane in new)
        for lane, seen in zip(new, await asyncio.gather(*asked), strict=True):
            self.tell("probed", {"url": lane.address.url, **seen.model_dump(mode="json")})
            known[lane.address.url] = seen
        for lane in lanes:
            url, seen = lane.address.url, known[lane.address.url]
            if sentence := cannot_continue(lane, seen, logprobs):
                raise UserError(sentence)
            lane.served, lane.names = True, {seen.answers_as}
            if seen.answers_as:
                name = f"asked for model {lane.model!r}, it answers as {seen.answers_as!r}"
                self.tell("warning", {"warning": f"{url}: {name}"})
        self._seen = {lane.address.url: known[lane.address.url] for lane in lanes}
        if self._folder is not None:
            (self._folder / PROBED_PIECES).write_bytes(_PROBED.dump_json(self._seen))

    def _record(self) -> dict[str, PieceFeatures]:
        """What an interrupted attempt saw: a tree is not begun by one kind of noise and ended by another."""
        if self._folder is None:
            return {}
        try:
            return _PROBED.validate_json((self._folder / PROBED_PIECES).read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}


@dataclass
class _Work:
    """Servers at work; requests advance while somebody waits for them."""

    runner: asyncio.Runner
    pool: Pool
    tally: Tally
    check: Callable[[], None]

    @property
    def journal(self) -> Journal:
        return self.pool.journal

    def finish(self, jobs: Sequence[Job]) -> None:
        """Wait for the answers to all.

        Raises:
            UserError: one of them will not be had.
        """
        self.tally.total += sum(job.key not in self.journal for job in jobs)
        self.pool.add(jobs)
        while any(job.key not in self.journal for job in jobs):
            self.runner.run(self.pool.step())
            self.check()
            if self.tally.refused:
                (problem_id, _), why = next(iter(self.tally.refused.items()))
                raise UserError(
                    f"problem {problem_id!r}: a piece of its answer cannot be had: {why}; answers are kept: put it "
                    "right, or leave the problem out, and run again"
                )

    def close(self) -> None:
        self.runner.run(self.pool.close())
        self.journal.close()
        self.runner.close()


@dataclass(frozen=True)
class _RemoteFrontier(Frontier):
    """Unfinished answers at servers; see ``Frontier``."""

    write: Callable[[Sequence[Continuation], Sampling], list[Continued]]

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Write each on."""
        return self.write(asked, how) if asked else []


def _counted(journal: Journal) -> Tally:
    """What the journal holds already."""
    tally = Tally(len(journal))
    for key in journal:
        tally.count(journal[key])
    tally.replayed = tally.tokens
    return tally
