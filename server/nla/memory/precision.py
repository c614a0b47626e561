"""Precision: the kind of numbers that each model of a pair is held in, and NLA_PRECISION, which says it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from typing import Literal

from server.errors import SettingsError

Role = Literal["target", "av", "ar"]
Kind = Literal["bf16", "8bit", "fp8", "4bit"]
Precision = Mapping[Role, Kind]

ROLES: tuple[Role, ...] = ("av", "target", "ar")
"""The order in which they are placed, and in which `auto` lowers them: an AV in fewer bits only writes worse, a
target or an AR changes what is measured."""
PLAIN: Precision = {"av": "bf16", "target": "bf16", "ar": "bf16"}
"""As released, and float32 on a CPU."""
AUTO = "auto"
ENGINE_OF: Mapping[str, Mapping[Kind, str]] = {
    "vllm": {"bf16": "vllm", "fp8": "vllm"},
    "transformers": {"bf16": "transformers", "8bit": "transformers", "4bit": "transformers"},
    "auto": {"bf16": "vllm", "fp8": "vllm", "8bit": "transformers", "4bit": "transformers"},
    "vllm-server": {"bf16": "vllm-server"},
}
"""The engine that holds an AV of each kind, by the engine that was asked for. vLLM quantises to FP8 by itself and has
left bitsandbytes to a plug-in since 0.28; transformers' own FP8 falls back to bfloat16 without an error on older GPUs,
so there it is bitsandbytes alone."""
KINDS: Mapping[Role, tuple[Kind, ...]] = {
    "av": ("bf16", "fp8", "8bit", "4bit"),
    "target": ("bf16", "8bit", "4bit"),
    "ar": ("bf16", "8bit", "4bit"),
}
"""The kinds that each model can be held in, the one that changes least first."""


def of_roles(setting: str, roles: Collection[Role]) -> str:
    """Keep of a precision setting the words on some models alone."""
    others = {role for role in ROLES if role not in roles}
    return (
        ",".join(word for word in setting.split(",") if word.partition("=")[0].strip() not in others)
        or "bf16"
    )


def parse_precision(setting: str) -> dict[Role, tuple[Kind, ...]]:
    """Return the kinds that each model may be held in, from NLA_PRECISION: `auto`, `bf16`, or `av=fp8,target=4bit` with
    bf16 for what is not named. Raises SettingsError.
    """
    if setting.strip() in (AUTO, "bf16"):
        return {role: KINDS[role] if setting.strip() == AUTO else ("bf16",) for role in ROLES}
    found: dict[Role, tuple[Kind, ...]] = dict.fromkeys(ROLES, ("bf16",))
    for word in setting.split(","):
        name, _, kind = (part.strip() for part in word.partition("="))
        role = next((role for role in ROLES if role == name), None)
        if role is None:
            raise SettingsError(
                f"NLA_PRECISION: {word.strip()!r} is not known: say auto, bf16, or a kind for some of av, "
                "target and ar, such as av=fp8,target=4bit."
            )
        known = {k: (k,) for k in KINDS[role]} | {AUTO: KINDS[role]}
        if kind not in known:
            raise SettingsError(
                f"NLA_PRECISION: the {role} cannot be held in {kind!r}: it takes {', '.join(known)}."
            )
        found[role] = known[kind]
    return found


def precision_order(allowed: Mapping[Role, tuple[Kind, ...]]) -> list[Precision]:
    """List every allowed precision, what changes least first: the AV is lowered to the end before the target is
    touched, and that before the AR.
    """
    orders = product(*(range(len(allowed[role])) for role in reversed(ROLES)))
    return [
        {role: allowed[role][n] for role, n in zip(reversed(ROLES), steps, strict=True)} for steps in orders
    ]


def quantised(precision: Mapping[Role, str]) -> dict[Role, str]:
    """Return the models that are not as released, with their kinds."""
    return {role: precision[role] for role in ROLES if precision[role] != "bf16"}


def format_precision(precision: Mapping[Role, str]) -> str:
    """Return a precision as NLA_PRECISION says it: `av=fp8,target=4bit`, or `bf16`."""
    return ",".join(f"{role}={kind}" for role, kind in quantised(precision).items()) or "bf16"
