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
}
#: Columns that LLaMA-Factory may only be told of when the file has them.
OPTIONAL = ("system", "history")


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
    if layout == "alpaca":
        named |= {column: column for column in OPTIONAL if column in columns}
    return {name: {"file_name": file, **entry, "columns": named}}
