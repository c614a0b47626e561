"""Choice of the engine that reads: transformers, vLLM in this process's care, or vLLM servers elsewhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from server.errors import SettingsError
from server.nla.checkpoints.pairs import ROLES, PairEntry, fetch
from server.nla.checkpoints.profile import Profile
from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.checkpoints.weights import load_model
from server.nla.memory.estimates import MaxLengths
from server.nla.memory.plan import Constraints, Plan
from server.nla.memory.precision import Role
from server.nla.models.loading import from_pretrained_kwargs
from server.nla.verbalisers.base import Verbaliser
from server.nla.verbalisers.vllm_requests import Timeouts

ENGINES = ("transformers", "vllm", "vllm-server")


@dataclass(frozen=True)
class Serving:
    """Settings by which a pair is held. `options` go to vLLM over what is derived; `precision` is NLA_PRECISION's,
    `max_lengths` what may be asked for.
    """

    wanted: str = "auto"
    urls: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "bf16"
    max_lengths: MaxLengths = field(default_factory=MaxLengths)
    timeouts: Timeouts = field(default_factory=Timeouts)
    """Timeouts of vLLM servers."""

    @property
    def elsewhere(self) -> bool:
        """Return whether others hold the AV's weights."""
        return self.wanted == "vllm-server"

    def held(self, roles: Sequence[Role] = ROLES) -> tuple[Role, ...]:
        """Models of these whose weights are not held by others."""
        return tuple(role for role in roles if role != "av" or not self.elsewhere)

    def constraints(self, profile: Profile | None = None) -> Constraints:
        """Return the constraints of a memory plan on this machine, whether or not the engine could start here."""
        engine = self.wanted if self.wanted in ENGINES else self.engine(profile)
        either = self.wanted == "auto" and engine == "vllm"
        return Constraints(self.precision, "auto" if either else engine, self.max_lengths)

    def precision_of(self, plan: Plan) -> dict[Role, str]:
        """Return the kind of each model as a page is to say it: NLA_VLLM_OPTIONS may name another for the AV than
        the plan does.
        """
        asked = self.options.get("quantization")
        other = asked and "av" in plan.parts and plan.parts["av"].engine == "vllm"
        return {**plan.precision, "av": str(asked)} if other else dict(plan.precision)

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


def make_verbaliser(
    serving: Serving,
    plan: Plan,
    spec: AvSpec,
    compute_lock: AbstractContextManager[Any],
    progress: Callable[[str], None],
) -> Verbaliser:
    """The engine of the AV in `spec.folder` that the plan names, yet to be opened."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from server.nla.models.target import stops

    tokenizer = AutoTokenizer.from_pretrained(spec.folder)
    part = plan.parts.get("av")
    match part and part.engine:
        case "transformers":
            from server.nla.verbalisers.transformers import TransformersVerbaliser

            assert part is not None
            given = from_pretrained_kwargs(plan, part, AutoModelForCausalLM, spec.folder)
            model = load_model(AutoModelForCausalLM, spec.folder, given)
            return TransformersVerbaliser(model, tokenizer, spec, compute_lock)
        case "vllm":
            from server.nla.verbalisers.prompt import prompt_ids
            from server.nla.verbalisers.vllm import VllmVerbaliser, derived

            length = len(prompt_ids(tokenizer, spec)) + serving.max_lengths.reading
            options = derived(spec.folder, length, plan) | dict(serving.options)
            ends = stops(GenerationConfig.from_pretrained(spec.folder))
            return VllmVerbaliser(tokenizer, spec, ends, options, progress)
        case _:
            from server.nla.verbalisers.vllm_server import VllmServerVerbaliser

            ends = stops(GenerationConfig.from_pretrained(spec.folder))
            return VllmServerVerbaliser(tokenizer, spec, ends, serving.urls, timeouts=serving.timeouts)


def serving_template(entry: PairEntry, cache_dir: Path) -> str:
    """The chat template with which `vllm serve` builds the prompt of this pair's AV."""
    from transformers import AutoTokenizer

    from server.nla.verbalisers.vllm_server import template_for

    folder = fetch(entry, cache_dir, lambda _: None, roles=("av",), weighed=())["av"]
    spec = read_av(folder, entry.profile, entry.answers.get("av"))
    return template_for(AutoTokenizer.from_pretrained(folder), spec)
