"""Meaning or form: what the readings of a text lose when only their form changes."""

from __future__ import annotations

from frontend import formatting
from frontend.analysis.view import View
from frontend.causal.contexts import FormContext, LossRow
from frontend.urls import urls
from server.measurements.schema import FormLoss, FormResult, PendingMeasurement

NAMES = {
    "shuffle_sentences": "sentences in another order",
    "shuffle_words": "words in another order",
    "lowercase": "in lower case",
}


def form(view: View, error: str = "") -> FormContext:
    """Build the losses of the readings in other forms, or the form that asks for them."""
    action, found = urls.form(view.analysis.id), view.form
    if found is None:
        return FormContext("absent", action, error=formatting.plain(error))
    if isinstance(found, PendingMeasurement):
        progress = found.progress
        said = formatting.plain(progress.message or "") or "The readings are read again in other forms"
        return FormContext(
            "pending", action, again=action, progress=said, done=progress.done, total=progress.total
        )
    assert found.form is not None, "it is a measurement of form"
    result = found.form
    return FormContext(
        "done",
        action,
        sentence=_sentence(result),
        rows=tuple(LossRow(NAMES[loss.kind], *_row(loss)) for loss in result.losses),
        note=_note(result),
    )


def _row(loss: FormLoss) -> tuple[str, str]:
    return _with(-loss.lost, loss.interval), _with(
        None if loss.undone_lost is None else -loss.undone_lost, loss.undone_interval
    )


def _with(change: float | None, lost: tuple[float, float] | None) -> str:
    """`-3.1 points [-4.0, -2.2]`: the interval of the change, of which `lost` is that of the loss."""
    if change is None:
        return formatting.number(None)
    if lost is None:
        return formatting.points(change)
    low, high = (formatting.number(100 * -bound, 1) for bound in reversed(lost))
    return f"{formatting.points(change)} [{low}, {high}]"


def _sentence(result: FormResult) -> str:
    words = next(loss for loss in result.losses if loss.kind == "shuffle_words")
    if result.held <= 0:
        return "The readings hold nothing here that another order could lose."
    share = words.lost / result.held
    if share < 0.05:
        return "The order of the words hardly matters: the AR takes them as a bag."
    if share > 0.95:
        return (
            f"With their words in another order, the readings hold nothing any more of the "
            f"{formatting.percent(result.held)} that they hold."
        )
    return (
        f"With their words in another order, the readings lose {formatting.percent(share)} of the "
        f"{formatting.percent(result.held)} that they hold."
    )


def _note(result: FormResult) -> str:
    if result.losses[0].interval is None:
        return f"Of {result.n} readings of {result.units} {result.unit}: too few for an interval."
    return f"Of {result.n} readings; the intervals resample {result.units} {result.unit}."
