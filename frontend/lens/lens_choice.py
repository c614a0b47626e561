"""The choice of a lens: the switch between the logit lens and the tuned one, and what each of them does and does not
show.
"""

from __future__ import annotations

from dataclasses import dataclass

from frontend.analysis.view import View
from frontend.links import Choice, choice
from frontend.view_state import ViewState


@dataclass(frozen=True)
class Kind:
    """One lens in words: `rows` says what the map's rows are, `curve` what a curve shows."""

    label: str
    title: str
    rows: str
    curve: str


KINDS = {
    "plain": Kind(
        "logit lens",
        "Logit lens",
        "the rows below are a lens: what each layer would say if it were the last. A low layer may hold more "
        "than the lens can read.",
        "A lens makes every layer guess the next token before the model is done. It is an instrument, not what the "
        "model believes at that layer; only the last point is the model's own answer.",
    ),
    "tuned": Kind(
        "tuned lens",
        "Tuned lens",
        "the rows below are a tuned lens: what an affine map, trained for each layer to foretell the output, makes of "
        "it. It shows what can be foretold from a layer, not that the model uses it there; some of it the map has "
        "learned from its training texts.",
        "A tuned lens makes every layer guess the next token through a map that was trained to come near the output. "
        "It shows what can be foretold from the layer, not what the model believes or uses there; part of a guess is "
        "the map's own learning. Only the last point is the model's own answer.",
    ),
}


def lens_choices(view: View, view_state: ViewState) -> list[Choice]:
    """The switch, with all else as in `look`; none where there is but one lens."""
    if view.analysis.tuned_lens is None:
        return []
    return [
        choice(view, view_state.replace(lens=name), kind.label, name == view.which)
        for name, kind in KINDS.items()
    ]
