"""The catalogue: the demo pair, the released pairs, and the user's own file."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints import demo, lora, model_source
from server.nla.checkpoints.card import FILE as CARD
from server.nla.checkpoints.card import PairCard
from server.nla.checkpoints.model_source import ModelSource, find_local
from server.nla.checkpoints.profile import AS_RELEASED, CHOICES, Profile
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.specs import layer_of, read_av
from server.nla.checkpoints.weights import HEAD_FILE, is_adapter
from server.nla.memory.estimates import Shape

DEFAULT = demo.NAME
Role = Literal["target", "av", "ar"]
ROLES: tuple[Role, ...] = ("target", "av", "ar")


@dataclass(frozen=True)
class PairEntry:
    """A pair by name. `target`, `av` and `ar` are folders or hub names; `layer` and `fve_variance` (V) may be unknown.

    `gigabytes`: the weights of target, AV and AR in bfloat16. `answers` are what its sidecars are silent on, by role.
    """

    name: str
    target: str
    av: str
    ar: str
    layer: int | None = None
    fve_variance: float | None = None
    target_revision: str | None = None
    av_revision: str | None = None
    ar_revision: str | None = None
    target_subfolder: str | None = None
    av_subfolder: str | None = None
    ar_subfolder: str | None = None
    licence: str | None = None
    gated: bool = False
    gigabytes: tuple[int, int, int] | None = None
    shape: Shape | None = None
    """The target's and the AV's, by which the memory is planned before their files are here."""
    profile: Profile = AS_RELEASED
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuned_lens: str | None = None
    """A file of translators, see `server.nla.lens.tuned_lens`."""
    card: PairCard | None = None
    """The card in the user's file; `server.nla.checkpoints.cards` has the others."""

    def source(self, role: Role) -> ModelSource:
        """Return the source of one of its models."""
        name, revision, subfolder = (
            getattr(self, f"{role}{part}") for part in ("", "_revision", "_subfolder")
        )
        return ModelSource(name, revision, subfolder)

    def files(self, role: Role) -> tuple[str, ...]:
        """List the files that the folder of a role must have beside an ordinary model's."""
        sidecar = () if role == "target" or self.answers.get(role) else (SIDECAR,)
        return (*sidecar, HEAD_FILE) if role == "ar" else sidecar


PICTURES = 420_000_000
"""The numbers of Gemma 3's SigLIP tower and its projector (27 blocks, 1152 wide), which its wrapper holds too."""

RELEASED = (
    PairEntry(
        "qwen2.5-7b-l20",
        "Qwen/Qwen2.5-7B-Instruct",
        "kitft/nla-qwen2.5-7b-L20-av",
        "kitft/nla-qwen2.5-7b-L20-ar",
        20,
        0.7335,
        licence="Apache-2.0",
        gigabytes=(15, 15, 10),
        shape=Shape("qwen2", 28, 3584, 28, 4, 128, 18944, 152064),
    ),
    PairEntry(
        "gemma3-12b-l32",
        "google/gemma-3-12b-it",
        "kitft/nla-gemma3-12b-L32-av",
        "kitft/nla-gemma3-12b-L32-ar",
        32,
        0.0302,
        licence="Gemma Terms of Use",
        gated=True,
        gigabytes=(24, 24, 17),
        shape=Shape("gemma3_text", 48, 3840, 16, 8, 256, 15360, 262208, tied=True, beside=PICTURES),
    ),
    PairEntry(
        "gemma3-27b-l41",
        "google/gemma-3-27b-it",
        "kitft/nla-gemma3-27b-L41-av",
        "kitft/nla-gemma3-27b-L41-ar",
        41,
        0.0579,
        licence="Gemma Terms of Use",
        gated=True,
        gigabytes=(54, 54, 38),  # the AV is stored in float32: 108 GB on disk
        shape=Shape("gemma3_text", 62, 5376, 32, 16, 128, 21504, 262208, tied=True, beside=PICTURES),
    ),
    PairEntry(
        "llama3.3-70b-l53",
        "meta-llama/Llama-3.3-70B-Instruct",
        "kitft/Llama-3.3-70B-NLA-L53-av",
        "kitft/Llama-3.3-70B-NLA-L53-ar",
        53,
        0.9169,
        licence="Llama 3.3 Community License",
        gated=True,
        gigabytes=(141, 141, 95),
        shape=Shape("llama", 80, 8192, 64, 8, 128, 28672, 128256),
    ),
)
"""V: variance of the normalised activations, from the authors' model cards; it is not in the sidecars. The licences are
the targets', of which AV and AR are derivatives."""


