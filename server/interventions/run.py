"""One intervention: words to a patch, the patch and its controls into the target, what it says to an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from server.analyses.word_curves import WordTokens, tokens_of
from server.errors import BadInput, ModelError
from server.interventions.schema import (
    Control,
    ControlKind,
    InterventionRequest,
    ModelOutput,
    Replay,
    SweepPoint,
    TargetToken,
    Verdict,
    WordsScore,
)
from server.interventions.sweep import sweep
from server.interventions.verdict import judge

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.patching.patched_forward import PatchedOutput
    from server.nla.patching.patches import Patch
    from server.nla.prompt import Piece

Vector = NDArray[np.float32]
RANDOM = 16
"""Random directions: enough for an interval."""
OTHERS = 16
"""Positions whose readings are put in the edit's place, where there are so many."""
REPLAYED = 8
"""Controls with which the reply is read again."""


@dataclass(frozen=True)
class InterventionInputs:
    """Inputs of an intervention. `ids` reach to where the model goes on; `h`: [d], the activation;
    `original`: the reading as it is; `others`: reconstructions of other positions' readings; `gold`: an
    activation [d] of another text; `vector`: [d], of a request that has no words.
    """

    request: InterventionRequest
    ids: Sequence[int]
    h: Vector
    original: str | None
    others: Sequence[Vector]
    gold: Vector | None
    vector: Vector | None = None


@dataclass(frozen=True)
class Result:
    """The result of an intervention, in the types of the API."""

    kls: list[float]
    cos_original: float
    score: WordsScore
    before: ModelOutput
    after: ModelOutput
    controls: list[Control]
    delta_ratio: float | None
    verdict: Verdict | None
    sweep: list[SweepPoint]
    replay: Replay | None


@dataclass(frozen=True)
class Step:
    """Progress: `done` of `total` patches have been run."""

    stage: Literal["reconstruct", "patch", "sweep"]
    done: int = 0
    total: int | None = None


async def intervene(pair: LoadedPair, material: InterventionInputs) -> AsyncGenerator[Step | Result]:
    """The steps of an intervention, then its result. Raises BadInput for an edit that moves nothing or is too long, and
    what the models raise.
    """
    from server.nla.patching.patched_forward import Continuation

    request = material.request
    yield Step("reconstruct")
    edited, original = await _reconstructed(pair, material)
    patches = list(_patches(material, edited, original))
    words = [tokens_of(pair.prompter, target) for target in request.targets]
    continuation = Continuation(
        request.generate.max_new_tokens, request.generate.temperature, request.generate.seed
    )
    followed = [word.id for word in words]
    said: list[PatchedOutput] = []
    only_patches = [patch for _, patch in patches]
    yield Step("patch", 0, len(patches) + 1)
    async for batch in pair.target.patched_forward(material.ids, only_patches, followed, continuation):
        said += batch
        yield Step("patch", len(said), len(patches) + 1)
    own, after = said[:2]
    score = _score(material.h, edited, pair.variance)
    by_kind: dict[ControlKind, list[tuple[Patch, PatchedOutput]]] = {}
    for (kind, patch), output in zip(patches[1:], said[2:], strict=True):
        if kind is not None:
            by_kind.setdefault(kind, []).append((patch, output))
    edit = patches[0][1]
    before = _spoken(pair, own, request.targets, words)
    patched = _spoken(pair, after, request.targets, words)
    controls = [_control(pair, kind, made, material.h, own, after) for kind, made in by_kind.items()]
    delta_ratio = _delta_ratio(request, edited, original, material.h)
    points: list[SweepPoint] = []
    others = [patch for kind, patch in patches if kind == "other"]
    async for found in sweep(pair, material, edit, others, followed, own):
        if isinstance(found, int):
            yield Step("sweep", found)
        else:
            points.append(found)
    replay = await _replay(pair, material, edit, by_kind, own.reply)
    yield Result(
        kls=after.kls.tolist(),
        cos_original=_cos(edit, material.h),
        score=score,
        before=before,
        after=patched,
        controls=controls,
        delta_ratio=delta_ratio,
        verdict=judge(before, patched, controls, delta_ratio),
        sweep=points,
        replay=replay,
    )


