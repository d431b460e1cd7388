"""What a request may say: neutral values are let pass, the rest is honoured or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypeVar

from longstep.config import Field, Strict, ValidationError, field_validator, model_validator

#: Messages as a chat template takes them: role and content, both text.
Turns = Sequence[Mapping[str, str]]
R = TypeVar("R", bound="Settings")

MOST_CHOICES = 128
#: Values that ask for nothing which is not done anyway, by field; clients send them without having been asked.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "add_special_tokens": (False,),
    "best_of": (1,),
    "continue_final_message": (False,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("auto", "none"),
    "ignore_eos": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logprobs": (False,),
    "max_completion_tokens": (-1,),
    "max_tokens": (-1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "priority": (0,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "service_tier": ("auto", "default"),
    "skip_special_tokens": (False,),
    "stop": ("", []),
    "store": (False,),
    "stream": (False,),
    "stream_options": ({"include_usage": True}, {"include_usage": False}),
    "suffix": ("",),
    "tool_choice": ("auto", "none"),
    "top_a": (0,),
    "top_k": (-1, 0),
    "top_logprobs": (0,),
    "type": ("text",),  # of a message
    "typical_p": (1,),
    "use_beam_search": (False,),
}
#: Names for who asks, which change no answer.
_LABELS = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})


class Refusal(Exception):
    """A request is refused with this status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Part(Strict):
    """A piece of a message's text."""

    type: Literal["text"] = "text"
    text: str


class Message(Strict):
    """One turn; ``developer`` is the newer name of ``system``."""

    role: Literal["system", "developer", "user", "assistant"]
    content: tuple[Part, ...]

    @field_validator("content", mode="before")
    @classmethod
    def _one_part(cls, given: Any) -> Any:
        return [{"type": "text", "text": given}] if isinstance(given, str) else given

    @property
    def turn(self) -> dict[str, str]:
        """It as a chat template takes it, parts on lines of their own."""
        text = "\n".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class NamedNoise(Strict):
    """The stream that an answer's randomness comes from, and how many of its tokens are in the prompt already.

    With it a piece of an answer is what the same engine draws at that place in one go; OpenAI's field ``seed`` begins
    anew at every request.

    Attributes:
        seed: of the draw.
        name: of the prompt that is answered, or of a branch of its answers.
        index: which of its answers.
        at: tokens of the answer at the end of the prompt.
    """

    seed: int
    name: str
    index: int = Field(ge=0)
    at: int = Field(ge=0)


class Settings(Strict):
    """What both kinds of request may ask for; a field that is not here has to be neutral.

    Attributes:
        seed: with the prompt it fixes the answers; without one a number is drawn.
        max_completion_tokens: the new name of ``max_tokens``; without either an answer may fill the context.
        n: choices; the first is the one that ``n: 1`` gives.
        stop: the answer ends before the first of these texts.
    """

    model: str
    temperature: float = Field(default=1.0, ge=0, le=100)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    n: int = Field(default=1, ge=1, le=MOST_CHOICES)
    stop: tuple[str, ...] = ()

    @field_validator("stop", mode="before")
    @classmethod
    def _one_text(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        new, old = self.max_completion_tokens, self.max_tokens
        if None not in (new, old) and new != old:
            raise ValueError("max_tokens and max_completion_tokens are one setting; send one")
        if "" in self.stop:
            raise ValueError("stop: an empty text is found everywhere; leave it out")
        return self

    @property
    def longest(self) -> int | None:
        """Tokens of one answer at most."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stream(self) -> NamedNoise | None:
        """Where the randomness comes from, when that is said."""
        return None

    @property
    def tells_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return False


class ChatRequest(Settings):
    """A conversation, to be continued by the assistant through the model's own chat template."""

    messages: tuple[Message, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError(
                "messages: the last one has to be the user's; a begun answer is not continued"
            )
        return self

    @property
    def turns(self) -> Turns:
        """The messages as a chat template takes them."""
        return [message.turn for message in self.messages]


class TextRequest(Settings):
    """Texts to be continued as they are, without a chat template; also as token ids.

    Attributes:
        prompt: texts, or token ids.
        return_token_ids: say the ids of prompt and answer, the one that ends it included.
        include_stop_str_in_output: the answer ends behind its stop text, not before.
        stop_token_ids: ids that end an answer; only those that end a turn of the model anyway.
        logprobs: say the log-probability of each token at temperature 1; of the most likely others none are said.
        noise: instead of ``seed``, for one prompt of ids.
    """

    prompt: tuple[str | tuple[int, ...], ...]
    return_token_ids: bool = False
    include_stop_str_in_output: bool = False
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = Field(default=None, ge=0, le=1)
    noise: NamedNoise | None = None

    @property
    def stream(self) -> NamedNoise | None:
        """What ``noise`` says."""
        return self.noise

    @property
    def tells_logprobs(self) -> bool:
        """What ``logprobs`` says."""
        return self.logprobs is not None

    @field_validator("prompt", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        one = isinstance(given, str) or (isinstance(given, list) and _are_ids(given))
        return [given] if one else given

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.prompt or not all(self.prompt):
            raise ValueError("prompt: is empty, and there is nothing to continue")
        first, *others = self.prompt
        if self.noise is not None:
            if others or isinstance(first, str) or self.n > 1:
                raise ValueError("noise: names one answer to one prompt of token ids")
            if self.noise.at >= len(first):
                raise ValueError(
                    f"noise.at: {self.noise.at} tokens of the answer leave nothing of a prompt of {len(first)}"
                )
        return self


def _are_ids(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(each, int) for each in given)


def chat_request(body: bytes) -> ChatRequest:
    """Read the body of a chat completion.

    Raises:
        Refusal: it is none, or asks for what is not done here.
    """
    given = _object(body)
    if isinstance(given.get("messages"), list):
        given["messages"] = [
            _message(each, f"messages.{n}.") for n, each in enumerate(given["messages"])
        ]
    return _read(ChatRequest, given)


def _message(given: Any, place: str) -> Any:
    if not isinstance(given, dict):
        return given
    asked = _asked(given, Message.model_fields, place)
    if isinstance(asked.get("content"), list):
        asked["content"] = [
            _asked(each, Part.model_fields, f"{place}content.{n}.")
            if isinstance(each, dict) and each.get("type") == "text"
            else each
            for n, each in enumerate(asked["content"])
        ]
    return asked


def text_request(body: bytes) -> TextRequest:
    """Read the body of a completion.

    Raises:
        Refusal: as above.
    """
    return _read(TextRequest, _object(body))


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refusal(400, "the body is not a JSON object")
    return given


def _read(kind: type[R], given: dict[str, Any]) -> R:
    asked = _asked(given, kind.model_fields, "")
    try:
        return kind.model_validate_json(json.dumps(asked))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise Refusal(400, f"{place}: {said}" if place else said) from None


def _asked(given: Mapping[str, Any], known: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The fields that ask for something.

    Raises:
        Refusal: one asks for what is not done here.
    """
    asked: dict[str, Any] = {}
    for name, value in given.items():
        neutral = _NEUTRAL.get(name, ())
        if value is None or any(_same(value, each) for each in neutral) or name in _LABELS:
            continue
        if name in known:
            asked[name] = value
        elif value not in ([], {}):
            hint = " or ".join(json.dumps(each) for each in neutral)
            mend = f"leave it out or set {hint}" if neutral else "leave it out"
            raise Refusal(400, f"{place}{name}: {_short(value)} is not supported here; {mend}")
    return asked


def _same(a: object, b: object) -> bool:
    """Equal as JSON has it: 0 is 0.0 and not false."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
