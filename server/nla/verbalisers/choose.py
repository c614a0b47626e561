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
from server.nla.profile import Profile
from server.nla.verbalisers.base import Verbaliser
from server.nla.weights import load_model

ENGINES = ("transformers", "vllm", "vllm-server")


@dataclass(frozen=True)
class Serving:
    """How the AV is to be served. `options` go to vLLM over what is derived; `longest` is the largest reading asked for."""

    wanted: str = "auto"
    urls: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    longest: int = 400

    @property
    def elsewhere(self) -> bool:
        """Whether others hold the AV's weights."""
        return self.wanted == "vllm-server"

    def engine(self, profile: Profile | None = None) -> str:
        """One of ENGINES; `auto` is vLLM where there are a GPU and the package, and the profile allows it. Raises
        SettingsError.
        """
        installed = importlib.util.find_spec("vllm") is not None
        adds = profile is not None and profile.adds
        if self.wanted == "auto":
            return "vllm" if installed and torch.cuda.is_available() and not adds else "transformers"
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
        if self.wanted != "transformers" and adds:
            raise SettingsError(
                "The profile residual_add adds the activation inside the AV, where vLLM takes rows at its input alone: "
                "use --verbaliser transformers."
            )
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
    match serving.engine(spec.profile):
        case "transformers":
            from server.nla.verbalisers.transformers import TransformersVerbaliser

            model = load_model(AutoModelForCausalLM, spec.folder, kind)
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

    folder = fetch(entry, cache_dir, lambda _: None, av_weights=False, roles=("av",))["av"]
    spec = read_av(folder, entry.profile, entry.answers.get("av"))
    return template_for(AutoTokenizer.from_pretrained(folder), spec)
