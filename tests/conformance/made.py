"""Pairs of tiny random models on disk, in exactly the released formats."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from tests.conformance.families import BLOCKS, D, Family, K, State, base, config, plain, runtime
from tests.conformance.spoken import tokenizer

SCALE = 7.5
V = 0.8
AV_TEMPLATE = (
    "Read the activation between the tags and say in plain words what it holds.\n\n"
    "<concept>{injection_char}</concept>\n\nWhat is it about?"
)
AR_TEMPLATE = "Summarise: <text>{explanation}</text> <summary>"
ADAPTED = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
RANK, ALPHA = 4, 8

Spelling = Literal["new", "old"]
Layout = Literal["full", "lora", "subfolder"]


@dataclass
class Made:
    """A pair on disk. `states` are the weights that it must come to, by bare names; `table` is its `[[pair]]`."""

    family: Family
    root: Path
    table: dict[str, Any]
    states: dict[str, State]
    head: Tensor
    places: dict[str, Path]

    @property
    def file(self) -> Path:
        """A pairs file with this pair in it, under the name `tiny`."""
        path = self.root / "pairs.toml"
        lines = "".join(f"{name} = {toml(value)}\n" for name, value in self.table.items())
        path.write_text(f"[[pair]]\n{lines}")
        return path

    def model(self, role: str) -> Any:
        """One of its models, made without its files."""
        return plain(self.family, self.states[role], K + 1 if role == "ar" else BLOCKS)


def toml(value: Any) -> str:
    """A value of a TOML file."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def make(
    family: Family,
    root: Path,
    spelling: Spelling = "new",
    layout: Layout = "full",
    *,
    headed: bool = False,
) -> Made:
    """Write a pair under `root`. An AR that is `headed` has a final norm and a d x d head, which must not be used."""
    random = torch.Generator().manual_seed(1)
    target, others = base(family)
    write(root / "target", family, target, others if family.wrapped else {}, keys="old")
    head = torch.randn(D, D, generator=random) / D**0.5
    parent = root / "both" if layout == "subfolder" else root
    places = {"target": root / "target", "av": parent / "av", "ar": parent / "ar"}
    states = {"target": target}
    for role in ("av", "ar"):
        own = {n: t for n, t in target.items() if role == "av" or not _beyond(n)}
        if layout == "lora":
            states[role] = write_adapter(places[role], family, own, random)
        else:
            own = {n: t + 0.05 * t.std() * torch.randn(t.shape, generator=random) for n, t in own.items()}
            states[role] = own
            if role == "av":
                extra = others if family.wrapped else {}
                write(places[role], family, own, extra, keys="new" if spelling == "new" else "old", files=3)
            else:
                write_ar(places[role], family, own, headed)
        write_sidecar(places[role], family, role, spelling)
    save_file({"weight": head}, places["ar"] / "value_head.safetensors")
    table: dict[str, Any] = {"name": "tiny", "fve_variance": V, "target": str(places["target"])}
    if layout == "subfolder":
        table |= {"av": str(parent), "ar": str(parent), "av_subfolder": "av", "ar_subfolder": "ar"}
    else:
        table |= {"av": str(places["av"]), "ar": str(places["ar"])}
    return Made(family, root, table, states, head, places)


def _beyond(name: str) -> bool:
    return name.startswith(tuple(f"layers.{n}." for n in range(K + 1, BLOCKS)))


def write(
    folder: Path, family: Family, state: State, others: State, *, keys: Spelling, files: int = 1
) -> None:
    """An ordinary model folder, in one file or in shards. `keys` as wrappers were saved before or since."""
    folder.mkdir(parents=True)
    settings = config(family)
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
    stops = [tokenizer(family.speech).convert_tokens_to_ids(token) for token in family.speech.stops]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    tensors = {disk_name(family, n, keys): t for n, t in state.items()}
    tensors |= {n if keys == "old" else f"model.{n}": t for n, t in others.items()}
    write_weights(folder, tensors, files)
    write_tokenizer(folder, family)


def disk_name(family: Family, name: str, keys: Spelling) -> str:
    """How a text tensor is called in a file."""
    if not family.wrapped:
        return runtime(name)
    return f"language_model.{runtime(name)}" if keys == "old" else f"model.language_model.{name}"


