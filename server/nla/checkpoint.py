"""`nla_meta.yaml` and what stands around it -> a checked specification. What is silent or contradictory is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from server.errors import CheckpointError

SIDECAR = "nla_meta.yaml"
ROLE_NAMES: dict[str, Literal["av", "ar"]] = {
    "av": "av",
    "actor": "av",
    "verbalizer": "av",
    "ar": "ar",
    "critic": "ar",
    "reconstructor": "ar",
}


@dataclass(frozen=True)
class AvSpec:
    """How an activation becomes the AV's input. `injection_scale` is the L2 norm the injected row is rescaled to."""

    folder: Path
    d_model: int
    layer: int
    injection_scale: float
    template: str
    marker: str
    marker_id: int
    left_id: int
    right_id: int


@dataclass(frozen=True)
class ArSpec:
    """How a text becomes the AR's input, and what its prompt's ids must end with."""

    folder: Path
    d_model: int
    layer: int
    template: str
    suffix_ids: tuple[int, ...]


def read_av(folder: Path) -> AvSpec:
    """The AV's specification. Raises CheckpointError with cause and cure."""
    meta = _Sidecar(folder, "av")
    layer, d_model = meta.layer(), meta.d_model()
    template = meta.template()
    if template.count("{injection_char}") != 1:
        meta.fail(
            "prompt_templates.av",
            "must contain {injection_char} exactly once",
            "the marker stands in its place",
        )
    return AvSpec(
        folder=folder,
        d_model=d_model,
        layer=layer,
        injection_scale=meta.scale("extraction.injection_scale", d_model),
        template=template,
        marker=str(meta.need("tokens.injection_char", str)),
        marker_id=int(meta.need("tokens.injection_token_id", int)),
        left_id=int(meta.need("tokens.injection_left_neighbor_id", int)),
        right_id=int(meta.need("tokens.injection_right_neighbor_id", int)),
    )


def read_ar(folder: Path) -> ArSpec:
    """The AR's specification. Raises CheckpointError with cause and cure."""
    meta = _Sidecar(folder, "ar")
    template = meta.template()
    if template.count("{explanation}") != 1:
        meta.fail(
            "prompt_templates.ar",
            "must contain {explanation} exactly once",
            "the reading stands in its place",
        )
    suffix = meta.need("tokens.critic_suffix_ids", list)
    if not suffix or not all(isinstance(id, int) for id in suffix):
        meta.fail(
            "tokens.critic_suffix_ids", "must be a list of token ids", "copy it from the released sidecar"
        )
    blocks = _text_config(folder).get("num_hidden_layers")
    layer = meta.layer()
    if blocks != layer + 1:
        meta.fail(
            "extraction_layer_index",
            f"says K = {layer}, so the AR must have {layer + 1} blocks, but its config.json says {blocks}",
            "one of the two files belongs to another pair",
        )
    return ArSpec(
        folder=folder, d_model=meta.d_model(), layer=layer, template=template, suffix_ids=tuple(suffix)
    )


def check_pair(
    av: AvSpec, ar: ArSpec, target_d_model: int, target_blocks: int, layer: int | None = None
) -> int:
    """The layer K on which AV, AR, target and (if given) the catalogue agree; otherwise CheckpointError."""
    if av.layer != ar.layer or (layer is not None and layer != av.layer):
        said = f"the AV says K = {av.layer}, the AR K = {ar.layer}"
        said += "" if layer is None else f", the catalogue K = {layer}"
        raise CheckpointError(
            f"The pair does not agree on its layer: {said}. Take AV and AR of the same release."
        )
    if not av.d_model == ar.d_model == target_d_model:
        raise CheckpointError(
            f"The widths differ: target {target_d_model}, AV {av.d_model}, AR {ar.d_model}. "
            "The pair was made for another target."
        )
    if av.layer >= target_blocks:
        raise CheckpointError(
            f"K = {av.layer}, but the target has only {target_blocks} blocks: it is another model."
        )
    return av.layer


def check_marker(spec: AvSpec, ids: list[int]) -> int:
    """The marker's place in the tokenised AV prompt. Raises CheckpointError if the tokenizer drifted."""
    places = [n for n, id in enumerate(ids) if id == spec.marker_id]
    where = f"{spec.folder / SIDECAR}"
    if len(places) != 1:
        raise CheckpointError(
            f"{where}: the marker {spec.marker!r} (id {spec.marker_id}) stands {len(places)} times in the tokenised prompt, "
            "once is right. The tokenizer or chat template in this folder is not the one the AV was trained with."
        )
    slot = places[0]
    found = (ids[slot - 1] if slot else None, ids[slot + 1] if slot + 1 < len(ids) else None)
    if found != (spec.left_id, spec.right_id):
        raise CheckpointError(
            f"{where}: the marker's neighbours are {found}, but ({spec.left_id}, {spec.right_id}) were trained. "
            "The tokenizer or chat template drifted (a doubled BOS, joined content parts, another version)."
        )
    return slot


