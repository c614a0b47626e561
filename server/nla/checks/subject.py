"""The pair that is checked: its parts are read when a check first wants them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from server.errors import CheckpointError
from server.nla.checkpoint import ArSpec, AvSpec, read_ar, read_av
from server.nla.pairs import ROLES, PairEntry
from server.nla.weights import Weights


class Subject:
    """A pair on disk, whose parts are read when a check first wants them. `av_weights`: whether the AV's are here."""

    def __init__(self, entry: PairEntry, places: dict[str, Path], *, av_weights: bool = True) -> None:
        self.entry = entry
        self.places = places
        self.weighed = tuple(role for role in ROLES if role != "av" or av_weights)

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
    def weights(self) -> dict[str, Weights]:
        return {role: Weights(self.places[role]) for role in self.weighed}

    def fail(self, check: str, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.entry.name}: {problem}", check=check)