def write_weights(folder: Path, tensors: State, files: int) -> None:
    """float32 safetensors; several files get an index."""
    tensors = {n: t.contiguous().clone() for n, t in tensors.items()}
    if files == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    where: dict[str, str] = {}
    for n in range(files):
        names = sorted(tensors)[n::files]
        file = f"model-{n + 1:05}-of-{files:05}.safetensors"
        save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
    size = sum(4 * t.numel() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_tokenizer(folder: Path, family: Family) -> None:
    """As released: the family's own class is named."""
    tokenizer(family.speech).save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": family.speech.kind}))


def write_ar(folder: Path, family: Family, state: State, headed: bool) -> None:
    """K + 1 blocks. A headed one is a bare text model with norm and d x d head; the other is as its target is, wrapped
    or not, without either (and without a wrapper's other parts).
    """
    folder.mkdir(parents=True)
    wrapped = family.wrapped and not headed
    settings = config(family, K + 1, wrapped=wrapped)
    if family.wrapped and headed:
        settings["architectures"] = ["Gemma3ForCausalLM"]
    (folder / "config.json").write_text(json.dumps(settings))
    bare = Family("", family.speech, "", {}, wrapped=wrapped)
    tensors = {
        disk_name(bare, n, "old"): t
        for n, t in state.items()
        if not n.startswith("lm_head.") and (headed or n != "norm.weight")
    }
    if headed:
        tensors["lm_head.weight"] = torch.full((D, D), 3.0)
    write_weights(folder, tensors, 2)
    write_tokenizer(folder, family)


def write_adapter(folder: Path, family: Family, state: State, random: torch.Generator) -> State:
    """A LoRA adapter as peft saves one, and the state that it and its base come to."""
    folder.mkdir(parents=True)
    merged = dict(state)
    low: State = {}
    for name in [n for n in state if n.removesuffix(".weight").endswith(ADAPTED)]:
        out, width = state[name].shape
        a, b = torch.randn(RANK, width, generator=random), 0.05 * torch.randn(out, RANK, generator=random)
        stem = disk_name(family, name, "new").removesuffix(".weight")
        low |= {
            f"base_model.model.{stem}.lora_A.weight": a,
            f"base_model.model.{stem}.lora_B.weight": b,
        }
        merged[name] = state[name] + ALPHA / RANK * (b @ a)
    save_file(low, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {
        "base_model_name_or_path": "somebody/target",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": RANK,
        "target_modules": [name.rpartition(".")[2] for name in ADAPTED],
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return merged


def av_ids(family: Family) -> list[int]:
    """The AV's prompt: rendered, then encoded as it stands."""
    words = tokenizer(family.speech)
    content = AV_TEMPLATE.format(injection_char=family.speech.marker)
    chat = [{"role": "user", "content": content}]
    text = words.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: list[int] = words(text, add_special_tokens=False)["input_ids"]
    return ids


def ar_ids(family: Family, reading: str) -> list[int]:
    """The AR's prompt: no chat template, special tokens as the tokenizer adds them."""
    ids: list[int] = tokenizer(family.speech)(AR_TEMPLATE.format(explanation=reading))["input_ids"]
    return ids


def marker_id(family: Family) -> int:
    """The one token of the marker."""
    (id,) = tokenizer(family.speech)(family.speech.marker, add_special_tokens=False)["input_ids"]
    return int(id)


def write_sidecar(folder: Path, family: Family, role: str, spelling: Spelling) -> None:
    """`nla_meta.yaml` as the releases have it, in the new or in the old words."""
    ids = av_ids(family)
    slot = ids.index(marker_id(family))
    new = spelling == "new"
    names = {"av": "av", "ar": "ar"} if new else {"av": "actor", "ar": "critic"}
    template = AV_TEMPLATE if role == "av" else AR_TEMPLATE
    meta: dict[str, Any] = {
        "schema_version": 1,
        "kind": "nla_model",
        "role": names[role],
        "d_model": D,
        "extraction": {
            "injection_scale": SCALE if role == "av" else None,
            "mse_scale": "sqrt_d_model",
        },
        "tokens": {
            "injection_char": family.speech.marker,
            "injection_token_id": ids[slot],
            "injection_left_neighbor_id": ids[slot - 1],
            "injection_right_neighbor_id": ids[slot + 1],
            "critic_suffix_ids": ar_ids(family, "x")[-3:],
        },
        "prompt_templates": {names[role]: template},
    }
    meta |= {"extraction_layer_index": K} if new else {"critic": {"num_hidden_layers": K}}
    (folder / "nla_meta.yaml").write_text(yaml.safe_dump(meta, allow_unicode=True))
