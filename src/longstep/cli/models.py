"""Verbs about models as they are: whether two make a pair, what one is, to ask it, to serve it."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import typer

from longstep.cli.terminal import Json, print_json, print_table, quiet_libraries, say

models = typer.Typer()


@models.command()
def pair(
    expert: Annotated[str, typer.Argument(help="the model that would be taught")],
    amateur: Annotated[str, typer.Argument(help="the weaker one it is compared with")],
    questions: Annotated[int, typer.Option(help="how many questions")] = 50,
    data: Annotated[Path | None, typer.Option(help="JSONL with prompt and answer")] = None,
    thinking: Annotated[bool, typer.Option(help="let both think before they answer")] = True,
    vocabulary: Annotated[
        Literal["same", "shared"], typer.Option(help="which token ids are compared")
    ] = "same",
    out: Annotated[Path, typer.Option(help="where the page goes")] = Path("pair.html"),
    as_json: Json = False,
) -> None:
    """Say whether this amateur would teach this expert anything, before anything is spent."""
    quiet_libraries()
    from longstep.contrast.examine import Asked, examine_pair

    asked = Asked(expert, amateur, questions, data=data, thinking=thinking, vocabulary=vocabulary)
    facts = examine_pair(asked, out)
    if as_json:
        print_json(facts)
        return
    for sentence in facts["sentences"]:
        say(sentence)
    say(f"page: {out}")


@models.command()
def serve(
    source: Annotated[
        str,
        typer.Argument(help="a model (shipped name, folder, hub id), or JSONL of solved problems"),
    ],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
    name: Annotated[
        str | None, typer.Option("--model", help="what requests call the model")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="environment variable with the key that requests must carry")
    ] = None,
    thinking: Annotated[bool, typer.Option(help="let the model think before it answers")] = True,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="answer by a strategy: vote, or KIND[:key=value,...] as scale run has it"
        ),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="the strategy's n")] = None,
    pick: Annotated[
        str | None, typer.Option(help="which answer is given: KIND[:key=value,...], or majority")
    ] = None,
    most_tokens: Annotated[
        int | None, typer.Option(min=1, help="tokens a request may draw, all answers together")
    ] = None,
) -> None:
    """Serve a model, or the worked solutions of a file, as an OpenAI-compatible endpoint."""
    quiet_libraries()
    from longstep.cli.answering import answering
    from longstep.draw.serving import source_of
    from longstep.generate.serve import serve as listen

    asked = answering(strategy, n, pick, most_tokens)
    served = source_of(source, name, thinking)
    listen(served if asked is None else asked(served), host, port, api_key_env, say)


@models.command()
def doctor(
    model: Annotated[
        str | None,
        typer.Argument(help="a model to examine: shipped name, folder, or hub id in the cache"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print versions, devices and what is missing, then sample from the shipped model; or examine one model."""
    quiet_libraries()
    from longstep.cli.doctor import examine, examine_reference, in_words

    facts = examine() if model is None else examine_reference(model)
    if as_json:
        print_json(facts)
    elif model is not None:
        for line in in_words(facts):
            say(line)
    else:
        said = {**facts, "problems": "\n".join(facts["problems"]) or "none"}
        print_table([["what", "found"], *[[key, str(value)] for key, value in said.items()]])
    if facts["problems" if model is None else "wrong"]:
        raise typer.Exit(1)


@models.command()
def chat(
    model: Annotated[
        str,
        typer.Argument(
            help="shipped name, folder or hub id; or who draws: endpoint:url=URL,model=NAME"
        ),
    ],
    question: Annotated[str | None, typer.Option(help="ask once instead of a conversation")] = None,
    thinking: Annotated[bool, typer.Option(help="let the model think before it answers")] = True,
    max_tokens: Annotated[int, typer.Option(help="longest answer")] = 2048,
) -> None:
    """Ask a model, one question at a time."""
    quiet_libraries()
    from longstep.cli.chat import Chat

    with closing(Chat(model, thinking, max_tokens)) as talk:
        if question is not None:
            say(talk.ask(question))
            return
        for line in sys.stdin:
            if line.strip():
                say(talk.ask(line.strip()))
