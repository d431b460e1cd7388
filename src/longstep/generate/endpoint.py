"""Completions from OpenAI-compatible endpoints: one seeded request each, journaled, in canonical order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator as Turns
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from longstep.config import (
    TypeAdapter,
    UserError,
    ValidationError,
    field_validator,
    model_validator,
)
from longstep.generate.answer import Answer, Barred
from longstep.generate.base import Generator, Prompt, Sampling, Watch, canonical, unwatched
from longstep.generate.batches import Row, rows_of
from longstep.generate.breaker import Breaker
from longstep.generate.journal import Journal, request_key
from longstep.generate.lane import Lane
from longstep.generate.managed import Managed, Started, managed
from longstep.generate.noise import row_key
from longstep.generate.parameters import left_out, left_out_warning
from longstep.generate.pool import Job, Pool, Remote, Tally, Tell
from longstep.generate.probe import Features, probe, warnings
from longstep.generate.transport import Address, Transport, key_fault, variable_name
from longstep.generate.window import Window
from longstep.types import Completion, Verdict

PROBED = "probe.json"
_PROBED = TypeAdapter(dict[str, Features])


class Endpoint(Remote):
    """Servers that run already: one ``url``, or several ``endpoints`` that serve the same model.

    Attributes:
        url: base of the API, such as ``http://host:8000/v1``.
        api_key_env: environment variable holding the key for ``url``.
        endpoints: addresses, each a URL or ``{url, model, api_key_env}``.
    """

    url: str | None = None
    api_key_env: str | None = None
    endpoints: tuple[Address, ...] = ()

    @field_validator("endpoints", mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given
        return tuple({"url": each} if isinstance(each, str) else each for each in given)

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        return url if url is None else Address(url=url).url

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        return variable_name(name)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (not self.endpoints):
            raise ValueError("expected one 'url' or a list of 'endpoints', and not both")
        if self.api_key_env and self.endpoints:
            raise ValueError("api_key_env belongs into each of the 'endpoints'")
        urls = [address.url for address in self.endpoints]
        if len(set(urls)) < len(urls):
            raise ValueError("an endpoint is listed twice; raise 'concurrency' instead")
        return self

    def absent(self) -> Iterator[str]:
        """Keys that the environment does not hold."""
        for address in self.addresses:
            if fault := key_fault(address):
                yield f"api_key_env: {fault}"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All of them."""
        if self.url is not None:
            return (Address(url=self.url, api_key_env=self.api_key_env),)
        return self.endpoints