async def _replay(
    pair: LoadedPair,
    material: InterventionInputs,
    edit: Patch,
    controls: Mapping[ControlKind, Sequence[tuple[Patch, PatchedOutput]]],
    reply: Sequence[int],
) -> Replay | None:
    """Read the unpatched reply again with the edit and with some controls; None where there is no reply."""
    from server.nla.patching.patched_forward import Continuation

    null: ControlKind = "other" if controls.get("other") else "random"
    patches = [patch for patch, _ in controls.get(null, ())][:REPLAYED]
    if not reply:
        return None
    ids = [*material.ids, *reply[:-1]]
    said: list[PatchedOutput] = []
    async for batch in pair.target.patched_forward(ids, [edit, *patches], [], Continuation(0)):
        said += batch
    _, own, *others = (output.kls[-len(reply) :].tolist() for output in said)
    return Replay(
        kls=own, null=null, n=len(others), null_kls=np.mean(others, axis=0).tolist() if others else []
    )


async def _reconstructed(pair: LoadedPair, material: InterventionInputs) -> tuple[Vector, Vector | None]:
    """Return v, and what the AR makes of the reading as it is. Equal words are read once: rounded apart, they would
    make a direction to steer in.
    """
    text, original = material.request.text, material.original
    texts = list(dict.fromkeys(words for words in (text, original) if words is not None))
    made: dict[str, Vector] = {}
    if texts:
        try:
            made = dict(zip(texts, await pair.reconstructor.reconstruct(texts), strict=True))
        except BadInput as error:
            raise BadInput("text", error.detail) from error
    edited = material.vector if text is None else made[text]
    assert edited is not None, "a request has words or a vector"
    return edited, None if original is None else made[original]


def _patches(
    material: InterventionInputs, edited: Vector, original: Vector | None
) -> Iterator[tuple[ControlKind | None, Patch]]:
    """The edit's patch, then those of the controls."""
    from server.nla.patching.patches import random_controls

    request = material.request
    edit = _patch(request, edited, original, material.h)
    if edit is None and request.mode == "replace":
        raise ModelError("The AR made no direction of these words, but a vector that is zero or not finite.")
    if edit is None:
        raise BadInput(
            "text",
            "These words say what they are to be steered away from, so there is no direction. Change them, or replace "
            "the activation (mode: replace) to see what the reading by itself does.",
        )
    yield None, edit
    for patch in random_controls(edit, material.h, RANDOM, request.seed):
        yield "random", patch
    wanted: list[tuple[ControlKind, Vector | None]] = [("unedited", original)]
    wanted += [("other", other) for other in material.others]
    wanted += [("gold", _as_long(material.gold, original))]
    for kind, vector in wanted:
        control = None if vector is None else _patch(request, vector, original, material.h)
        if control is not None and kind == "other":
            control = _turned(edit, material.h, control)
        if control is not None:
            yield kind, control


def _turned(edit: Patch, h: Vector, patch: Patch) -> Patch | None:
    """None where the patch points along the activation."""
    from server.nla.patching.patches import at_same_angle

    try:
        return at_same_angle(edit, h, patch.direction)
    except ValueError:
        return None


def _as_long(gold: Vector | None, original: Vector | None) -> Vector | None:
    """An activation may be much longer than what the AR makes, and would drown the reading that is steered from."""
    from server.nla.scores import units

    if gold is None or original is None:
        return gold
    scaled: Vector = (units(gold) * np.linalg.norm(original)).astype(np.float32)
    return scaled


