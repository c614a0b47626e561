"""Requirements of a pair: exact, from the headers of its files, or by the catalogue's shapes before they are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from server.errors import CheckpointError
from server.nla.checkpoints.model_source import find_local
from server.nla.checkpoints.pairs import ROLES, PairEntry
from server.nla.checkpoints.weights import HEAD_FILE, Weights, absent, is_adapter, is_text, text_name
from server.nla.memory.estimates import Model, Requirements, Shape
from server.nla.memory.precision import Role


def requirements(entry: PairEntry, roles: Sequence[Role] = ROLES) -> Requirements | None:
    """Return the requirements of some models of a pair as exactly as they are known by now; None where one of them is
    neither whole on disk nor of a known shape.
    """
    models: dict[Role, Model] = {}
    for role in roles:
        if (folder := whole_folder(entry, role)) is not None:
            with suppress(CheckpointError):  # a damaged one: loading says what is wrong
                models[role] = model_of_files(Weights(folder), config_of(folder))
    here = len(models)
    if entry.shape is not None and entry.layer is not None:
        missing = [role for role in roles if role not in models]
        models |= {role: model_of_shape(role, entry.shape, entry.layer) for role in missing}
    if len(models) < len(roles):
        return None
    return Requirements(entry.name, models, _tuned(entry), exact=here == len(roles))


def requirements_on_disk(entry: PairEntry, weights: Mapping[Role, Weights]) -> Requirements:
    """Return the requirements of a pair whose files are all here, merged if they were adapters."""
    models = {role: model_of_files(held, config_of(held.folder)) for role, held in weights.items()}
    return Requirements(entry.name, models, _tuned(entry))


def whole_folder(entry: PairEntry, role: Role) -> Path | None:
    """Return the folder of a model that is whole and no adapter (an adapter is merged first), or None."""
    folder = find_local(entry.source(role), extra=entry.files(role))
    if folder is None or is_adapter(folder) or absent(folder, weights=True, extra=entry.files(role)):
        return None
    return folder


def config_of(folder: Path) -> Any:
    """Return the text model's configuration, with what the file leaves to transformers' defaults."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder).get_text_config()


def _tuned(entry: PairEntry) -> int:
    path = Path(entry.tuned_lens).expanduser() if entry.tuned_lens is not None else None
    return path.stat().st_size if path is not None and path.is_file() else 0


def model_of_files(held: Weights, config: Any) -> Model:
    """Count the model in a folder's files. The matrices of its blocks are those that a quantised kind makes small."""
    matrices = others = 0
    for name, entry in held.entries.items():
        bare = text_name(name)
        if bare.startswith("layers.") and is_text(bare) and len(entry.shape) == 2:
            matrices += entry.count
        else:
            others += entry.count
    head = held.folder / HEAD_FILE
    return Model(shape_of(config), matrices, others, head.stat().st_size if head.is_file() else 0)


def model_of_shape(role: Role, shape: Shape, layer: int) -> Model:
    """Estimate a model of a known shape: AV and target whole, of the AR the blocks up to K, no vocabulary head, and its
    own.
    """
    if role == "ar":
        cut = replace(shape, layers=layer + 1)
        return Model(cut, cut.layers * cut.block, cut.table, 4 * shape.d**2)
    tables = shape.table if shape.tied else 2 * shape.table
    return Model(shape, shape.layers * shape.block, tables + shape.beside)


def shape_of(config: Any) -> Shape:
    """Return the shape that a text model's configuration says."""
    heads = config.num_attention_heads
    return Shape(
        family=str(config.model_type),
        layers=config.num_hidden_layers,
        d=config.hidden_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        ffn=config.intermediate_size,
        vocabulary=config.vocab_size,
        tied=bool(config.tie_word_embeddings),
    )
