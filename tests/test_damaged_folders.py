"""Whatever is damaged in a model folder, every reader of it answers with one sentence or reads on (fault 33)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longstep.config import UserError
from longstep.costs.shapes import shape_of
from longstep.merge import Linear, merge_models
from longstep.models.load import load_model, load_tokenizer
from zoo import build, edit

Damage = Callable[[Path], object]


def config(**changes: Any) -> Damage:
    return lambda folder: edit(folder / "config.json", **changes)


def text(name: str, content: str) -> Damage:
    return lambda folder: (folder / name).write_text(content)


def weights(change: Callable[[bytes], bytes]) -> Damage:
    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def index(content: str) -> Damage:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)

    return spoil


def tokens(**changes: Any) -> Damage:
    return lambda folder: edit(folder / "tokenizer.json", **changes)


def vocabulary(value: object) -> Damage:
    def spoil(folder: Path) -> None:
        model = json.loads((folder / "tokenizer.json").read_bytes())["model"]
        edit(folder / "tokenizer.json", model={**model, "vocab": value})

    return spoil


def without(key: str) -> Damage:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        given = json.loads(path.read_text())
        del given[key]
        path.write_text(json.dumps(given))

    return spoil


def folder_for(name: str) -> Damage:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


DAMAGES: dict[str, Damage] = {
    "layers in words": config(num_hidden_layers="two"),
    "layers below zero": config(num_hidden_layers=-1),
    "no heads": config(num_attention_heads=0),
    "heads that do not divide": config(num_attention_heads=3),
    "sizes by layer": config(hidden_size=[1]),
    "another size": config(hidden_size=48),
    "a small vocabulary": config(vocab_size=10),
    "context in words": config(max_position_embeddings="x"),
    "context left to a default": without("max_position_embeddings"),
    "no model type": config(model_type=None),
    "model type 3": config(model_type=3),
    "an encoder": config(model_type="bert"),
    "an encoder and decoder": config(model_type="t5"),
    "a state space": config(model_type="mamba"),
    "quantised by a word": config(quantization_config="gptq"),
    "unknown activation": config(hidden_act="nosuch"),
    "unknown rotation": config(rope_parameters={"rope_type": "nosuch"}),
    "rotation in words": config(rope_parameters="x"),
    "rotary base in words": config(rope_parameters=None, rope_theta="x"),
    "stop token in words": config(eos_token_id="x"),
    "text model of nothing": config(text_config={"hidden_size": 4}),
    "config is a list": text("config.json", "[]"),
    "config is empty": text("config.json", ""),
    "config without end": text("config.json", '{"a":' * 5000),
    "config is a folder": folder_for("config.json"),
    "generation torn": text("generation_config.json", "{"),
    "generation is a list": text("generation_config.json", "[]"),
    "weights empty": weights(lambda data: b""),
    "weights of zeros": weights(lambda data: bytes(len(data))),
    "weights cut": weights(lambda data: data[:5000]),
    "weights too long": weights(lambda data: data + bytes(8)),
    "weights are a folder": folder_for("model.safetensors"),
    "index torn": index("{"),
    "index without map": index("{}"),
    "index of a list": index('{"weight_map": ["a"]}'),
    "index of numbers": index('{"metadata": {}, "weight_map": {"a": 3}}'),
    "index of nothing": index('{"metadata": {}, "weight_map": {"a": "gone.safetensors"}}'),
    "tokenizer torn": text("tokenizer.json", "{"),
    "tokenizer is a list": text("tokenizer.json", "[]"),
    "tokenizer without model": tokens(model=[]),
    "tokenizer without vocabulary": vocabulary(None),
    "tokenizer of numbers": vocabulary(7),
    "tokens without text": tokens(added_tokens=[{"id": 1}]),
    "tokenizer config is a list": text("tokenizer_config.json", "[]"),
    "template without end": text("chat_template.jinja", "{% if %}"),
    "template that divides": text("chat_template.jinja", "{{ 1 / 0 }}"),
    "template that counts": text("chat_template.jinja", "{{ messages[7].content }}"),
    "adapter torn": text("adapter_config.json", "{"),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("whole") / "m")


@pytest.mark.parametrize("damage", DAMAGES)
def test_33_no_damage_is_a_traceback(tmp_path, llama, damage):
    folder = shutil.copytree(llama, tmp_path / "m")
    DAMAGES[damage](folder)
    readers: dict[str, Callable[[], object]] = {
        "load": lambda: load_model(folder),
        "tokenizer": lambda: load_tokenizer(folder),
        "plan": lambda: shape_of(str(folder)),
        "merge": lambda: merge_models(Linear(), [llama, folder], None, tmp_path / "out"),
        "merge into": lambda: merge_models(Linear(), [folder, llama], None, tmp_path / "again"),
    }
    refused = {}
    for name, read in readers.items():
        try:
            read()
        except UserError as error:
            assert "\n" not in str(error)
            refused[name] = str(error)
    assert refused, "nobody minds"
