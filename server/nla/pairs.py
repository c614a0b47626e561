"""The catalogue: the demo pair, the released pairs, and the user's own file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.errors import CheckpointError, SettingsError
from server.nla import demo
from server.nla.checkpoint import read_ar, read_av

DEFAULT = demo.NAME


@dataclass(frozen=True)
class PairEntry:
    """A pair by name. `target`, `av` and `ar` are folders or hub names; `layer` and `fve_variance` (V) may be unknown."""

    name: str
    target: str
    av: str
    ar: str
    layer: int | None = None
    fve_variance: float | None = None
    profile: str | None = None


RELEASED = (
    PairEntry(
        "qwen2.5-7b-l20",
        "Qwen/Qwen2.5-7B-Instruct",
        "kitft/nla-qwen2.5-7b-L20-av",
        "kitft/nla-qwen2.5-7b-L20-ar",
        20,
        0.7335,
    ),
    PairEntry(
        "gemma3-12b-l32",
        "google/gemma-3-12b-it",
        "kitft/nla-gemma3-12b-L32-av",
        "kitft/nla-gemma3-12b-L32-ar",
        32,
        0.0302,
    ),
    PairEntry(
        "gemma3-27b-l41",
        "google/gemma-3-27b-it",
        "kitft/nla-gemma3-27b-L41-av",
        "kitft/nla-gemma3-27b-L41-ar",
        41,
        0.0579,
    ),
    PairEntry(
        "llama3.3-70b-l53",
        "meta-llama/Llama-3.3-70B-Instruct",
        "kitft/Llama-3.3-70B-NLA-L53-av",
        "kitft/Llama-3.3-70B-NLA-L53-ar",
        53,
        0.9169,
    ),
)
"""V: variance of the normalised activations, from the authors' model cards; it is not in the sidecars."""


def catalogue(pairs_file: Path | None, cache_dir: Path) -> dict[str, PairEntry]:
    """All pairs by name; the user's file may add to them and replace them."""
    places = demo.folders(cache_dir)
    entries = [
        PairEntry(
            demo.NAME, str(places["target"]), str(places["av"]), str(places["ar"]), 20, demo.variance()
        ),
        *RELEASED,
    ]
    entries += _own(pairs_file) if pairs_file else []
    return {entry.name: entry for entry in entries}


def describe(entry: PairEntry, cache_dir: Path) -> dict[str, Any]:
    """What `nla-explorer pairs --json` says of a pair; a path is None until it is on disk."""
    paths = {role: local(getattr(entry, role)) for role in ("target", "av", "ar")}
    layer, d_model = entry.layer, None
    if paths["av"] is not None:
        spec = read_av(paths["av"])
        layer, d_model = spec.layer, spec.d_model
    return {
        "name": entry.name,
        **{f"{role}_path": None if path is None else str(path) for role, path in paths.items()},
        "layer": layer,
        "d_model": d_model,
    }


def local(place: str) -> Path | None:
    """The folder of a path or hub name, if it is on this disk already."""
    path = Path(place).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or place.startswith((".", "~")):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def fetch(entry: PairEntry, cache_dir: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """The three folders, built or downloaded where they are missing. Raises CheckpointError with the cure."""
    if entry.name == demo.NAME and entry.target == str(demo.folders(cache_dir)["target"]):
        return demo.build(cache_dir, progress)
    return {role: _fetch(getattr(entry, role), entry, role, progress) for role in ("target", "av", "ar")}


def check(entry: PairEntry, cache_dir: Path) -> dict[str, Any]:
    """Verify what can be verified without loading weights; raises CheckpointError."""
    places = fetch(entry, cache_dir, lambda _: None)
    av, ar = read_av(places["av"]), read_ar(places["ar"])
    if av.layer != ar.layer:
        raise CheckpointError(
            f"{entry.name}: the AV says K = {av.layer}, the AR K = {ar.layer}: take both of one release."
        )
    return describe(entry, cache_dir)


def _fetch(place: str, entry: PairEntry, role: str, progress: Callable[[str], None]) -> Path:
    found = local(place)
    if found is not None:
        return found
    path = Path(place).expanduser()
    if path.is_absolute() or place.startswith((".", "~")):
        raise CheckpointError(f"Pair {entry.name}: the folder {place} of its {role} does not exist.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError

    progress(f"downloading {place}")
    try:
        return Path(snapshot_download(place))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{place} is gated: accept its licence on the hub and set HF_TOKEN to a token of that account."
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise CheckpointError(
            f"{place} (the {role} of {entry.name}) cannot be downloaded: {error}"
        ) from error


def _own(path: Path) -> list[PairEntry]:
    """The `[[pair]]` tables of the user's TOML file."""
    try:
        tables = tomllib.loads(path.read_text()).get("pair", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"NLA_PAIRS_FILE: {path} cannot be read: {error}") from error
    fields: dict[str, type | tuple[type, ...]] = dict.fromkeys(("name", "target", "av", "ar", "profile"), str)
    fields |= {"layer": int, "fve_variance": (int, float)}
    entries = []
    for n, table in enumerate(tables):
        missing = [f for f in ("name", "target", "av", "ar") if f not in table]
        wrong = [f for f, v in table.items() if f not in fields or not isinstance(v, fields[f])]
        if missing or wrong:
            problem = (
                f"lacks {', '.join(missing)}" if missing else f"has unknown or ill-typed {', '.join(wrong)}"
            )
            raise SettingsError(
                f"NLA_PAIRS_FILE: {path}: pair {n + 1} {problem}; it takes {', '.join(fields)}."
            )
        if table.get("profile", "replace_norm") != "replace_norm":
            raise SettingsError(
                f"NLA_PAIRS_FILE: {path}: pair {n + 1}: only the profile replace_norm is known."
            )
        entries.append(PairEntry(**table))
    return entries
