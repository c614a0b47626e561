"""The causal scores of a whole text: asked for, on their way, or summed up beside what could refute them."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from frontend import formatting, templating
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.causal.contexts import CausalContext, Dot, NamedToken, ScatterContext
from frontend.causal.effects import summary_rows
from frontend.causal.form import form
from frontend.lens.drawing import Tick
from frontend.links import Choice, choice
from frontend.urls import urls
from server.analyses.schema import Reading
from server.measurements.schema import CausalScore, Measurement, PendingMeasurement

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 28, 40
"""The margins."""
NAMED = 3
"""Tokens that are named on either side."""
LEAST = 0.02
"""Smallest lead over other readings at the same angle that is called the readings' own."""
APART = 1 / 3
"""Smallest gap between the two ranks of a token that is named, as a share of the ranks."""


def causal_section(view: View, error: str = "") -> CausalContext:
    """The section of the text's causal scores, whatever there is of them."""
    id, found = view.analysis.id, view.causal
    action = urls.causal(id)
    if found is None:
        return CausalContext("absent", action, error=formatting.plain(error))
    both = list(_both(view))
    if isinstance(found, PendingMeasurement):
        return CausalContext(
            "pending",
            action,
            cancel=urls.cancel_causal(id),
            progress=_progress(found),
            done=found.progress.done,
            total=found.progress.total,
            scatter=_scatter(view, both) if len(both) > 1 else None,
            colours=colours(view),
        )
    return CausalContext(
        "done",
        action,
        error=formatting.plain(error),
        sentences=tuple(_sentences(found)),
        rows=tuple(summary_rows(found.content)) if found.content else (),
        horizon=found.request.horizon,
        scatter=_scatter(view, both) if len(both) > 1 else None,
        less_than_held=tuple(_named(view, both, 1)),
        more_than_held=tuple(_named(view, both, -1)),
        colours=colours(view),
        form=form(view),
        files=(
            ("CSV", urls.measurements_export(id, "csv")),
            ("Parquet", urls.measurements_export(id, "parquet")),
        ),
    )


def causal_stream(view: View) -> str | None:
    """The address of the stream of the scores that are being measured; None where there are none."""
    pending = isinstance(view.causal, PendingMeasurement)
    return urls.causal_stream(view.analysis.id, view.view_state) if pending else None


def follow_scores(view: View) -> Markup:
    """Render the connection that follows the scores that are being measured; empty where there are none."""
    address = causal_stream(view)
    if address is None:
        return Markup()
    connection = templating.fragment("analysis/stream.stream", address, "causal-stream")
    return templating.fragment("analysis/stream.partial", "causal-stream", connection, "outerHTML")


def colours(view: View) -> tuple[Choice, ...]:
    """List the scores that can colour the text; none before there are causal scores."""
    if not view.causal_scores:
        return ()
    names = {"score": "round-trip score", "causal": "causal score"}
    return tuple(
        choice(view, view.view_state.replace(by=by), label, view.by == by) for by, label in names.items()
    )


def _progress(found: PendingMeasurement) -> str:
    progress = found.progress
    if progress.message:
        return formatting.plain(progress.message)
    if progress.stage == "patch":
        return "The model runs with each reading in the place of its activation"
    return formatting.stage(progress.stage)


def _sentences(found: Measurement) -> Iterator[str]:
    summary = found.content
    if summary is None:
        yield "This text has too few readings of content to be compared with each other."
        return
    own, other = summary.reading, summary.other
    if own.score is None:
        yield "The mean activation breaks nothing here, so there is nothing that a reading could undo."
        return
    line = (
        f"In the place of their activations, the readings of this text undo {formatting.percent(own.score)} of what "
        "its mean activation breaks at the next token"
    )
    if own.after is not None:
        line += f", and {formatting.percent(own.after)} over the {found.request.horizon} tokens that follow"
    yield f"{line}."
    if other is not None and other.score is not None:
        gap = own.score - other.score
        null = f"Other readings at the same angle undo {formatting.percent(other.score)}"
        yield (
            f"{null}: {formatting.number(gap * 100, 0)} points are owed to what these words say."
            if gap > LEAST
            else f"{null}, no less: what the readings undo here is not owed to what their words say."
        )
    if summary.correlation is not None:
        yield (
            f"Within this text, causal and round-trip scores go together with a rank correlation of "
            f"{formatting.number(summary.correlation)}."
        )


def _both(view: View) -> Iterator[tuple[Reading, CausalScore, float, float]]:
    """(reading, its causal score, round trip, causal) of those that have both."""
    for reading in view.analysis.readings:
        found = view.causal_scores.get((reading.position, reading.sample))
        trip = reading.cos if reading.fve is None else reading.fve
        if found is not None and found.score is not None and trip is not None:
            yield reading, found, trip, found.score


def _scatter(view: View, both: list[tuple[Reading, CausalScore, float, float]]) -> ScatterContext:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(value: float) -> float:
        return round(LEFT + (right - LEFT) * min(max(value, 0.0), 1.0), 1)

    def up(value: float) -> float:
        return round(bottom - (bottom - TOP) * (min(max(value, -1.0), 1.0) + 1) / 2, 1)

    tokens = view.analysis.tokens
    known = any(r.fve is not None for r, *_ in both)
    dots = []
    for reading, _, trip, causal in both:
        state = view.view_state.replace(t=reading.position)
        dots.append(
            Dot(
                x=across(trip),
                y=up(causal),
                href=urls.analysis(view.analysis.id, state),
                panel=urls.panel(view.analysis.id, state),
                label=f"{token_name(view, reading.position)}: holds {formatting.percent(trip)}, "
                f"undoes {formatting.percent(causal)}",
                content=tokens[reading.position].content,
                pinned=reading.position == view.pinned,
            )
        )
    return ScatterContext(
        dots=dots,
        across=[Tick(across(n), formatting.percent(n)) for n in (0, 0.5, 1)],
        up=[Tick(up(n), formatting.percent(n)) for n in (-1, 0, 1)],
        name="held of the activation" if known else "cosine with the activation",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        top=TOP,
        right=right,
        bottom=bottom,
    )


def _named(
    view: View, both: list[tuple[Reading, CausalScore, float, float]], sign: int
) -> Iterator[NamedToken]:
    """Content tokens whose ranks by the two scores lie furthest apart, the one with the larger gap first."""
    content = [each for each in both if view.analysis.tokens[each[0].position].content]
    by_trip = sorted(range(len(content)), key=lambda n: content[n][2])
    by_causal = sorted(range(len(content)), key=lambda n: content[n][3])
    gaps = {n: sign * (by_trip.index(n) - by_causal.index(n)) / len(content) for n in range(len(content))}
    for n in sorted(gaps, key=lambda n: -gaps[n])[:NAMED]:
        if gaps[n] > APART:
            reading, _, trip, causal = content[n]
            state = view.view_state.replace(t=reading.position)
            yield NamedToken(
                name=token_name(view, reading.position),
                href=urls.analysis(view.analysis.id, state),
                panel=urls.panel(view.analysis.id, state),
                trip=formatting.percent(trip),
                causal=formatting.percent(causal),
            )