class EndpointGenerator(Generator):
    """Draws completions over HTTP; ids stay empty, for a server gives text. See ``Generator``.

    A sample that is refused for good is left out and counted, up to ``max_refused``. A managed server is started by the
    first draw that has something to ask, serves every later one, and is stopped by ``close``.
    """

    def __init__(self, remote: Endpoint | Managed, tell: Tell | None = None, **fill: str) -> None:
        """Take the settings.

        Args:
            remote: running servers, or one that is started before the first request and stopped by ``close``.
            tell: told of what happens on the way: resting endpoints, refusals, warnings.
            fill: what stands for ``{name}`` in the command of a managed server.
        """
        self.remote, self.tell, self._fill = remote, tell or _nobody, fill
        self.features: dict[str, Features] = {}
        self.tally = Tally(0)
        # By journal: reading a draw back counts nothing twice.
        self._tallies: dict[str, Tally] = {}
        self._given_up: dict[str, str] = {}
        self._warned = False
        self._servers = ExitStack()
        self._started: Started | None = None

    def __enter__(self) -> Self:
        """Give itself; closed on leaving."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Stop a managed server; a later draw would start another."""
        self._started = None
        self._servers.close()

    def describe(self) -> dict[str, Any]:
        """Name the servers, what they honour, and what was refused; nothing that differs from run to run."""
        remote, tallies = self.remote, self._tallies.values()
        refused = Counter(
            why.partition(":")[0] for tally in tallies for why in tally.refused.values()
        )
        others = Counter(name for tally in tallies for name in tally.others.elements())
        facts: dict[str, Any] = {
            "model": remote.model,
            "completion_tokens": sum(tally.tokens for tally in tallies),
            "tokens_estimated": any(tally.estimated for tally in tallies),
            "refused": dict(sorted(refused.items())),
            "answered_as_another": dict(sorted(others.items())),
        }
        if remote.parameters:
            facts["parameters"] = dict(sorted(remote.parameters.items()))
            facts["left_out"] = left_out(remote.parameters)
        if isinstance(remote, Managed):
            seen = [each.model_dump(mode="json") for each in self.features.values()]
            return {"engine": "server", "command": list(remote.command), "features": seen, **facts}
        servers = [
            {
                "url": each.url,
                "model": each.model or remote.model,
                "features": self.features[each.url].model_dump(mode="json")
                if each.url in self.features
                else None,
            }
            for each in remote.addresses
        ]
        return {"engine": "endpoint", "endpoints": servers, **facts}

    def draw(
        self,
        asked: Iterable[Prompt],
        how: Sampling,
        journal: Path | None = None,
        watch: Watch = unwatched,
    ) -> Iterator[Completion]:
        """Ask for all completions and give them in canonical order, whatever order they arrive in.

        Requests advance on their own event loop while the caller waits for the next completion. Only the prompts' text
        is sent. With a journal the servers are probed first. A request that is refused for good gives a completion
        without text, whose verdict says why; the next process asks it again, this one does not.
        """
        if how.logprobs:
            raise UserError("an endpoint gives no log-probabilities; leave 'logprobs' false")
        prompts = canonical(asked)
        for prompt in prompts:
            if not prompt.text:
                raise UserError(f"problem {prompt.problem_id!r} has no text to send")
        return self._stream(prompts, how, journal, watch)

    def _stream(
        self, prompts: Sequence[Prompt], how: Sampling, log: Path | None, watch: Watch
    ) -> Iterator[Completion]:
        """Requests are made twice, to send them and to wait for them: held, they would fill memory."""
        tally = Tally(len(prompts) * how.samples, several=len(prompts) > 1)
        self.tally = self._tallies[str(log or f"draw {len(self._tallies)}")] = tally
        with closing(Journal(log)) as journal:
            for row in rows_of(prompts, how.samples):
                job = _job(self.remote, row, how)
                if job.key in journal:
                    tally.count(journal[job.key])
                elif job.key in self._given_up:
                    tally.refused[job.place] = self._given_up[job.key]
            tally.replayed = tally.tokens
            if log is not None and not self.features:
                self.features = _recorded(log.with_name(PROBED))
            with closing(self._ask(prompts, how, journal, watch)) as steps:
                for row in rows_of(prompts, how.samples):
                    job = _job(self.remote, row, how)
                    while job.key not in journal and job.place not in tally.refused:
                        next(steps)
                    if job.key in journal:
                        yield _completion(row, journal[job.key], self.remote.prefix)
                    else:
                        self._given_up[job.key] = tally.refused[job.place]
                        yield _refusal(row, tally.refused[job.place])
        watch(tally.headway())

    def _ask(
        self, prompts: Sequence[Prompt], how: Sampling, journal: Journal, watch: Watch
    ) -> Turns[None]:
        """Begin, with the first turn, to send what the journal lacks; each turn lasts until something happens."""
        log, tally = journal.path, self.tally
        started = self._start(log)
        jobs = (_job(self.remote, row, how) for row in rows_of(prompts, how.samples))
        fresh = (job for job in jobs if job.key not in self._given_up)
        with asyncio.Runner() as runner:
            lanes = runner.run(self._lanes(started.addresses))
            pool = Pool(self.remote, lanes, fresh, journal, tally, self.tell)
            self._warn()
            try:
                if log is not None:
                    runner.run(self._probe(pool, prompts[0].text, log.with_name(PROBED)))
                while True:
                    runner.run(pool.step())
                    started.check()
                    watch(tally.headway())
                    yield
            finally:
                runner.run(pool.close())

    def _warn(self) -> None:
        """Say once what the settings of a draw do not decide."""
        if (warning := left_out_warning(self.remote.parameters)) and not self._warned:
            self.tell("warning", {"warning": warning})
            self._warned = True

    def _start(self, log: Path | None) -> Started:
        """The servers: those that run, or ours, which an earlier draw may have started."""
        if not isinstance(self.remote, Managed):
            return Started(self.remote.addresses)
        if self._started is None:
            words = log and log.with_name("server.log")
            self._started = self._servers.enter_context(managed(self.remote, words, self._fill))
        self._started.check()
        return self._started

    async def _lanes(self, addresses: Sequence[Address]) -> list[Lane]:
        return [self._lane(address) for address in addresses]

    def _lane(self, address: Address) -> Lane:
        remote = self.remote
        return Lane(
            address,
            address.model or remote.model,
            Transport(address, remote.timeout, remote.max_response_bytes),
            Breaker(remote.open_after, remote.backoff),
            Window(remote.concurrency),
            parameters=remote.parameters,
        )

    async def _probe(self, pool: Pool, question: str, record: Path) -> None:
        """Ask each server what it honours, unless an interrupted attempt did."""
        known = {lane.address.url: lane for lane in pool.lanes}
        self.features = {url: seen for url, seen in self.features.items() if url in known}
        heard = {url for url, seen in self.features.items() if seen.trouble is None}
        new = [lane for url, lane in known.items() if url not in heard]
        for lane, features in zip(
            new, await asyncio.gather(*(_seen(pool, lane, question) for lane in new)), strict=True
        ):
            self.features[lane.address.url] = features
            self.tell("probed", {"url": lane.address.url, **features.model_dump(mode="json")})
            for sentence in () if lane.barred else warnings(lane, features):
                self.tell("warning", {"warning": sentence})
        for url, seen in self.features.items():
            if seen.trouble is None:
                known[url].served, known[url].names = True, {seen.answers_as}
        clear = {url: seen for url, seen in self.features.items() if seen.trouble is None}
        record.write_bytes(_PROBED.dump_json(clear))