def catalogue(pairs_file: Path | None, cache_dir: Path) -> dict[str, PairEntry]:
    """All pairs by name; the user's file may add to them, and change those that are built in."""
    there = demo.folders(cache_dir)
    target, av, ar = (str(there[role]) for role in ROLES)
    small = PairEntry(
        demo.NAME,
        target,
        av,
        ar,
        20,
        demo.variance(),
        licence="Apache-2.0",
        shape=Shape("llama", 30, 576, 9, 3, 64, 1536, 49152, tied=True),
        tuned_lens=str(demo.TUNED_LENS),
    )
    entries = {entry.name: entry for entry in (small, *RELEASED)}
    return entries | (_own(pairs_file, entries) if pairs_file else {})


def layer_there(entry: PairEntry) -> int | None:
    """The layer that a pair reads; None while neither the catalogue nor an AV on disk says it."""
    folder = find_local(entry.source("av"), weights=False, extra=entry.files("av"))
    if entry.layer is None and folder is not None:
        with suppress(CheckpointError):  # loading it says what is wrong
            return read_av(folder, entry.profile, entry.answers.get("av")).layer
    return entry.layer


def describe(entry: PairEntry, cache_dir: Path, *, weighed: Sequence[Role] = ROLES) -> dict[str, Any]:
    """Return what `nla-explorer pairs --json` prints of a pair; a path is None until it is whole on disk, with the
    weights of those that are `weighed`.
    """
    paths = {
        role: find_local(entry.source(role), weights=role in weighed, extra=entry.files(role))
        for role in ROLES
    }
    layer, d_model = entry.layer, None
    if paths["av"] is not None and (paths["av"] / "config.json").is_file():
        with suppress(
            CheckpointError
        ):  # a list names the broken ones too; loading or checking one says what is wrong
            spec = read_av(paths["av"], entry.profile, entry.answers.get("av"))
            layer, d_model = spec.layer, spec.d_model
    return {
        "name": entry.name,
        **{f"{role}_path": None if path is None else str(path) for role, path in paths.items()},
        "layer": layer,
        "d_model": d_model,
        "fve_variance": entry.fve_variance,
        "licence": entry.licence,
        "gated": entry.gated,
        "gigabytes": entry.gigabytes and dict(zip(ROLES, entry.gigabytes, strict=True)),
        "sources": {role: str(entry.source(role)) for role in ROLES},
    }


def fetch(
    entry: PairEntry,
    cache_dir: Path,
    progress: Callable[[str], None],
    *,
    roles: Sequence[Role] = ROLES,
    weighed: Sequence[Role] = ROLES,
) -> dict[str, Path]:
    """The folders of `roles`, built, downloaded or merged where they are missing; without the weights of those that are
    not `weighed`: others hold them. Raises CheckpointError with the cure.
    """
    if entry.name == demo.NAME and entry.target == str(demo.folders(cache_dir)["target"]):
        return demo.build(cache_dir, progress)
    found: dict[str, Path] = {}
    for role in roles:
        what = f"the {role} of {entry.name}"
        folder = model_source.fetch(
            entry.source(role), what, progress, weights=role in weighed, extra=entry.files(role)
        )
        if role != "target" and is_adapter(folder):
            base = found.get("target") or model_source.fetch(entry.source("target"), what, progress)
            folder = _merged(entry, role, base, folder, cache_dir, progress)
        found[role] = folder
    return found


