"""The verdict on an edit: judged by the watched words, against each control, not by distance."""

from __future__ import annotations

from collections.abc import Sequence

from server.interventions.schema import Control, ModelOutput, Verdict

SMALL_DELTA = 0.05
"""Below this part of what the edit started from, a steer is made of its stretching, not of the words."""


def judge(
    before: ModelOutput, after: ModelOutput, controls: Sequence[Control], delta_ratio: float | None
) -> Verdict | None:
    """Judge the edit by the watched word that it made likeliest, of those that the model did not say
    anyway.

    It changes the model's mind when that word becomes the first choice, and neither another reading nor the
    reading as it is makes it as likely, unless the step is nearly nothing that was stretched. None where no
    such word is watched, or nothing is there to compare with.
    """
    said, now = before.top[0][0], after.top[0][0]
    words = [n for n, target in enumerate(before.targets) if target.id != said]
    others = _each(controls, "other")
    unedited = _each(controls, "unedited")
    if not words or not others + unedited:
        return None
    word = max(words, key=lambda n: (after.targets[n].id == now, after.targets[n].prob))
    prob = after.targets[word].prob
    first = after.targets[word].id == now
    above = sum(probs[word] >= prob for probs in others)
    by_itself = any(probs[word] >= prob for probs in unedited)
    stretched = delta_ratio is not None and delta_ratio < SMALL_DELTA
    return Verdict(
        word=word,
        first=first,
        others=len(others),
        above=above,
        unedited=by_itself,
        stretched=stretched,
        changed=first and not above and not by_itself and not stretched,
    )


def _each(controls: Sequence[Control], kind: str) -> list[list[float]]:
    return [probs for control in controls if control.kind == kind for probs in control.each_probs]
