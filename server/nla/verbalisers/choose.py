"""Which engine reads: transformers, vLLM in this process's care, or vLLM servers elsewhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from server.errors import SettingsError
from server.nla.checkpoint import AvSpec, read_av
from server.nla.pairs import PairEntry, fetch
from server.nla.verbalisers.base import Verbaliser

ENGINES = ("transformers", "vllm", "vllm-server")


@dataclass(frozen=True)
class Serving:
    """How the AV is to be served. `options` go to vLLM over what is derived; `longest` is the largest reading asked for."""

    wanted: str = "auto"
    urls: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    longest: int = 400

    def engine(self) -> str:
        """One of ENGINES; `auto` is vLLM where there are a GPU and the package. Raises SettingsError."""
        installed = importlib.util.find_spec("vllm") is not None
        if self.wanted == "auto":
            return "vllm" if installed and torch.cuda.is_available() else "transformers"
        if self.wanted not in ENGINES:
            raise SettingsError(
                f"The verbaliser {self.wanted!r} is not known: use auto, {', '.join(ENGINES)}."
            )
        if self.wanted == "vllm" and not installed:
            raise SettingsError(
                "vLLM is not installed here: `uv sync --extra vllm` on a GPU machine, or --verbaliser transformers."
            )
        if self.wanted == "vllm-server" and not self.urls:
            raise SettingsError("--verbaliser vllm-server wants the servers' addresses in NLA_VLLM_URLS.")
        return self.wanted


def make(
    serving: Serving,
    spec: AvSpec,
    kind: Mapping[str, Any],
    lane: Executor,
    turn: AbstractContextManager[Any],
    progress: Callable[[str], None],
) -> Verbaliser:
    """The engine of the AV in `spec.folder`, yet to be opened. `kind` says how transformers loads a model here."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from server.nla.target import stops

    tokenizer = AutoTokenizer.from_pretrained(spec.folder)
    match serving.engine():
        case "transformers":
            from server.nla.verbalisers.transformers import TransformersVerbaliser

            model = AutoModelForCausalLM.from_pretrained(spec.folder, **kind)
            return TransformersVerbaliser(model, tokenizer, spec, lane, turn)
        case "vllm":
            from server.nla.verbalisers.prompt import prompt_ids
            from server.nla.verbalisers.vllm import VllmVerbaliser, derived

            shape = AutoConfig.from_pretrained(spec.folder).get_text_config()
            ids = prompt_ids(tokenizer, spec)
            options = derived(spec.folder, len(ids), serving.longest, shape) | dict(serving.options)
            ends = stops(GenerationConfig.from_pretrained(spec.folder))
            return VllmVerbaliser(tokenizer, spec, ends, options, progress)
        case _:
            from server.nla.verbalisers.vllm_server import VllmServerVerbaliser

            ends = stops(GenerationConfig.from_pretrained(spec.folder))
            return VllmServerVerbaliser(tokenizer, spec, ends, serving.urls)


def serving_template(entry: PairEntry, cache_dir: Path) -> str:
    """The chat template with which `vllm serve` builds the prompt of this pair's AV."""
    from transformers import AutoTokenizer

    from server.nla.verbalisers.vllm_server import template_for

    folder = fetch(entry, cache_dir, lambda _: None)["av"]
    return template_for(AutoTokenizer.from_pretrained(folder), read_av(folder))
