"""Analyses of one text by several pairs of one target: made by one forward pass, each an analysis of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from server.analyses import row_mapping
from server.analyses.content_id import provisional_id
from server.analyses.pipeline import Traced
from server.analyses.schema import Analysis, LayerReadings, Sibling, SiblingReadings, Token, url_of
from server.errors import BadInput, FieldError
from server.jobs.progress import Status
from server.pairs.model_pool import ModelPool
from server.store import repository
from server.store.tables import AnalysisRow, TraceRow
from server.store.vectors import pack

_STATUS: TypeAdapter[Status] = TypeAdapter(Status)
NewLayer = tuple[AnalysisRow, TraceRow | None]
"""A new analysis, and its trace if that is known."""


async def check(models: ModelPool, pair: str, also: Sequence[str]) -> None:
    """Raise BadInput for pairs that cannot read along with this one."""
    if not also:
        return
    siblings = await models.siblings(pair)
    wrong = [
        FieldError(
            f"also.{n}",
            f"{name} cannot read along with {pair}: that takes another pair of this server that reads the same target, "
            f"and those are: {', '.join(siblings) or 'none'}. (NLA_EXTRA_PAIRS names the pairs.)",
        )
        for n, name in enumerate(also)
        if name not in siblings
    ]
    if wrong:
        raise BadInput(wrong[0].field, wrong[0].detail, *wrong[1:])


def row(of: Analysis, pair: str, text_id: str, ids: Mapping[str, bytes | None]) -> AnalysisRow:
    """The row of the same analysis by another pair, with the same prompt and reply: `ids` are those columns."""
    also = sorted({of.pair, *of.request.also} - {pair})
    request = of.request.model_copy(update={"pair": pair, "also": also})
    new = row_mapping.new_row(provisional_id(request), None, None, request)
    new.text_id, new.prompt_ids, new.generated_ids = text_id, ids["prompt_ids"], ids["generated_ids"]
    return new


def from_shared_trace(new: AnalysisRow, step: Traced, trace: TraceRow, search_text: str) -> NewLayer:
    """The row as if its analysis had been interrupted after its trace, of which the pass `step` has the
    activations. The lens is that of `trace`: it does not depend on the layer that is read.
    """
    there = step.others.get(new.pair)
    if there is None:
        return new, None
    new.layer, new.focus, new.token_count = there.layer, step.focus, len(there.tokens)
    new.tokens, new.search_text = row_mapping.pack_tokens(there.tokens), search_text
    new.tokens_event, new.lens_event = 1, 2
    activations = pack(there.activations, exact=True)
    return new, TraceRow(analysis_id=new.id, lens=trace.lens, activations=activations)


def named(rows: Iterable[AnalysisRow], pair: str) -> list[Sibling]:
    """The analyses of a text by other pairs than `pair`, in the order of layers."""
    return sorted((_named(found) for found in rows if found.pair != pair), key=_by_layer)


def layer_readings(analysis: Analysis, position: int, session: Session) -> list[LayerReadings]:
    """The siblings' readings at a position, without those whose reply is another one."""
    token = analysis.tokens[position]
    found = []
    for sibling in analysis.siblings:
        kept = session.get(AnalysisRow, sibling.id)
        if kept is None:
            continue
        tokens = row_mapping.unpack_tokens(kept.tokens)
        if tokens and (position >= len(tokens) or tokens[position].id != token.id):
            continue
        readings = [row_mapping.reading_of(r) for r in repository.readings_at(kept.id, position, session)]
        found.append(LayerReadings(_named(kept), readings, kept.error, json.loads(kept.versions)))
    return found


def readings(analysis: Analysis, session: Session) -> list[SiblingReadings]:
    """All that the siblings of an analysis have read so far, each with its own tokens."""
    kept = (session.get(AnalysisRow, sibling.id) for sibling in analysis.siblings)
    return [
        SiblingReadings(
            **_named(row).model_dump(),
            error=row.error,
            fve_variance=row.fve_variance,
            baselines=row_mapping.baselines_of(row),
            versions=json.loads(row.versions),
            tokens=row_mapping.unpack_tokens(row.tokens),
            readings=[row_mapping.reading_of(r) for r in repository.readings(row.id, session)],
        )
        for row in kept
        if row is not None
    ]


def readings_at(there: SiblingReadings, token: Token) -> LayerReadings | None:
    """A sibling's readings at the position of a token; None where its own token there is another one."""
    if there.tokens and (token.position >= len(there.tokens) or there.tokens[token.position].id != token.id):
        return None
    at = [reading for reading in there.readings if reading.position == token.position]
    return LayerReadings(there, at, there.error, there.versions)


def _named(found: AnalysisRow) -> Sibling:
    status = _STATUS.validate_python(found.status)
    return Sibling(pair=found.pair, layer=found.layer, id=found.id, url=url_of(found.id), status=status)


def _by_layer(sibling: Sibling) -> tuple[float, str]:
    return (math.inf if sibling.layer is None else sibling.layer, sibling.pair)