def _merged(
    entry: PairEntry,
    role: Literal["av", "ar"],
    base: Path,
    adapter: Path,
    cache_dir: Path,
    progress: Callable[[str], None],
) -> Path:
    """The ordinary folder that target and adapter make together, made once. An adapter that names another base is
    refused, as far as names tell.
    """
    said = str(json.loads((adapter / "adapter_config.json").read_text()).get("base_model_name_or_path") or "")
    named = entry.source("target").path is None and re.fullmatch(r"[\w.-]+/[\w.-]+", said)
    if named and Path(said).name.lower() != Path(entry.target).name.lower():
        raise CheckpointError(
            f"The {role.upper()} of {entry.name} is an adapter of {said}, but the pair's target is "
            f"{entry.target}: was it "
            "trained on another model? If the two are the same, name the target by its folder.",
            check="shapes",
        )
    digest = hashlib.sha256(str(base.resolve()).encode())
    for path in sorted(adapter.glob("*")):
        if path.is_file() and path.name != CARD:
            digest.update(path.name.encode() + path.read_bytes())
    folder = cache_dir / "pairs" / entry.name / f"{role}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        progress(f"merging the {role.upper()} adapter into the target (once)")
        blocks = layer_of(adapter, role, entry.answers.get(role)) + 1 if role == "ar" else None
        demo.build_one(folder, lambda scratch: lora.merge(base, adapter, scratch, blocks=blocks))
    return folder


def _own(path: Path, known: Mapping[str, PairEntry]) -> dict[str, PairEntry]:
    """The `[[pair]]` tables of the user's TOML file. One that names a built-in pair says only what is to change."""
    try:
        tables = tomllib.loads(path.read_text()).get("pair", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"NLA_PAIRS_FILE: {path} cannot be read: {error}") from error
    entries: dict[str, PairEntry] = {}
    for n, table in enumerate(tables):
        where = f"NLA_PAIRS_FILE: {path}: pair {n + 1}"
        base = None if {"target", "av", "ar"} <= set(table) else known.get(table.get("name", ""))
        missing = [f for f in ("name", "target", "av", "ar") if f not in table and base is None]
        wrong = [f for f, v in table.items() if f not in KINDS or not isinstance(v, KINDS[f])]
        if missing or wrong:
            problem = (
                f"lacks {', '.join(missing)}" if missing else f"has unknown or ill-typed {', '.join(wrong)}"
            )
            raise SettingsError(f"{where} {problem}; it takes {', '.join(KINDS)}.")
        if strange := [role for role in table.get("answers", {}) if role not in ("av", "ar")]:
            raise SettingsError(f"{where}: answers are for `av` and `ar`, not {', '.join(strange)}.")
        given = dict(table)
        if "profile" in given:
            given["profile"] = _profile(given["profile"], where)
        if "card" in given:
            try:
                given["card"] = PairCard.of(given["card"])
            except ValueError as error:
                raise SettingsError(f"{where}: {error}.") from error
        entry = PairEntry(**given) if base is None else replace(base, **given)
        entries[entry.name] = entry
    return entries


def _profile(said: str | dict[str, Any], where: str) -> Profile:
    """A profile's table, or the name of its injection alone."""
    table = {"injection": said} if isinstance(said, str) else said
    for name, value in table.items():
        if name not in CHOICES:
            raise SettingsError(f"{where}: the profile has no {name!r}; it takes {', '.join(CHOICES)}.")
        if value not in CHOICES[name]:
            known = ", ".join(CHOICES[name])
            raise SettingsError(f"{where}: the profile's {name} is {value!r}; known are {known}.")
    return Profile(**table)


KINDS: dict[str, type | tuple[type, ...]] = {
    **{f.name: str for f in fields(PairEntry) if f.name not in ("gated", "gigabytes", "shape")},
    "layer": int,
    "fve_variance": (int, float),
    "profile": (str, dict),
    "answers": dict,
    "card": dict,
}
"""Keys of a `[[pair]]` table, and their types."""
