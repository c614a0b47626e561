"""The flow of one analysis: prompt → reply → trace → readings → scores → tuned lens, as one stream of steps.

A step is what became known; nothing here stores or sends. What an earlier run already found is in the `RunState`
and is not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.analyses.estimate import Estimate
from server.analyses.lens_table import LensTable
from server.analyses.readings import Finding, Kept, ReadingBatch, read
from server.analyses.schema import AnalysisRequest, Baselines, Chance, Generate, Token
from server.analyses.watched import WatchedPositions
from server.errors import ModelError

if TYPE_CHECKING:
    from server.nla.lens.logit_lens import Lens
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.prompt import Piece, Prompter

Activations = NDArray[np.float32]  # [T, d]
NO_CHANCE = Chance(shuffled_cos=None, shuffled_fve=None, mean_cos=None, mean_fve=None, n=0)
"""The baselines where there are fewer than two positions."""
GROWTH = 0.15
"""Seconds at least between two looks at a reply that grows."""


@dataclass(frozen=True)
class TokensKnown:
    """The tokens as far as they are known: the prompt, then also the reply; without norms and flags."""

    tokens: list[Token]
    focus: int
    complete: bool
    """True once the reply (if one was asked for) is there too."""


@dataclass(frozen=True)
class Reply:
    """The ids that the model generated."""

    ids: list[int]


@dataclass(frozen=True)
class AtLayer:
    """The text as it is at another layer, which another pair reads: norms and flags, and the activations."""

    layer: int
    tokens: list[Token]
    activations: Activations


@dataclass(frozen=True)
class Traced:
    """The whole text with norms and flags, the lens, and the activations at layer K; the same at the
    `others`, by pair.
    """

    tokens: list[Token]
    focus: int
    lens: LensTable
    activations: Activations
    others: dict[str, AtLayer] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadingsStarted:
    """From here on readings are made: `total` of them in all."""

    total: int


@dataclass(frozen=True)
class BaselinesKnown:
    """The scores by chance on this prompt."""

    baselines: Baselines | None


@dataclass(frozen=True)
class Tuning:
    """From here on the tuned lens is made."""


@dataclass(frozen=True)
class Tuned:
    """The lens as the target's translators tune it."""

    lens: LensTable


@dataclass(frozen=True)
class Found:
    """Readings and scores that have piled up, oldest first; none where the readings take their time."""

    findings: Sequence[Finding]


Step: TypeAlias = TokensKnown | Reply | Traced | ReadingsStarted | Found | BaselinesKnown | Tuning | Tuned


@dataclass(frozen=True)
class Prompt:
    """Token ids and the role of each."""

    ids: list[int]
    roles: list[str]


@dataclass
class RunState:
    """The state of a run: the work to do, and the results of earlier runs."""

    request: AnalysisRequest
    prompt: Prompt
    generated_ids: list[int] | None = None
    tokens: list[Token] = field(default_factory=list)
    lens: LensTable | None = None
    tuned_lens: LensTable | None = None
    activations: Activations | None = None
    kept: dict[tuple[int, int], Kept] = field(default_factory=dict)
    also: Mapping[str, int] = field(default_factory=dict)
    """Further layers that are wanted of the same forward pass, by pair."""
    window: int = 64
    score_batch: int = 32
    patience: float = 1800.0
    estimate: Estimate = field(default_factory=Estimate)


def encode(prompter: Prompter, request: AnalysisRequest) -> Prompt:
    """The prompt as the model sees it; raises PromptError with the field at fault."""
    messages = [(m.role, m.content) for m in request.messages] if request.messages is not None else None
    continues = request.continue_final_message
    return Prompt(*prompter.encode_with_roles(messages, request.text, continue_final=continues))


