"""What a server calls the parameters of a request: some know another name, others refuse one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longstep.config import nearest

#: What longstep sends beside model and messages; ``n`` and ``logprobs`` only to find out whether they are honoured.
PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens", "seed", "n", "logprobs")
#: What has no other name anywhere.
_FIXED = (
    "model", "messages", "prompt", "stop", "stop_token_ids", "include_stop_str_in_output", "return_token_ids",
    "skip_special_tokens", "noise",
)  # fmt: skip
Names = Mapping[str, str | None]


def check_names(names: Names) -> None:
    """Refuse names that say nothing or cannot be told apart.

    Raises:
        ValueError: a key is no parameter of ours, or two of them would have one name.
    """
    for name in names:
        if name not in PARAMETERS:
            close = nearest(name, PARAMETERS)
            hint = f"did you mean {close!r}?" if close else f"expected {', '.join(PARAMETERS)}"
            raise ValueError(f"{name!r} is no parameter that longstep sends; {hint}")
    sent = [*_FIXED, *(names.get(name, name) for name in PARAMETERS)]
    if "" in sent:
        raise ValueError("a parameter's name is empty; null leaves it out")
    for name in sent:
        if name is not None and sent.count(name) > 1:
            raise ValueError(f"{name!r} would stand twice in a request")


def as_sent(body: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A body in this server's words."""
    kept = [(names.get(key, key), value) for key, value in body.items()]
    return {name: value for name, value in kept if name is not None}


def left_out(names: Names) -> list[str]:
    """Parameters that are not sent, so that the server's own values hold."""
    return [name for name in PARAMETERS if name in names and names[name] is None]


def left_out_warning(names: Names) -> str:
    """One sentence about what the settings of a draw do not decide; empty when they decide all."""
    missing = [name for name in left_out(names) if name not in ("n", "logprobs")]
    if not missing:
        return ""
    return (
        f"{' and '.join(missing)} left out of all requests (parameters), so the server's own values hold"
        f"{'; samples cannot be drawn again' if 'seed' in missing else ''}"
    )
