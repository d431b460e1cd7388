"""Engines behind HTTP: servers that run already, and one that is started for the work."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal, Self

from longstep.artifacts import write_rows
from longstep.config import model_validator
from longstep.context import Artifact
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.draw.engines import Desk, Engine, Gift, Opened
from longstep.draw.prompts import prompts_for
from longstep.foresight import Ahead
from longstep.generate import Endpoint, EndpointGenerator, Managed
from longstep.generate.parameters import left_out
from longstep.generate.pool import Remote

#: What a server gives when token ids travel to it and back.
_BY_IDS: frozenset[Gift] = frozenset({"ids", "logprobs", "continues"})


class _Served(Engine, Remote):
    """What the two have in common.

    Attributes:
        tokenizer: for a stage that continues answers: the model (a stage, a shipped name, a folder or a hub id) whose
            tokenizer and chat template the servers' model has; answers are then written on by token ids, through
            ``/v1/completions``.
        thinking: with ``tokenizer``: ``false`` asks the template for an empty think block.
    """

    tokenizer: str | None = None
    thinking: bool = True

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model whose tokenizer is used."""
        if self.tokenizer is not None:
            yield self.tokenizer, "model"

    def libraries(self) -> frozenset[str]:
        """Its tokenizer."""
        return frozenset(["transformers"] * (self.tokenizer is not None))

    @model_validator(mode="after")
    def _rendered_here(self) -> Self:
        if self.tokenizer is None and "thinking" in self.model_fields_set:
            raise ValueError(
                "thinking: has no effect without tokenizer; the servers' template decides"
            )
        return self

    def complaints(self, needs: Collection[Gift], place: str = "by") -> Iterator[str]:
        """A stage that continues answers needs the tokenizer, and a bound of what a piece may have."""
        if "continues" not in needs:
            if self.tokenizer is not None:
                yield f"{place}.tokenizer: has no effect, for this stage sends text; leave it out"
            yield from super().complaints(needs, place)
            return
        if self.tokenizer is None:
            yield (
                f"{place}: an engine of kind {type(self).model_fields['kind'].default} cannot continue a text of its "
                f"own unless token ids travel: set {place}.tokenizer to the model whose tokenizer its servers have"
            )
        if "max_tokens" in left_out(self.parameters):
            yield f"{place}.parameters: max_tokens is left out, and a piece of an answer needs its bound"
        if self.prefix:
            yield f"{place}.prefix: has no effect where token ids travel; leave it out"
        yield from super().complaints(set(needs).difference(_BY_IDS), place)

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """A model without a tokenizer for it."""
        if self.tokenizer is not None:
            yield from ahead.model("by.tokenizer", self.tokenizer)

    def _opened(self, remote: Endpoint | Managed, desk: Desk, **fill: str) -> Opened:
        if self.tokenizer is None:
            return Opened(EndpointGenerator(remote, desk.tell, **fill))
        from longstep.generate.piece import Vocabulary
        from longstep.generate.pieces import PiecesGenerator
        from longstep.models.bounds import turn_ends
        from longstep.models.chat import encode_text
        from longstep.models.load import load_tokenizer, located_before

        here = self.tokenizer.startswith("@")
        # Of a model of the hub no weights are fetched: they lie at the server.
        folder = desk.model(self.tokenizer) if here else located_before(self.tokenizer, ask=True)
        assert folder is not None
        tokenizer = load_tokenizer(folder)
        tokens = Vocabulary(
            lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=False)),
            turn_ends(folder, tokenizer),
            max(tokenizer.get_vocab().values()) + 1,
        )
        return Opened(
            PiecesGenerator(remote, tokens, desk.folder, desk.tell, **fill),
            lambda problems: prompts_for(tokenizer, problems, self.thinking),
            encode=lambda text: encode_text(tokenizer, text),
        )


class ByEndpoint(_Served, Endpoint):
    """OpenAI-compatible servers sample (vLLM, SGLang, a hosted R1); rows carry text, pieces of a tree their ids."""

    kind: Literal["endpoint"] = "endpoint"

    def open(self, desk: Desk) -> Opened:
        """Take the addresses."""
        return self._opened(self, desk)

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Dollars for tokens drawn elsewhere; nobody here knows how long that takes."""
        tokens, price = work.completions * work.mean, given.plan.endpoint_price
        given.remark(
            f"{given.name}: {self.model} draws {tokens / 1e9:.2f} billion tokens elsewhere, at "
            f"${price} per million, what it reads not counted; its hours are not estimated"
        )
        return Spent(tokens=tokens, dollars=tokens * price / 1e6)


class ByServer(_Served, Managed):
    """An OpenAI-compatible server that longstep starts for the stage and stops after it."""

    kind: Literal["server"] = "server"

    def open(self, desk: Desk) -> Opened:
        """Write the file of problems, for a server that answers with their solutions."""
        if not any("{problems}" in part for part in self.command):
            return self._opened(self, desk)
        path = desk.folder / "problems.jsonl"
        write_rows(path, desk.problems)
        return self._opened(self, desk, problems=str(path.resolve()))

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Tokens only: the command does not say on what it runs."""
        given.remark(f"{given.name}: hours of the server started for it are not estimated")
        return Spent(tokens=work.completions * work.mean)
