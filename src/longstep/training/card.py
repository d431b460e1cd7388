"""The model card: what a model folder was made from, by which stage, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import longstep
from longstep.artifacts import write_bytes
from longstep.config import Strict, dump
from longstep.workfolder import settled

TEXT = """---
library_name: transformers
license: apache-2.0
tags: [longstep, reasoning]
---

# {name}

Made by longstep {version}, stage `{name}` ({kind}), from {parents}.

Load it with `AutoModelForCausalLM.from_pretrained` and use its chat template: the generation prompt ends with a
forced `<think>`; pass `enable_thinking=False` to switch thinking off where the template supports it.

## Settings

```json
{settings}
```
{facts}"""


def write_card(
    out: Path,
    name: str,
    config: Strict,
    parents: Sequence[str],
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write ``README.md`` into a model folder.

    It holds no date and no setting that may change on the way, so that equal runs give equal files.
    """
    import json

    lines = "".join(f"\n* {key}: {value}" for key, value in (facts or {}).items())
    text = TEXT.format(
        name=name,
        version=longstep.__version__,
        kind=dump(config)["kind"],
        parents=", ".join(f"`{parent}`" for parent in parents) or "random weights",
        settings=json.dumps(settled(config), indent=1, sort_keys=True),
        facts=f"\n## Facts\n{lines}\n" if lines else "",
    )
    write_bytes(out / "README.md", text.encode())