def check_suffix(spec: ArSpec, ids: list[int]) -> None:
    """Raise CheckpointError unless the tokenised AR prompt ends as it did in training."""
    if tuple(ids[-len(spec.suffix_ids) :]) != spec.suffix_ids:
        raise CheckpointError(
            f"{spec.folder / SIDECAR}: the AR prompt ends with ids {ids[-len(spec.suffix_ids) :]}, but "
            f"{list(spec.suffix_ids)} were trained. The tokenizer drifted, or adds a token at the end."
        )


def _text_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}). The folder must be an ordinary model folder."
        ) from error
    text: dict[str, Any] = config.get("text_config", config)
    return text


class _Sidecar:
    """One `nla_meta.yaml`, with questions whose wrong answers name file, field and cure."""

    def __init__(self, folder: Path, role: Literal["av", "ar"]) -> None:
        self.path = folder / SIDECAR
        self.role = role
        try:
            meta = yaml.safe_load(self.path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CheckpointError(
                f"{self.path} cannot be read ({error}). An NLA checkpoint folder holds this file; is the path right?"
            ) from error
        if not isinstance(meta, dict):
            raise CheckpointError(f"{self.path} is not a mapping: copy the sidecar from the release again.")
        self.meta: dict[str, Any] = meta
        if meta.get("kind") != "nla_model":
            self.fail(
                "kind", f"is {meta.get('kind')!r}, not 'nla_model'", "this is not an NLA checkpoint's sidecar"
            )
        if ROLE_NAMES.get(str(meta.get("role"))) != role:
            self.fail("role", f"is {meta.get('role')!r}, wanted {role!r}", "AV and AR may have been swapped")

    def fail(self, field: str, problem: str, cure: str) -> None:
        raise CheckpointError(f"{self.path}: `{field}` {problem}: {cure}.")

    def get(self, field: str) -> Any:
        value: Any = self.meta
        for key in field.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def need(self, field: str, kind: type) -> Any:
        value = self.get(field)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.fail(
                field,
                f"is {value!r}, wanted {kind.__name__}",
                "there is no safe default, ask who made the checkpoint",
            )
        return value

    def d_model(self) -> int:
        d_model = int(self.need("d_model", int))
        hidden = _text_config(self.path.parent).get("hidden_size")
        if hidden != d_model:
            self.fail(
                "d_model",
                f"is {d_model}, but config.json has hidden_size {hidden}",
                "the files are of two models",
            )
        return d_model

    def layer(self) -> int:
        """K, from every place where it may stand; they must agree."""
        places = (
            "extraction_layer_index",
            "extraction.layer_index",
            "critic.extraction_layer_index",
            "ar.extraction_layer_index",
            "critic.num_hidden_layers",
            "ar.num_hidden_layers",
        )
        said = {place: self.get(place) for place in places if self.get(place) is not None}
        if not said:
            self.fail(
                "extraction_layer_index", "is missing", "without it nobody knows which layer the pair reads"
            )
        if len(set(said.values())) > 1 or not all(isinstance(k, int) and k >= 0 for k in said.values()):
            self.fail(" / ".join(said), f"disagree or are no layers ({said})", "K must be one block number")
        return int(next(iter(said.values())))

    def template(self) -> str:
        names = [name for name, role in ROLE_NAMES.items() if role == self.role]
        found = {n: t for n in names if isinstance(t := self.get(f"prompt_templates.{n}"), str)}
        if len(set(found.values())) != 1:
            problem = "is missing" if not found else f"stands more than once and differs ({', '.join(found)})"
            self.fail(
                f"prompt_templates.{self.role}", problem, "the prompt must be the trained one, to the letter"
            )
        return next(iter(found.values()))

    def scale(self, field: str, d_model: int) -> float:
        value = self.get(field)
        if value == "sqrt_d_model":
            return math.sqrt(d_model)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value <= 0
        ):
            self.fail(
                field,
                f"is {value!r}",
                "an AV without its injection norm cannot be read; a guess gives nonsense",
            )
        return float(value)
