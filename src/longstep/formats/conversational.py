"""Layouts whose columns hold messages: messages, ShareGPT, TRL's conversational forms and verl."""

from __future__ import annotations

from typing import Any

from longstep.formats import chat
from longstep.formats.faults import RowError, describe
from longstep.formats.layout import Layout
from longstep.formats.record import (
    Message,
    Record,
    Row,
    Taker,
    as_key,
    as_text,
    common_columns,
)


def _messages(values: list[Any], column: str) -> list[Message]:
    if not values:
        raise RowError("got an empty list, expected messages", column)
    return [chat.check_message(each, f"{column}.{n}") for n, each in enumerate(values)]


def _said(value: Any, column: str) -> str:
    """The text of one assistant's message with nothing beside it, alone or as a list of one."""
    if isinstance(value, list):
        if len(value) != 1:
            raise RowError(f"got {describe(value)}, expected one message of the assistant", column)
        value = value[0]
    message = chat.check_message(value, column)
    if message["role"] != "assistant" or set(message) != {"role", "content"}:
        raise RowError(
            f"got a message of {message['role']} with {', '.join(message)}; expected the assistant's content",
            column,
        )
    return message["content"]


def _say(text: str | None) -> list[Message] | None:
    return None if text is None else [{"role": "assistant", "content": text}]


# -- messages and ShareGPT ------------------------------------------------------------------------


def _messages_take(row: Taker) -> dict[str, Any]:
    fields = chat.conversation(_messages(row.a_list("messages"), "messages"), "messages")
    return {**row.common(fields), **fields}


def _messages_columns(record: Record) -> Row:
    return {"messages": chat.whole(record), **common_columns(record, ("completion",))}


MESSAGES = Layout(
    "messages",
    {"messages": "a list"},
    "TRL, axolotl and most others: role and content",
    _messages_take,
    _messages_columns,
)


def _sharegpt(name: str, note: str, names: dict[str, str]) -> Layout:
    def take(row: Taker) -> dict[str, Any]:
        fields = chat.conversation(_turns(row), "conversations")
        return {**row.common(fields), **fields}

    def columns(record: Record) -> Row:
        turns = [chat.to_sharegpt(each, names) for each in chat.whole(record)]
        return {"conversations": turns, **common_columns(record, ("completion",))}

    return Layout(name, {"conversations": "a list"}, note, take, columns)


def _turns(row: Taker) -> list[Message]:
    """The conversation, with a column ``system`` as LLaMA-Factory has it put in front."""
    values = row.a_list("conversations")
    if not values:
        raise RowError("got an empty list, expected messages", "conversations")
    messages = [chat.from_sharegpt(each, f"conversations.{n}") for n, each in enumerate(values)]
    if messages[0]["role"] != "system" and (system := row.maybe_text("system")):
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _sharegpt_pair_take(row: Taker) -> dict[str, Any]:
    fields = chat.conversation(_turns(row), "conversations")
    for field in ("chosen", "rejected"):
        fields[field] = _said(chat.from_sharegpt(row.mapping(field), field), field)
    return {**row.common(fields), **fields}


def _sharegpt_pair_columns(record: Record) -> Row:
    row: Row = {
        "conversations": [chat.to_sharegpt(each, chat.SHAREGPT) for each in chat.whole(record)]
    }
    for field, text in (("chosen", record.chosen), ("rejected", record.rejected)):
        if text is not None:
            row[field] = {"from": "gpt", "value": text}
    return row | common_columns(record, ("completion", "chosen", "rejected"))


SHAREGPT = _sharegpt(
    "sharegpt", "ShareGPT and LLaMA-Factory: from (human, gpt) and value", chat.SHAREGPT
)
LIGHT_R1 = _sharegpt(
    "light-r1",
    "Light-R1's SFT files: ShareGPT with user and assistant; read as sharegpt, its pairs as sharegpt-preference",
    {**chat.SHAREGPT, "user": "user", "assistant": "assistant"},
)
SHAREGPT_PREFERENCE = Layout(
    "sharegpt-preference",
    {"conversations": "a list", "chosen": "a mapping", "rejected": "a mapping"},
    "LLaMA-Factory's ranking rows and Light-R1's DPO pairs",
    _sharegpt_pair_take,
    _sharegpt_pair_columns,
)


# -- Llama-Nemotron -------------------------------------------------------------------------------


def _nemotron_take(row: Taker) -> dict[str, Any]:
    asked = _messages(row.a_list("input"), "input")
    system = row.maybe_text("system_prompt")
    if system and asked[0]["role"] != "system":
        asked.insert(0, {"role": "system", "content": system})
    _question(asked, "input")
    answer = _say(row.any_text("output")) or []
    fields = chat.conversation([*asked, *answer], "input")
    return {**row.common(fields), **fields}


def _nemotron_columns(record: Record) -> Row:
    asked, answer = chat.parted(record)
    row: Row = {"input": asked}
    if asked[0]["role"] == "system":
        row = {"input": asked[1:], "system_prompt": asked[0]["content"]}
    output = answer[0]["content"] if answer else None
    return {**row, "output": output, **common_columns(record, ("completion",))}


