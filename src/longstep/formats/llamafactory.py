"""``dataset_info.json``: how LLaMA-Factory is told what the columns of a file mean (its ``data/README.md``)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

INFO = "dataset_info.json"
_SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_PLAIN_TAGS = {**_SHAREGPT_TAGS, "user_tag": "user", "assistant_tag": "assistant"}
_MESSAGES_TAGS = {
    **_PLAIN_TAGS,
    "role_tag": "role",
    "content_tag": "content",
    "observation_tag": "tool",
}
_TURNS = {"messages": "conversations"}
#: Layout -> its entry without the file's name.
_ENTRIES: Mapping[str, dict[str, Any]] = {
    "sharegpt": {"formatting": "sharegpt", "columns": _TURNS, "tags": _SHAREGPT_TAGS},
    "light-r1": {"formatting": "sharegpt", "columns": _TURNS, "tags": _PLAIN_TAGS},
    "messages": {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": _MESSAGES_TAGS,
    },
    "sharegpt-preference": {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {**_TURNS, "chosen": "chosen", "rejected": "rejected"},
        "tags": _SHAREGPT_TAGS,
    },
    "alpaca": {
        "formatting": "alpaca",
        "columns": {"prompt": "instruction", "query": "input", "response": "output"},
    },
    "alpaca-preference": {
        "formatting": "alpaca",
        "ranking": True,
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "chosen": "chosen",
            "rejected": "rejected",
        },
    },
}
#: Columns that LLaMA-Factory may only be told of when the file has them, by the formatting that has them.
_OPTIONAL = {"alpaca": ("system", "history"), "sharegpt": ("system", "tools")}
OPTIONAL = ("system", "history", "tools")
#: Columns of the turns -> the key of their roles.
_ROLES = {"conversations": "from", "messages": "role"}
_ASKING = ("human", "user", "observation", "tool")
_ANSWERING = ("gpt", "assistant", "function_call")


def dataset_info(
    name: str, file: str, layout: str, columns: Container[str]
) -> dict[str, Any] | None:
    """The content of ``dataset_info.json`` for one file, or ``None`` when LLaMA-Factory cannot read it.

    Args:
        name: of the dataset, as a training config names it.
        file: its name beside the ``dataset_info.json``.
        layout: of its rows.
        columns: those that its rows have.
    """
    entry = _ENTRIES.get(layout)
    if entry is None or not file.endswith((".jsonl", ".parquet")):
        return None
    named = dict(entry["columns"])
    optional = _OPTIONAL[str(entry["formatting"])]
    named |= {column: column for column in optional if column in columns}
    return {name: {"file_name": file, **entry, "columns": named}}


def takes_turns(row: Mapping[str, Any]) -> bool:
    """Whether LLaMA-Factory takes a row's turns: a question or a tool's answer, then a reply or a call, and so on.

    It leaves other rows out in training, with a warning for each. A pair's conversation ends with the question.
    """
    column = next((each for each in _ROLES if isinstance(row.get(each), list)), None)
    if column is None:
        return True
    roles = [turn[_ROLES[column]] for turn in row[column]]
    roles = roles[1:] if roles[:1] == ["system"] else roles
    fits = all(role in (_ANSWERING if n % 2 else _ASKING) for n, role in enumerate(roles))
    return fits and len(roles) % 2 == ("chosen" in row)