def _patch(request: InterventionRequest, v: Vector, original: Vector | None, h: Vector) -> Patch | None:
    """None where there is no direction: words steered from themselves."""
    from server.nla.patching.patches import replacing, steering

    onwards = request.scope == "onwards"
    try:
        if request.mode == "replace":
            return replacing(request.position, v, onwards=onwards)
        assert request.alpha is not None, "a normalised request has one"
        delta = _delta(request, v, original, h)[0]
        return steering(request.position, delta, request.alpha, onwards=onwards)
    except ValueError:
        return None


def _delta(
    request: InterventionRequest, v: Vector, original: Vector | None, h: Vector
) -> tuple[Vector, Vector]:
    """Δ, and the vector from which it leads away; a vector that is kept is Δ itself."""
    from server.nla.scores import units

    if request.vector is not None:
        return v, h
    if request.delta == "activation" or original is None:
        return units(v) - units(h), units(h)
    return v - original, original


def _delta_ratio(request: InterventionRequest, v: Vector, original: Vector | None, h: Vector) -> float | None:
    """The length of Δ as a part of its origin's, before it is stretched. None when replacing, and for a vector, whose
    length is its maker's choice.
    """
    if request.mode == "replace" or request.vector is not None:
        return None
    delta, origin = _delta(request, v, original, h)
    length = float(np.linalg.norm(origin))
    return float(np.linalg.norm(delta)) / length if length else None


def _score(h: Vector, v: Vector, variance: float | None) -> WordsScore:
    from server.nla.scores import score

    found = score(h, v, variance)
    return WordsScore(cos=found.cos, mse=found.mse, fve=found.fve)


def _cos(patch: Patch, h: Vector) -> float:
    from server.nla.scores import score

    return score(h, patch.applied(h), None).cos


def _spoken(
    pair: LoadedPair, said: PatchedOutput, targets: Sequence[str], words: Sequence[WordTokens]
) -> ModelOutput:
    pieces, ended = _reply(pair, said)
    text = "".join(piece.text for piece in pieces)
    token_text = pair.prompter.token_text
    return ModelOutput(
        top=[
            (id, token_text(id), prob)
            for id, prob in zip(said.top_ids.tolist(), said.top_probs.tolist(), strict=True)
        ],
        targets=[
            TargetToken(text=target, prob=float(said.probs[n]), rank=int(said.ranks[n]), **dict(tokens))
            for n, (target, tokens) in enumerate(zip(targets, words, strict=True))
        ],
        text=text,
        ended=ended,
        tokens=[(piece.id, piece.text) for piece in pieces],
    )


def _reply(pair: LoadedPair, said: PatchedOutput) -> tuple[Sequence[Piece], bool]:
    """The tokens of how it goes on, and whether it has ended its turn."""
    ended = bool(said.reply) and said.reply[-1] in pair.prompter.stop_ids
    return pair.prompter.pieces([], said.reply[:-1] if ended else said.reply), ended


def _control(
    pair: LoadedPair,
    kind: ControlKind,
    made: Sequence[tuple[Patch, PatchedOutput]],
    h: Vector,
    own: PatchedOutput,
    after: PatchedOutput,
) -> Control:
    kls = np.array([said.kls for _, said in made])  # [n, positions]
    last = kls[:, -1]
    low, high = np.percentile(last, [5, 95]).tolist()
    return Control(
        kind=kind,
        n=len(made),
        kl=float(last.mean()),
        interval=(low, high) if len(made) > 1 else None,
        kls=kls.mean(0).tolist(),
        cos_original=float(np.mean([_cos(patch, h) for patch, _ in made])),
        kept=sum(int(said.top_ids[0]) == int(own.top_ids[0]) for _, said in made),
        above=int((last >= after.kls[-1]).sum()),
        probs=np.mean([said.probs for _, said in made], axis=0).tolist(),
        text="".join(piece.text for piece in _reply(pair, made[0][1])[0]),
        each_kl=last.tolist(),
        each_probs=[said.probs.tolist() for _, said in made],
        each_first=[pair.prompter.token_text(int(said.top_ids[0])) for _, said in made],
    )
