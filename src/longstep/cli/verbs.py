"""Each kind of stage as a command of its own, made when one is asked for or all are listed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from longstep.cli.terminal import run_single


class Verbs(TyperGroup):
    """The commands that are given, and those of stages behind them.

    What the latter take and do stands in the stages, and reading all of them takes longer than most other commands do.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """All of them."""
        self._complete()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One by its name; ``None`` when there is none, and then all are known and the nearest can be named."""
        if cmd_name not in self.commands:
            self._complete()
        return super().get_command(ctx, cmd_name)

    def _complete(self) -> None:
        for name, command in _of_stages().items():
            self.commands.setdefault(name, command)


@cache
def _of_stages() -> dict[str, Any]:
    from longstep.cli.bring import bringing
    from longstep.cli.families import stage_verbs
    from longstep.run.brought import READERS

    stages = typer.Typer()
    for kind, about in stage_verbs().items():
        command = stages.command(name=kind, help=about, rich_help_panel="Stages, one at a time")
        (bringing if kind in READERS else _alone)(command, kind)
    return dict(typer.main.get_group(stages).commands)


def _alone(command: Callable[[Callable[..., None]], object], kind: str) -> None:
    @command
    def verb(
        config: Annotated[Path, typer.Argument(help="YAML with the stage's settings")],
        out: Annotated[Path, typer.Option(help="run folder")],
        overrides: Annotated[
            list[str] | None,
            typer.Argument(metavar="[KEY=VALUE]...", help="e.g. optimizer.lr=1e-5"),
        ] = None,
        anyway: Annotated[
            bool, typer.Option("--anyway", help="run it although it seems to need more memory")
        ] = False,
    ) -> None:
        from longstep.config import load_yaml, override

        located = load_yaml(config)
        for assignment in overrides or []:
            located = override(located, assignment)
        run_single(kind, located, out, anyway=anyway)