NEMOTRON = Layout(
    "nemotron",
    {"input": "a list", "output": "text"},
    "Llama-Nemotron's post-training rows: messages in input, the answer in output",
    _nemotron_take,
    _nemotron_columns,
)


# -- TRL ------------------------------------------------------------------------------------------


def _question(messages: list[Message], column: str = "prompt") -> dict[str, Any]:
    fields = chat.conversation(messages, column)
    if fields.pop("completion") is not None:
        raise RowError("ends with an answer, expected a question at the end", column)
    return fields


def _chat_prompt_take(row: Taker) -> dict[str, Any]:
    fields = _question(_messages(row.a_list("prompt"), "prompt"))
    return {**row.common(fields), **fields}


def _chat_prompt_columns(record: Record) -> Row:
    return {"prompt": chat.parted(record)[0], **common_columns(record)}


def _chat_completion_take(row: Taker) -> dict[str, Any]:
    asked = _messages(row.a_list("prompt"), "prompt")
    answer = _messages(row.a_list("completion"), "completion")
    if len(answer) != 1 or answer[0]["role"] != "assistant":
        raise RowError(
            f"got {describe(answer)}, expected one message of the assistant", "completion"
        )
    fields = chat.conversation([*asked, *answer], "prompt")
    return {**row.common(fields), **fields}


def _chat_completion_columns(record: Record) -> Row:
    asked, answer = chat.parted(record)
    row: Row = {"prompt": asked, **({"completion": answer} if answer else {})}
    return row | common_columns(record, ("completion",))


def _chat_preference_take(row: Taker) -> dict[str, Any]:
    chosen, rejected = row.a_list("chosen"), row.a_list("rejected")
    if isinstance(row.left.get("prompt"), list):
        asked = _messages(row.a_list("prompt"), "prompt")
    else:  # the whole conversation twice; a column prompt that repeats the question as text is left over
        asked = _messages(chosen[:-1], "chosen")
        if rejected[:-1] != asked:
            raise RowError("answers another conversation than chosen", "rejected")
        chosen, rejected = chosen[-1:], rejected[-1:]
    fields = _question(asked)
    fields |= {"chosen": _said(chosen, "chosen"), "rejected": _said(rejected, "rejected")}
    return {**row.common(fields), **fields}


def _chat_preference_columns(record: Record) -> Row:
    row: Row = {"prompt": chat.parted(record)[0]}
    for field, text in (("chosen", record.chosen), ("rejected", record.rejected)):
        row[field] = _say(text)
    return row | common_columns(record, ("chosen", "rejected"))


CHAT_PROMPT = Layout(
    "chat-prompt",
    {"prompt": "a list"},
    "TRL, prompt only, conversational",
    _chat_prompt_take,
    _chat_prompt_columns,
)
CHAT_COMPLETION = Layout(
    "chat-completion",
    {"prompt": "a list", "completion": "a list"},
    "TRL, prompt and completion, conversational: the chat template is applied",
    _chat_completion_take,
    _chat_completion_columns,
)
CHAT_PREFERENCE = Layout(
    "chat-preference",
    {"chosen": "a list", "rejected": "a list"},
    "TRL, preference, conversational; also with the conversation repeated in both columns",
    _chat_preference_take,
    _chat_preference_columns,
)


# -- verl -----------------------------------------------------------------------------------------

_RULE = {"style": "rule"}


def _verl_take(row: Taker) -> dict[str, Any]:
    fields = _question(_messages(row.a_list("prompt"), "prompt"))
    judged = row.mapping("reward_model")
    extra: Row = {}
    if (truth := as_key(judged.get("ground_truth"))) is not None:  # test cases of code stay there
        fields["answer"] = truth
        del judged["ground_truth"]
    if judged != _RULE:
        extra["reward_model"] = judged
    fields["source"] = row.maybe_text("data_source")
    ability = row.maybe_text("ability")
    if ability not in (None, "math"):
        extra["ability"] = ability
    return {**row.common(fields), **fields, "extra": extra}


def _verl_columns(record: Record) -> Row:
    judged = record.extra.get("reward_model")
    if not isinstance(judged, dict) or as_text(judged.get("ground_truth")) is not None:
        judged = _RULE
    truth = {} if record.answer is None else {"ground_truth": record.answer}
    ability = record.extra.get("ability")
    row: Row = {
        "data_source": record.source or "",
        "prompt": chat.parted(record)[0],
        "ability": ability if isinstance(ability, str) else "math",
        "reward_model": {**judged, **truth},
    }
    return row | common_columns(record, ("source", "answer"))


VERL = Layout(
    "verl",
    {"prompt": "a list", "reward_model": "a mapping"},
    "verl's RL rows; its built-in rewards are chosen by data_source, which is the record's source",
    _verl_take,
    _verl_columns,
)
