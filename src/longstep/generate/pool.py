"""Many requests to one or several endpoints at once: who is asked next, and what a failure means."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longstep.config import Field, Strict, UserError, field_validator
from longstep.generate.answer import Answer, Barred, Malformed, Refused
from longstep.generate.base import Headway
from longstep.generate.journal import Journal
from longstep.generate.lane import Busy, Failed, Lane, ask, check_up
from longstep.generate.parameters import Names, check_names
from longstep.generate.transport import Broken, Overdue, Unreachable

LONGEST_BACKOFF = 60.0  # seconds
HEARTBEAT = 2.0  # seconds between looks at a server that is ours, and at the progress line
FEW = 10  # problems refused from the start, without an answer to another, that are enough to stop

Tell = Callable[[str, Mapping[str, object]], None]


class Remote(Strict):
    """How a model behind HTTP is asked.

    Attributes:
        model: the name the server knows the model by.
        concurrency: requests in flight at one endpoint at most; fewer while it is overloaded.
        timeout: seconds one request may take, the last byte included.
        max_retries: further tries of one request after failures that may be its own.
        backoff: seconds before the first retry, doubled each time, unless the server says how long.
        patience: seconds that all endpoints may be down, silent or turn us away before the run stops.
        open_after: failures in a row after which an endpoint rests.
        max_response_bytes: a longer response is refused.
        max_refused: share of the samples that may be refused for good; more stop the run, unless all are of one
            problem among others. 0 lets none pass.
        prefix: what the server's template puts before every answer and leaves out of it, such as ``<think>``: put back,
            so that an answer which is cut inside its thought is told from one without.
        parameters: for a server that knows another name of a parameter, or refuses it: ``{max_tokens:
            max_completion_tokens, temperature: null}`` renames the one and leaves out the other.
    """

    model: str
    concurrency: int = Field(default=16, ge=1)
    timeout: float = Field(default=1800.0, gt=0)
    max_retries: int = Field(default=6, ge=0)
    backoff: float = Field(default=1.0, ge=0)
    patience: float = Field(default=600.0, ge=0)
    open_after: int = Field(default=5, ge=1)
    max_response_bytes: int = Field(default=16_000_000, ge=1)
    max_refused: float = Field(default=0.01, ge=0, le=1)
    prefix: str = ""
    parameters: Names = Field(default_factory=dict)

    @field_validator("parameters")
    @classmethod
    def _told_apart(cls, names: Names) -> Names:
        check_names(names)
        return names


@dataclass
class Job:
    """One request: its line in the journal, what is asked, under which prompt's name and for which sample."""

    key: str
    body: Mapping[str, Any]
    place: tuple[str, int]
    tries: int = 0

    @property
    def name(self) -> str:
        """For messages."""
        return f"problem {self.place[0]!r}, sample {self.place[1]}"


@dataclass
class Tally:
    """What came of all requests so far.

    Attributes:
        total: requests in all.
        answered: answers, those read back from the journal included.
        tokens: completion tokens of the answers.
        replayed: those of answers read back.
        estimated: whether some server did not count its tokens.
        others: answers by servers that called themselves another model than they were asked for.
        refused: reasons of requests refused for good, by prompt and sample.
        several: whether more than one prompt is asked.
    """

    total: int
    answered: int = 0
    tokens: int = 0
    replayed: int = 0
    estimated: bool = False
    others: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, int], str] = field(default_factory=dict)
    several: bool = True

    def count(self, answer: Answer) -> None:
        """Add an answer."""
        self.answered += 1
        self.tokens += answer.size
        self.estimated |= answer.tokens is None
        if answer.model is not None:
            self.others[answer.model] += 1

    def headway(self) -> Headway:
        """Progress by tokens: how many there will be follows from the mean so far."""
        if not self.answered:
            return Headway(0, self.total)
        unit = "tok (estimated)" if self.estimated else "tok"
        left = self.total - self.answered - len(self.refused)
        expected = self.tokens + round(left * self.tokens / self.answered)
        return Headway(self.tokens, expected, self.replayed, unit, {"answers": self.answered})


