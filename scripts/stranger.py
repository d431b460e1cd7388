"""Type what the pages tell a stranger to type: from a wheel, in a fresh environment, outside of the repository.

    python scripts/stranger.py FOLDER

builds the wheel, installs it into FOLDER/venv (unless that is there), and runs every command of ``docs/first-hour.md``
and ``docs/layouts.md`` as it stands, in FOLDER/home. Prints wall and CPU time of each; ends with 1 when one failed.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_ENTRY = re.compile(r"^### (.+?)\n.*?^```json\n(.*?)^```\n+^```\n(.*?)^```$", re.M | re.S)
_BLOCK = re.compile(r"(?:`(\w+\.py)`:\n\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
#: The server that one command of the page asks.
SERVER = ("longstep", "serve", "longstep-tiny", "--port", "8765")


@dataclass(frozen=True)
class Entry:
    """One layout: its name, a row of it, and the command that takes a file of such rows."""

    name: str
    row: dict[str, Any]
    command: str

    def write(self, folder: Path) -> None:
        """Write the file that the command reads: the row, and one that asks something else."""
        words = shlex.split(self.command)
        flag = "--data" if "--data" in words else "--benchmark"
        path = folder / words[words.index(flag) + 1]
        rows = [self.row, json.loads(json.dumps(self.row).replace("2+3?", "3+2?"))]
        if path.suffix == ".parquet":
            from pyarrow import Table, parquet

            parquet.write_table(Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def layouts() -> list[Entry]:
    """What the page of layouts says, in its order."""
    found = _ENTRY.findall((DOCS / "layouts.md").read_text("utf-8"))
    return [Entry(name, json.loads(row), command.strip()) for name, row, command in found]


def first_hour() -> tuple[dict[str, str], list[str]]:
    """The files that the page of the first hour has saved, and the commands behind its installation."""
    files: dict[str, str] = {}
    commands: list[str] = []
    for name, language, text in _BLOCK.findall((DOCS / "first-hour.md").read_text("utf-8")):
        if name:
            files[name] = text
        elif not language:
            commands += text.strip().splitlines()
    return files, [each for each in commands if "pip install" not in each and "-m venv" not in each]


def _installed(folder: Path) -> Path:
    """The ``bin`` of an environment that holds the wheel and nothing of the repository."""
    import package  # beside this file

    bin = folder / "venv" / "bin"
    if not bin.exists():
        [wheel] = package.build(folder / "dist", "https://host.example/longstep", ["build_wheel"])
        for words in (
            ["python3", "-m", "venv", folder / "venv"],
            [bin / "pip", "install", f"{wheel}[train]"],
        ):
            started = time.monotonic()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            print(f"{time.monotonic() - started:7.1f} s  {shlex.join(map(str, words))}", flush=True)
    return bin


def _commands(home: Path) -> Iterator[tuple[Path, str]]:
    """Each command with the folder it is typed in."""
    files, commands = first_hour()
    tried = home / "layouts"
    for folder in (home, tried):
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
    for command in commands:
        yield home, command
    for entry in layouts():
        entry.write(tried)
        yield tried, entry.command


def _spent() -> float:
    """CPU seconds of all commands that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run all of them."""
    folder = Path(sys.argv[1]).resolve()
    bin, home = _installed(folder), folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    failed, log = 0, (folder / "log.txt").open("w")
    given: dict[str, Any] = {"stdout": log, "stderr": log}
    server = subprocess.Popen([bin / SERVER[0], *SERVER[1:]], env=environment, **given)
    try:
        for cwd, command in _commands(home):
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                environment[name] = value
                continue
            print(f"$ {command}", file=log, flush=True)
            started, spent = time.monotonic(), _spent()
            done = subprocess.run(command, shell=True, cwd=cwd, env=environment, **given)
            failed += done.returncode != 0
            took = f"{time.monotonic() - started:7.1f} s, {_spent() - spent:6.1f} of CPU"
            said = f"{took}  {command}"
            print(said if done.returncode == 0 else f"FAILED {said}", flush=True)
    finally:
        server.terminate()
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