async def _seen(pool: Pool, lane: Lane, question: str) -> Features:
    try:
        return await probe(lane, question)
    except Barred as failure:
        pool.bar(lane, failure)
        return Features(trouble=lane.barred)


def _recorded(record: Path) -> dict[str, Features]:
    try:
        return _PROBED.validate_json(record.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _job(remote: Remote, row: Row, sampling: Sampling) -> Job:
    """A request in our words: the key tells samples apart, also where their seeds are not sent."""
    name, index = row.prompt.name, row.sample_index
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": row.prompt.text}],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        # 31 bits: some servers read the seed as a signed 32-bit number
        "seed": row_key(sampling.seed, name, index) & 0x7FFFFFFF,
    }
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    renamed = {"parameters": dict(remote.parameters)} if remote.parameters else {}
    return Job(request_key(remote.model, {**body, **renamed}), body, (name, index))


def _completion(row: Row, answer: Answer, prefix: str) -> Completion:
    place = row.prompt.problem_id, row.sample_index
    begun = answer.text.lstrip().startswith(prefix.strip())
    text = answer.text if begun else prefix + answer.text
    return Completion(*place, (), (), text, answer.finish_reason)


def _refusal(row: Row, why: str) -> Completion:
    """A sample that nobody answers says nothing about the model, and is counted."""
    verdict = Verdict("timeout", None, f"no answer: {why}", "endpoint")
    place = row.prompt.problem_id, row.sample_index
    return Completion(*place, (), (), "", "stop", verdict=verdict)


def _nobody(what: str, facts: Mapping[str, object]) -> None:
    """Tell nobody."""
