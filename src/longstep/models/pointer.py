"""Models that a run points at instead of copying them: large ones, whose folders belong to somebody else."""

from __future__ import annotations

from pathlib import Path

from longstep.artifacts import read_json, sha256_file, sha256_json, write_json
from longstep.config import UserError

POINTER = "pointer.json"
#: Beside an adapter that is the whole artifact: what it lies on, and of which type the merged weights are.
BASE = "base.json"


def point_at(source: Path, out: Path) -> None:
    """Write down where a model lies, and what its weights are."""
    files = sorted(source.glob("*.safetensors"))
    weights = {file.name: {"sha256": sha256_file(file), **_stamp(file)} for file in files}
    write_json(out / POINTER, {"path": str(source.resolve()), "weights": weights})


def pointed_at(pointer: Path) -> Path:
    """The folder behind a pointer, its weights unchanged; read anew only where a file's size or date is another.

    Raises:
        UserError: it is gone, or holds other weights than when the run began.
    """
    found = read_json(pointer)
    folder = Path(found["path"])
    for name, known in found["weights"].items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: is gone, and this run reads it; put the model back")
        stamp = _stamp(file)
        if all(known.get(key) == value for key, value in stamp.items()):
            continue
        if sha256_file(file) != known["sha256"]:
            raise UserError(
                f"{file}: holds other weights than when this run began ({pointer}), so its stages would be of two "
                "models; put them back, or start another run"
            )
    return folder


def weights_hash(folder: Path) -> str:
    """One hash of the safetensors files of a model folder."""
    return sha256_json({p.name: sha256_file(p) for p in sorted(folder.glob("*.safetensors"))})


def _stamp(file: Path) -> dict[str, int]:
    stat = file.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
