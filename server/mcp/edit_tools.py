"""A tool that edits a reading and patches the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from server.interventions.schema import (
    Control,
    Intervention,
    InterventionRequest,
    Mode,
    ModelOutput,
    Scope,
    SteerOrigin,
    Target,
    Verdict,
)
from server.mcp.analysis_tools import AnalysisId, Held
from server.mcp.answers import Answer, Part, cut, figure, figures
from server.mcp.links import AnyContext, Links
from server.mcp.reading_tools import Position
from server.mcp.waiting import PATIENCE, Seconds, settled, wait_for_made
from server.services import Services

FIRST = 3
"""First choices of the model that are named."""


class WatchedWord(Part):
    """A target: how likely its first token is as the next one."""

    word: str
    prob: float
    rank: int = Field(description="0 = the first choice.")


class Said(Part):
    """The model's output: its first choices, the targets, and how it goes on."""

    first_choices: list[tuple[str, float]]
    targets: list[WatchedWord]
    text: str


class ControlPart(Part):
    """A control, which the edit has to beat: other readings at the same angle (`other`), the reading unedited
    (`unedited`), random directions at the same angle (`random`, a floor). Means over `n`.
    """

    kind: str
    n: int
    kl: float
    kl_interval: tuple[float, float] | None = Field(default=None, description="The middle 90 %.")
    moved_as_far: int = Field(description="How many have a KL at least as large as the edit's.")
    target_probs: list[float]


class VerdictPart(Part):
    """Did the words change the model's mind? Judged by the target that the edit made likeliest."""

    word: str
    changed: bool = Field(description="It is the first choice, and no control makes it as likely.")
    first_choice: bool
    others_as_likely: str = Field(description="How many of the other readings make it as likely.")
    p: float = Field(description="(k + 1) / (n + 1) for k of n other readings: nothing is proven above 0.05.")
    unedited_as_likely: bool
    stretched: bool = Field(description="The edit changed next to nothing, and was stretched to the step.")


class EditAnswer(Answer):
    """One edit beside its controls, or how far it is."""

    id: str
    analysis: str
    status: str
    position: int
    kl: float | None = Field(default=None, description="KL(before ‖ after) of the next token, in nats.")
    cos_original: float | None = Field(default=None, description="Of the activation and what took its place.")
    words_hold: Held | None = Field(default=None, description="The score of the edited words.")
    original: str | None = Field(default=None, description="The reading that was edited.")
    before: Said | None = None
    after: Said | None = None
    controls: list[ControlPart] | None = None
    tries: int | None = Field(
        default=None,
        description="Edits of this token so far: the best of many is worth less than the only one.",
    )
    verdict: VerdictPart | None = Field(default=None, description="Only where targets were named beforehand.")


class EditTools:
    """Edits readings and patches the model."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def edit_and_patch(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        position: Position,
        text: Annotated[
            str | None,
            Field(min_length=1, max_length=20_000, description="The edited words of the reading."),
        ] = None,
        vector: Annotated[
            str | None,
            Field(min_length=1, max_length=40, description="In the place of words: the id of a vector."),
        ] = None,
        targets: Annotated[
            list[Target],
            Field(max_length=6, description="Words that you expect next, named before you see the answer."),
        ] = [],  # noqa: B006 - the tool's schema shows it
        mode: Annotated[
            Mode, Field(description="replace the activation by the words, or steer it towards them.")
        ] = "replace",
        alpha: Annotated[
            float | None,
            Field(ge=-100, le=100, allow_inf_nan=False, description="Of steer: 0.5 unless given."),
        ] = None,
        delta: Annotated[
            SteerOrigin | None,
            Field(description="Of steer: from the reading as it is (original) or from the activation."),
        ] = None,
        scope: Annotated[Scope, Field(description="That token alone, or every later one too.")] = "position",
        sample: Annotated[int, Field(ge=0, description="Which reading of the token is edited.")] = 0,
        until: Annotated[
            int | None, Field(ge=0, description="The model goes on after this token; the prompt's last one.")
        ] = None,
        wait_seconds: Seconds = PATIENCE,
    ) -> EditAnswer:
        """Put edited words, or a vector, in the place of an activation and see whether the model says something else
        than before, and than with other readings and random directions at the same angle.
        """
        request = InterventionRequest(
            position=position,
            text=text,
            vector=vector,
            targets=targets,
            mode=mode,
            alpha=alpha,
            delta=delta,
            scope=scope,
            sample=sample,
            until=until,
        )
        edits = self._services.interventions
        analysis_id = await self._services.analyses.check(analysis)
        await settled(self._services.models, context)
        id, _ = await edits.submit(analysis_id, request)
        made = await wait_for_made(edits, analysis_id, id, context, wait_seconds)
        link = Links(context, self._services.settings).analysis(analysis_id, position)
        if isinstance(made, Intervention):
            return _answer(made, link, len(await edits.of(analysis_id, position=position)))
        return EditAnswer(
            permalink=link,
            note="It goes on: ask the same again to go on waiting.",
            id=id,
            analysis=analysis_id,
            status=made.progress.stage,
            position=position,
        )


def _answer(made: Intervention, link: str, tries: int) -> EditAnswer:
    words = [target.text for target in made.after.targets]
    return EditAnswer(
        permalink=link,
        id=made.id,
        analysis=made.analysis,
        status="done",
        position=made.request.position,
        kl=figure(made.kl),
        cos_original=figure(made.cos_original),
        words_hold=Held(fve=figure(made.score.fve), cos=figure(made.score.cos)),
        original=None if made.original is None else cut(made.original),
        before=_said(made.before),
        after=_said(made.after),
        controls=[_control(control) for control in made.controls],
        verdict=None if made.verdict is None else _verdict(made.verdict, words),
        tries=tries,
    )


def _said(output: ModelOutput) -> Said:
    return Said(
        first_choices=[(text, figure(prob) or 0.0) for _, text, prob in output.top[:FIRST]],
        targets=[
            WatchedWord(word=target.text, prob=figure(target.prob) or 0.0, rank=target.rank)
            for target in output.targets
        ],
        text=cut(output.text),
    )


def _control(control: Control) -> ControlPart:
    interval: Any = None if control.interval is None else tuple(figures(control.interval))
    return ControlPart(
        kind=control.kind,
        n=control.n,
        kl=figure(control.kl) or 0.0,
        kl_interval=interval,
        moved_as_far=control.above,
        target_probs=figures(control.probs),
    )


def _verdict(verdict: Verdict, words: Sequence[str]) -> VerdictPart:
    return VerdictPart(
        word=words[verdict.word],
        changed=verdict.changed,
        first_choice=verdict.first,
        others_as_likely=f"{verdict.above} of {verdict.others}",
        p=figure((verdict.above + 1) / (verdict.others + 1)) or 0.0,
        unedited_as_likely=verdict.unedited,
        stretched=verdict.stretched,
    )
