"""Sidecars and what stands around them -> checked specifications. What is silent or contradictory is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from server.errors import CheckpointError
from server.nla.checkpoints.profile import AS_RELEASED, Profile
from server.nla.checkpoints.sidecar import SIDECAR, Sidecar, text_config


@dataclass(frozen=True)
class AvSpec:
    """Injection into the AV: how an activation becomes its input. `injection_scale` is the L2 norm the injected row is
    rescaled to; with another profile the factor, or 1 where nothing is scaled.
    """

    folder: Path
    d_model: int
    layer: int
    injection_scale: float
    template: str
    marker: str
    marker_id: int
    left_id: int
    right_id: int
    profile: Profile = AS_RELEASED


@dataclass(frozen=True)
class ArSpec:
    """Input of the AR: its prompt, and the ids that the prompt must end with."""

    folder: Path
    d_model: int
    layer: int
    template: str
    suffix_ids: tuple[int, ...]


def read_av(folder: Path, profile: Profile = AS_RELEASED, answers: Mapping[str, Any] | None = None) -> AvSpec:
    """The AV's specification. `answers` say what its sidecar is silent on, in the sidecar's own words. Raises
    CheckpointError with cause and cure.
    """
    meta = Sidecar(folder, "av", answers)
    layer, d_model = meta.layer(), meta.d_model()
    template = meta.template()
    if template.count("{injection_char}") != 1:
        meta.fail(
            "prompt_templates.av",
            "must contain {injection_char} exactly once",
            "the marker stands in its place",
            check="template",
        )
    return AvSpec(
        folder=folder,
        d_model=d_model,
        layer=layer,
        injection_scale=1.0 if profile.adds else meta.scale("extraction.injection_scale", d_model, profile),
        template=template,
        marker=str(meta.need("tokens.injection_char", str)),
        marker_id=int(meta.need("tokens.injection_token_id", int)),
        left_id=int(meta.need("tokens.injection_left_neighbor_id", int)),
        right_id=int(meta.need("tokens.injection_right_neighbor_id", int)),
        profile=profile,
    )


def read_ar(folder: Path, answers: Mapping[str, Any] | None = None) -> ArSpec:
    """The AR's specification; see `read_av`. Raises CheckpointError with cause and cure."""
    meta = Sidecar(folder, "ar", answers)
    template = meta.template()
    if template.count("{explanation}") != 1:
        meta.fail(
            "prompt_templates.ar",
            "must contain {explanation} exactly once",
            "the reading stands in its place",
            check="template",
        )
    suffix = meta.need("tokens.critic_suffix_ids", list)
    if not suffix or not all(isinstance(id, int) for id in suffix):
        meta.fail(
            "tokens.critic_suffix_ids", "must be a list of token ids", "copy it from the released sidecar"
        )
    blocks = text_config(folder).get("num_hidden_layers")
    layer = meta.layer()
    if blocks != layer + 1:
        meta.fail(
            "extraction_layer_index",
            f"says K = {layer}, so the AR must have {layer + 1} blocks, but its config.json says {blocks}",
            "one of the two files belongs to another pair",
            check="layer",
        )
    return ArSpec(
        folder=folder, d_model=meta.d_model(), layer=layer, template=template, suffix_ids=tuple(suffix)
    )


def layer_of(folder: Path, role: Literal["av", "ar"], answers: Mapping[str, Any] | None = None) -> int:
    """K, as the sidecar of a folder that need not be a whole checkpoint says it."""
    return Sidecar(folder, role, answers).layer()


def check_pair(
    av: AvSpec, ar: ArSpec, target_d_model: int, target_blocks: int, layer: int | None = None
) -> int:
    """The layer K on which AV, AR, target and (if given) the catalogue agree; otherwise CheckpointError."""
    if av.layer != ar.layer or (layer is not None and layer != av.layer):
        said = f"the AV says K = {av.layer}, the AR K = {ar.layer}"
        said += "" if layer is None else f", the catalogue K = {layer}"
        raise CheckpointError(
            f"The pair does not agree on its layer: {said}. Take AV and AR of the same release.",
            check="layer",
        )
    if not av.d_model == ar.d_model == target_d_model:
        raise CheckpointError(
            f"The widths differ: target {target_d_model}, AV {av.d_model}, AR {ar.d_model}. "
            "The pair was made for another target.",
            check="shapes",
        )
    if av.layer >= target_blocks:
        raise CheckpointError(
            f"K = {av.layer}, but the target has only {target_blocks} blocks: it is another model.",
            check="layer",
        )
    return av.layer


def check_marker(spec: AvSpec, ids: list[int]) -> int:
    """The marker's place in the tokenised AV prompt. Raises CheckpointError if the tokenizer drifted."""
    places = [n for n, id in enumerate(ids) if id == spec.marker_id]
    where = f"{spec.folder / SIDECAR}"
    if len(places) != 1:
        raise CheckpointError(
            f"{where}: the marker {spec.marker!r} (id {spec.marker_id}) stands {len(places)} times in the "
            f"tokenised prompt, "
            "once is right. The tokenizer or chat template in this folder is not the one the AV was trained with.",
            check="neighbours",
        )
    slot = places[0]
    found = (ids[slot - 1] if slot else None, ids[slot + 1] if slot + 1 < len(ids) else None)
    if found != (spec.left_id, spec.right_id):
        raise CheckpointError(
            f"{where}: the marker's neighbours are {found}, but ({spec.left_id}, {spec.right_id}) were trained. "
            "The tokenizer or chat template drifted (a doubled BOS, joined content parts, another version).",
            check="neighbours",
        )
    return slot


def check_suffix(spec: ArSpec, ids: list[int]) -> None:
    """Raise CheckpointError unless the tokenised AR prompt ends as it did in training."""
    if tuple(ids[-len(spec.suffix_ids) :]) != spec.suffix_ids:
        raise CheckpointError(
            f"{spec.folder / SIDECAR}: the AR prompt ends with ids {ids[-len(spec.suffix_ids) :]}, but "
            f"{list(spec.suffix_ids)} were trained. The tokenizer drifted, or adds a token at the end.",
            check="suffix",
        )
