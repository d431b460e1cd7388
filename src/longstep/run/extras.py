"""What a light installation lacks, said in one sentence: the one place that knows which extra brings which library.

``pip install longstep`` brings data tools, verdicts, plan and show. Everything else imports its library where it uses
it, and an import that fails ends here, in :func:`missing`, instead of in a traceback.
"""

from __future__ import annotations

from importlib.util import find_spec

from longstep.config import UserError

#: Extra -> what it makes possible, and the modules that only it brings.
EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "train": (
        "running a model",
        (
            *("torch", "transformers", "trl", "peft", "accelerate"),
            *("tokenizers", "huggingface_hub", "httpx2"),  # brought by transformers
        ),
    ),
    "hub": ("reading a dataset of the hub", ("datasets",)),
    "report": ("writing a report", ("matplotlib", "jinja2")),
    "bnb": ("4-bit weights and 8-bit optimisers", ("bitsandbytes",)),
    "parquet": ("reading and writing Parquet", ("pyarrow",)),
}


def command(extra: str) -> str:
    """What to type for an extra."""
    return f"pip install 'longstep[{extra}]'"


def extra_of(module: str) -> str | None:
    """The extra that brings a module; ``None`` for one that every installation has."""
    top = module.split(".")[0]
    return next((extra for extra, (_, modules) in EXTRAS.items() if top in modules), None)


def missing(error: ModuleNotFoundError) -> UserError | None:
    """The sentence for a library that an extra brings; ``None`` for any other module: that is a fault, not a choice."""
    module = (error.name or "").split(".")[0]
    extra = extra_of(module)
    if extra is None:
        return None
    return UserError(f"{EXTRAS[extra][0]} needs {module}, which is not installed: {command(extra)}")


def is_here(module: str) -> bool:
    """Whether a library can be imported, found out without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # another finder may refuse instead of finding nothing
        return False


def absent() -> dict[str, str]:
    """Extras that are not installed -> what to type for them."""
    return {
        extra: f"not installed, needed for {use}: {command(extra)}"
        for extra, (use, modules) in EXTRAS.items()
        if not all(map(is_here, modules))
    }