async def analyse(pair: LoadedPair, plan: RunState, pins: WatchedPositions) -> AsyncGenerator[Step, None]:
    """All steps from the prompt to the tuned lens. Close it to stop the work."""
    if plan.lens is None or plan.activations is None:
        if plan.generated_ids is None and plan.request.generate is not None:
            async with aclosing(_replying(pair, plan.prompt.ids, plan.request.generate)) as growing:
                async for plan.generated_ids in growing:
                    pieces = await _pieces(pair, plan)
                    yield TokensKnown(_tokens(pieces), _focus(pieces, plan.request), complete=False)
            yield Reply(plan.generated_ids or [])
        pieces = await _pieces(pair, plan)
        yield TokensKnown(_tokens(pieces), _focus(pieces, plan.request), complete=True)
        traced = await _trace(pair, plan, pieces)
        plan.tokens, plan.lens, plan.activations = traced.tokens, traced.lens, traced.activations
        yield traced
    wanted = _wanted(plan)
    yield ReadingsStarted(len(wanted) * plan.request.verbalise.samples)
    vectors: dict[tuple[int, int], Activations] = {
        k: v.vector for k, v in plan.kept.items() if v.vector is not None
    }
    async with aclosing(read(pair, _job(plan, wanted), pins)) as batches:
        async for findings in batches:
            for finding in findings:
                vectors.update(getattr(finding, "vectors", {}))
            yield Found(findings)
    yield BaselinesKnown(await _compare(pair, plan, vectors))
    if pair.target.has_tuned_lens and plan.tuned_lens is None:
        # Last, although it needs no reading: it takes as long as the plain one, and is looked at by fewer people.
        yield Tuning()
        yield Tuned(await _tuned(pair, [token.id for token in plan.tokens]))


def _job(plan: RunState, wanted: Sequence[int]) -> ReadingBatch:
    assert plan.activations is not None
    return ReadingBatch(
        activations=plan.activations,
        keys=[(p, s) for p in wanted for s in range(plan.request.verbalise.samples)],
        length=len(plan.tokens),
        settings=plan.request.verbalise,
        content=[token.position for token in plan.tokens if token.content],
        kept=plan.kept,
        window=plan.window,
        score_batch=plan.score_batch,
        patience=plan.patience,
        estimate=plan.estimate,
    )


async def text(pair: LoadedPair, plan: RunState) -> list[Token]:
    """The tokens of the prompt and of the reply, without norms and flags; nothing else is computed."""
    ask = plan.request.generate
    if ask is not None:
        plan.generated_ids = await pair.target.generate(
            plan.prompt.ids,
            max_new_tokens=ask.max_new_tokens,
            temperature=ask.temperature,
            seed=ask.seed,
            on_token=lambda _: None,
        )
    return _tokens(await _pieces(pair, plan))


async def _pieces(pair: LoadedPair, plan: RunState) -> list[Piece]:
    return await asyncio.to_thread(
        pair.prompter.pieces, plan.prompt.ids, plan.generated_ids or [], plan.prompt.roles
    )


async def _replying(
    pair: LoadedPair, prompt: Sequence[int], ask: Generate
) -> AsyncGenerator[list[int], None]:
    """The reply as it grows, first empty, at last whole. Close it to stop the model."""
    news = asyncio.Event()
    ids: list[int] = []

    def on_token(token: int) -> None:
        ids.append(token)
        news.set()

    reply = pair.target.generate(
        prompt,
        max_new_tokens=ask.max_new_tokens,
        temperature=ask.temperature,
        seed=ask.seed,
        on_token=on_token,
    )
    job = asyncio.create_task(reply)
    job.add_done_callback(lambda _: news.set())
    try:
        while not job.done():
            yield list(ids)
            await asyncio.wait([job], timeout=GROWTH)
            await news.wait()
            news.clear()
        yield await job
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def _trace(pair: LoadedPair, plan: RunState, pieces: Sequence[Piece]) -> Traced:
    ids = plan.prompt.ids + (plan.generated_ids or [])
    trace = await pair.target.trace(ids, sorted(set(plan.also.values())))
    if len(trace.activations) != len(pieces):
        raise ModelError(f"The target gave {len(trace.activations)} activations for {len(pieces)} tokens.")

    def describe() -> Traced:
        there = {name: layer for name, layer in plan.also.items() if layer in trace.others}
        return Traced(
            tokens=_measured(pieces, trace.activations),
            focus=_focus(pieces, plan.request),
            lens=_table(trace.lens, pair),
            activations=np.asarray(trace.activations, np.float32),
            others={
                name: AtLayer(layer, _measured(pieces, trace.others[layer]), trace.others[layer])
                for name, layer in there.items()
            },
        )

    return await asyncio.to_thread(describe)