class Pool:
    """Sends jobs in order to the least loaded endpoints and keeps every answer in the journal."""

    def __init__(
        self,
        settings: Remote,
        lanes: Sequence[Lane],
        jobs: Iterable[Job],
        journal: Journal,
        tally: Tally,
        tell: Tell,
    ) -> None:
        """Take the requests; those answered in the journal are not asked again."""
        self.settings, self.lanes, self.journal = settings, lanes, journal
        self.tally, self.tell = tally, tell
        self.add(jobs)
        self._later: list[tuple[float, int, Job]] = []
        self._order = 0
        self._running: dict[asyncio.Task[Answer], tuple[Job, Lane, int]] = {}
        self._checkups: dict[asyncio.Task[None], Lane] = {}

    def add(self, jobs: Iterable[Job]) -> None:
        """Take other requests, once all of the ones before were sent."""
        self._fresh = (job for job in jobs if job.key not in self.journal)

    async def step(self) -> None:
        """Send what can be sent, then wait until something happens, a heartbeat at most."""
        now = time.monotonic()
        self._send(now)
        wait = min([HEARTBEAT, *(lane.wakes(now) for lane in self.lanes)])
        if self._later and any(lane.ready(now) for lane in self.lanes):
            wait = min(wait, self._later[0][0] - now)
        if tasks := [*self._running, *self._checkups]:
            done, _ = await asyncio.wait(
                tasks, timeout=max(wait, 0.001), return_when=asyncio.FIRST_COMPLETED
            )
            self._settle_all(done)
        else:
            await asyncio.sleep(max(wait, 0.001))

    def bar(self, lane: Lane, why: Barred) -> None:
        """Ask an endpoint no more in this run.

        Raises:
            UserError: it was the last one.
        """
        if not lane.barred:
            lane.barred = str(why)
            facts = {"url": lane.address.url, "why": lane.barred}
            if any(not each.barred for each in self.lanes):
                sentence = f"{why}; it is not asked again in this run, the other endpoints are"
                facts["warning"] = sentence
            self.tell("endpoint_barred", facts)
        if all(each.barred for each in self.lanes):
            told = "; ".join(each.barred for each in self.lanes)
            raise UserError(f"{told}; answers are kept: put it right, run again")

    async def close(self) -> None:
        """Give up what is in flight and close the clients."""
        tasks = [*self._running, *self._checkups]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self.lanes:
            await lane.transport.close()
            facts = {
                "answered": lane.answered,
                "failed": lane.failed,
                "window": int(lane.window.limit),
            }
            self.tell("endpoint", {"url": lane.address.url, **facts})

    def _send(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        while ready := [lane for lane in self.lanes if lane.ready(now)]:
            # One that fails at once is never loaded: without the first key it would draw every request.
            lane = min(ready, key=lambda lane: (lane.breaker.failures, lane.window.load))
            if lane.overdue is not None and lane.breaker.opens_at is not None:
                self._checkups[loop.create_task(check_up(lane, lane.overdue))] = lane
                lane.breaker.sent()
                continue
            if (job := self._next(now)) is None:
                return
            lane.breaker.sent()
            self._running[loop.create_task(ask(lane, job.body))] = (job, lane, lane.window.sent())

    def _next(self, now: float) -> Job | None:
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return next(self._fresh, None)

    def _settle_all(self, done: Iterable[asyncio.Task[Any]]) -> None:
        """Settle every request that ended, and only then stop if one of them is a reason to."""
        errors: list[UserError] = []
        for task in done:
            try:
                if task in self._checkups:
                    self._checked_up(task, time.monotonic())
                else:
                    self._settle(task, time.monotonic())
            except UserError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _settle(self, task: asyncio.Task[Answer], now: float) -> None:
        """Take note of how a request ended.

        A refused connection and a 429 say nothing about the request; other failures may be its own, and count
        against its tries.
        """
        job, lane, round_sent = self._running.pop(task)
        lane.window.done()
        try:
            answer = task.result()
        except Refused as refusal:
            lane.spoke()
            self._refuse(job, lane, str(refusal))
        except Barred as failure:
            lane.failed += 1
            self._again(job, now)
            self.bar(lane, failure)
        except Busy as busy:
            self._turned_away(lane, busy, round_sent, now)
            self._again(job, now)
        except Unreachable as failure:
            self._failed(lane, failure, now)
            self._silent(lane, failure, now)
            self._again(job, now)
        except (Failed, Overdue, Broken, Malformed) as failure:
            self._failed(lane, failure, now)
            if isinstance(failure, Failed):
                lane.pause(now, failure.wait)
                self._silent(lane, failure, now)
            elif isinstance(failure, Overdue):
                lane.overdue = job.body
                if not job.tries:  # a second time it is the request's own
                    lane.window.narrow(round_sent)
            job.tries += 1
            if job.tries > self.settings.max_retries:
                self._refuse(job, lane, f"gave up after {job.tries} tries: {failure}")
            else:
                self._again(job, now + self._pause(job.tries))
        else:
            lane.spoke()
            lane.window.widen()
            lane.answered += 1
            lane.served = True
            self.journal.append(job.key, answer)
            self.tally.count(answer)
            if answer.model not in lane.names:
                self._renamed(lane, answer.model)

    def _checked_up(self, task: asyncio.Task[None], now: float) -> None:
        """Take note of whether an endpoint whose answers do not come gives short ones."""
        lane = self._checkups.pop(task)
        try:
            task.result()
        except Barred as failure:
            self.bar(lane, failure)
        except (Busy, Unreachable, Failed, Overdue, Broken) as failure:
            if isinstance(failure, Busy | Failed):
                lane.pause(now, failure.wait)
            self._failed(lane, failure, now)
            self._silent(lane, failure, now)
        else:
            lane.spoke()

    def _renamed(self, lane: Lane, name: str | None) -> None:
        lane.names.add(name)
        url, now = lane.address.url, name or lane.model
        sentence = f"{url}: asked for model {lane.model!r}, it now answers as {now!r}; its answers may be of two models"
        self.tell("renamed", {"url": url, "name": now, "warning": sentence})

    def _turned_away(self, lane: Lane, busy: Busy, round_sent: int, now: float) -> None:
        """Ask less and later: as late as the server says, else doubled for each overload in a row."""
        lane.breaker.withdrawn()
        if lane.window.narrow(round_sent):
            lane.turned_away += 1
            lane.pause(now, self._pause(lane.turned_away))
        lane.pause(now, busy.wait)
        self._silent(lane, busy, now)

    def _failed(self, lane: Lane, failure: Exception, now: float) -> None:
        lane.failed += 1
        if lane.breaker.failed(now):
            self.tell("endpoint_rests", {"url": lane.address.url, "after": str(failure)})

    def _again(self, job: Job, when: float) -> None:
        self._order += 1
        heapq.heappush(self._later, (when, self._order, job))

    def _pause(self, tries: int) -> float:
        """Seconds, doubled each time and spread by a quarter either way, so that retries do not meet."""
        wait = min(self.settings.backoff * 2 ** min(tries - 1, 30), LONGEST_BACKOFF)
        return wait * random.uniform(0.75, 1.25)

    def _silent(self, lane: Lane, failure: Exception, now: float) -> None:
        """Stop when no endpoint has taken a request for longer than our patience, or says that it will not."""
        lane.last = str(failure)
        if lane.silent_since is None:
            lane.silent_since = now
        for each in self.lanes:
            if each.barred:
                continue
            if each.silent_since is None:
                return
            if max(now, each.paused_until) - each.silent_since < self.settings.patience:
                return
        told = "; ".join(each.barred or f"{each.address.url}: {each.last}" for each in self.lanes)
        raise UserError(
            f"no endpoint takes requests (patience {self.settings.patience:g} s): {told};"
            " check the server, then run again: finished work is kept"
        )

    def _refuse(self, job: Job, lane: Lane, why: str) -> None:
        tally, cap = self.tally, self.settings.max_refused
        tally.refused[job.place] = why
        self.tell("refused", {"url": lane.address.url, "request": job.name, "why": why})
        refused, problems = len(tally.refused), len({problem for problem, _ in tally.refused})
        # One prompt that is too long, asked for many samples, says nothing about the others.
        alone = problems == 1 and tally.several and cap > 0
        hopeless = problems >= FEW and not tally.answered
        if (refused > cap * tally.total and not alone) or hopeless:
            raise UserError(
                f"{lane.address.url}: {refused} of {tally.total} samples refused for good, and max_refused"
                f" {cap:g} of them may be; the last was {job.name}: {why}; answers are kept: put it right, run again"
            )
