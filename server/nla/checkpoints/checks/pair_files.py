"""Files of the pair that is checked, read when a check first wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from server.errors import CheckpointError
from server.nla.checkpoints.pairs import ROLES, PairEntry, Role
from server.nla.checkpoints.specs import ArSpec, AvSpec, read_ar, read_av
from server.nla.checkpoints.weights import Weights
from server.nla.memory.fit_errors import require_fit
from server.nla.memory.plan import Constraints, Plan
from server.nla.memory.requirements import requirements_on_disk
from server.nla.models.devices import devices
from server.nla.verbalisers.prompt import prompt_ids


class PairFiles:
    """A pair on disk, whose parts are read when a check first wants them. `weighed`: those whose weights
    are here; `constraints`: the settings that bound its memory plan.
    """

    def __init__(
        self,
        entry: PairEntry,
        places: dict[str, Path],
        *,
        weighed: Sequence[Role] = ROLES,
        constraints: Constraints | None = None,
    ) -> None:
        self.entry = entry
        self.places = places
        self.constraints = constraints or Constraints()
        self.weighed = tuple(weighed)

    @cached_property
    def av(self) -> AvSpec:
        return read_av(self.places["av"], self.entry.profile, self.entry.answers.get("av"))

    @cached_property
    def ar(self) -> ArSpec:
        return read_ar(self.places["ar"], self.entry.answers.get("ar"))

    @cached_property
    def configs(self) -> dict[str, Any]:
        from transformers import AutoConfig

        return {role: AutoConfig.from_pretrained(self.places[role]) for role in ROLES}

    @cached_property
    def text(self) -> dict[str, Any]:
        """The text model's part of each configuration."""
        return {role: config.get_text_config() for role, config in self.configs.items()}

    @cached_property
    def tokenizers(self) -> dict[str, Any]:
        from transformers import AutoTokenizer

        found: dict[str, Any] = {}
        for role in ROLES:
            try:
                found[role] = AutoTokenizer.from_pretrained(self.places[role])
            except (OSError, ValueError, KeyError) as error:
                raise CheckpointError(
                    f"{self.places[role]}: its tokenizer cannot be read ({error}).", check="tokenizer"
                ) from error
        return found

    @cached_property
    def weights(self) -> dict[Role, Weights]:
        return {role: Weights(self.places[role]) for role in self.weighed}

    def plan(self) -> Plan:
        """Plan the models that are here in what is free now. Raises CheckpointError where they do not fit."""
        prompt = len(prompt_ids(self.tokenizers["av"], self.av))
        lengths = replace(self.constraints.max_lengths, prompt=prompt)
        return require_fit(
            requirements_on_disk(self.entry, self.weights),
            devices(),
            replace(self.constraints, max_lengths=lengths),
        )

    def fail(self, check: str, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.entry.name}: {problem}", check=check)
