"""Take every tiny model of tests/zoo.py through every verb, and write docs/models.md from what happened.

    python scripts/zoo.py            all of them; the page is written when the last one is done
    python scripts/zoo.py NAME...    these, printed only

Ends with 1 when a step fails in another way than by a sentence, or when ``longstep doctor`` promised otherwise.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import conftest  # noqa: E402, F401  one thread, offline, as in the suite

PAGE = ROOT / "docs" / "models.md"
HEAD = """# What works with which model

`make zoo` builds each model below with two layers and random weights, takes it through every verb, and writes this
page from what happened: nothing here is typed by hand. It says that a folder of that kind is read, trained, resumed and
merged as it should be, not that its answers are good. `longstep doctor MODEL` examines a folder of your own in the same
way, without training it.

*doctor* is the verb's report; *resume* means that a run killed by SIGKILL at step 3 of 4 and started again ends with
the hash of the run that was left alone, for `sft` and `lora`; *merge* is TIES of the two tuned models over the start;
*evaluate* scores the start and the merged model. A dash stands where what a step needs was refused before it.
"""


def taken(name: str) -> dict[str, str]:
    """What a member answered, step by step."""
    from longstep.merge.folders import refuse_unmergeable
    from longstep.models.examine import examine_model
    from zoo_journey import MEMBERS, journey, promised

    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
        member = MEMBERS[name](Path(scratch) / name.replace(" ", "-"))
        loading = loaded(member)
        examined = examine_model(member, {"merge": refuse_unmergeable})
        steps = journey(member, Path(scratch) / "journey")
        broken = [step for step, can in promised(examined).items() if can != (not steps[step])]
    if broken:
        raise AssertionError(
            f"{name}: the doctor promised otherwise: {broken}: {steps}, {examined}"
        )
    wrong = "; ".join(line.replace(f"{member}: ", "") for line in examined.wrong)
    return {"doctor": wrong, "load": loading.replace(f"{member}: ", ""), **steps}


def loaded(member: Path) -> str:
    """ "" or why model or tokenizer cannot be loaded."""
    from longstep.config import UserError
    from longstep.models.load import load_model, load_tokenizer

    try:
        load_model(member)
        load_tokenizer(member)
    except UserError as error:
        return str(error)
    return ""


def cell(step: str, words: str, said: list[str]) -> str:
    """One answer; refusals are numbered in the order in which they come."""
    from zoo_journey import UNREACHED

    well, ill = ("well", "ill") if step == "doctor" else ("yes", "refused")
    if words in ("", UNREACHED):
        return "-" if words else well
    if words not in said:
        said.append(words)
    return f"{ill} [{said.index(words) + 1}]"


def table(answers: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Rows of Markdown, then the refusals they number."""
    said: list[str] = []
    steps = list(next(iter(answers.values())))
    lines = [f"| model | {' | '.join(steps)} |", f"|---|{'---|' * len(steps)}"]
    for name, found in answers.items():
        cells = []
        for step, words in found.items():
            cells.append(cell(step, words, said))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", *(f"{number}. {words}" for number, words in enumerate(said, 1))]


def main(names: list[str]) -> int:
    """Run; give the exit code."""
    from zoo_journey import MEMBERS

    answers: dict[str, dict[str, str]] = {}
    for name in names or MEMBERS:
        started = time.monotonic()
        answers[name] = taken(name)
        refused = sum(map(bool, answers[name].values()))
        print(
            f"{name}: {refused or 'nothing'} refused, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    if names:
        print("\n".join(table(answers)))
    else:
        write_page(answers)
    return 0


def write_page(answers: Mapping[str, Mapping[str, str]]) -> None:
    """The page, with where and when it was made."""
    made_with = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "trl")
    )
    origin = f"Made by `make zoo` on {date.today().isoformat()}, {platform.machine()}, {made_with}."
    PAGE.write_text("\n".join([HEAD, *table(answers), "", origin, ""]), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