async def _tuned(pair: LoadedPair, ids: Sequence[int]) -> LensTable:
    return await asyncio.to_thread(_table, await pair.target.tuned_lens(ids), pair)


def _measured(pieces: Sequence[Piece], activations: Activations) -> list[Token]:
    """The tokens with the norms of these activations, and flags."""
    from server.nla.flags import flags

    norms = np.linalg.norm(activations.astype(np.float64), axis=1)
    median = float(np.median(norms))
    tokens = _tokens(pieces)
    for token, piece, norm in zip(tokens, pieces, norms.tolist(), strict=True):
        token.norm = round(norm, 3)
        token.flags = flags(token.position, piece, norm, median)
    return tokens


def _table(lens: Lens, pair: LoadedPair) -> LensTable:
    ids = sorted(set(np.unique(lens.top_ids).tolist()))
    texts = {i: pair.prompter.token_text(i) for i in ids}
    return LensTable(
        layers=list(lens.layers),
        prob=np.asarray(lens.prob, np.float32),
        rank=np.asarray(lens.rank, np.int32),
        entropy=np.asarray(lens.entropy, np.float32),
        kl=np.asarray(lens.kl, np.float32),
        top_ids=np.asarray(lens.top_ids, np.int32),
        top_probs=np.asarray(lens.top_probs, np.float32),
        texts=texts,
    )


def _tokens(pieces: Sequence[Piece]) -> list[Token]:
    return [
        Token(
            position=i,
            id=piece.id,
            text=piece.text,
            kind=piece.kind,
            role=piece.role,
            special=piece.special,
            glyph=piece.glyph,
        )
        for i, piece in enumerate(pieces)
    ]


def _wanted(plan: RunState) -> list[int]:
    """The positions to read. One that was asked for by number but never came to be stays in, to be marked."""
    positions = plan.request.positions
    if isinstance(positions, list):
        return positions
    if positions == "all":
        return list(range(len(plan.tokens)))
    return [token.position for token in plan.tokens if token.kind == positions]


def _focus(pieces: Sequence[Piece], request: AnalysisRequest) -> int:
    """The position that a page pins by default: the last content token of the user's (or the raw) text that is to
    be read.
    """
    wanted = range(len(pieces))
    positions = request.positions
    readable = [
        i
        for i in wanted
        if (i in positions if isinstance(positions, list) else positions in {"all", pieces[i].kind})
    ]
    chosen = readable or list(wanted)
    content = [i for i in chosen if not pieces[i].special and pieces[i].text.strip()]
    typed = [i for i in content if pieces[i].role in {"user", "text"} and pieces[i].kind == "prompt"]
    return (typed or content or chosen)[-1]


async def _compare(
    pair: LoadedPair, plan: RunState, vectors: dict[tuple[int, int], Activations]
) -> Baselines | None:
    """The baselines of content and, apart, of the other positions; None where neither has two."""
    from server.nla.scores import baselines, nearest_share

    activations = plan.activations
    assert activations is not None, "it is read by now"
    content = {token.position for token in plan.tokens if token.content}

    def chance(keys: Sequence[tuple[int, int]]) -> Chance | None:
        positions = [position for position, _ in keys]
        if len(set(positions)) < 2:
            return None
        found = baselines(activations, np.stack([vectors[key] for key in keys]), positions, pair.variance)
        return Chance(**vars(found), n=len(keys))

    def compare() -> Baselines | None:
        inside = chance([key for key in sorted(vectors) if key[0] in content])
        outside = chance([key for key in sorted(vectors) if key[0] not in content])
        if inside is None and outside is None:
            return None
        if inside is None:
            return Baselines(**vars(NO_CHANCE), over="content", left_out=outside)
        keys = [key for key in sorted(vectors) if key[0] in content]
        rs = np.stack([vectors[key] for key in keys])
        share, of = nearest_share(activations, rs, [position for position, _ in keys], sorted(content))
        return Baselines(**vars(inside), over="content", left_out=outside, nearest=share, nearest_of=of)

    return await asyncio.to_thread(compare)
