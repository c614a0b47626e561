"""The verdict on an edit, for made-up answers of the model."""

from __future__ import annotations

from typing import Any

import pytest

from server.interventions.schema import Control, ModelOutput, Verdict
from server.interventions.verdict import judge

PARIS, MADRID, ROME, THE = range(4)


def spoken(first: int, *targets: tuple[int, float]) -> ModelOutput:
    watched = [
        {"text": str(id), "id": id, "token": str(id), "parts": [str(id)], "prob": prob, "rank": 0}
        for id, prob in targets
    ]
    return ModelOutput.model_validate(
        {"top": [(first, str(first), 0.5)], "targets": watched, "text": "", "ended": False}
    )


def control(kind: str, *each: list[float]) -> Control:
    fields: dict[str, Any] = {
        "kind": kind,
        "n": len(each),
        "kl": 0.1,
        "interval": None,
        "kls": [0.1],
        "cos_original": 0.9,
        "kept": 0,
        "above": 0,
        "probs": each[0],
        "text": "",
        "each_probs": list(each),
    }
    return Control.model_validate(fields)


BEFORE = spoken(PARIS, (PARIS, 0.8), (MADRID, 0.01))
WON = spoken(MADRID, (PARIS, 0.1), (MADRID, 0.4))


@pytest.mark.parametrize(
    ("after", "others", "unedited", "expected"),
    [
        (WON, [0.1, 0.3], 0.01, Verdict(word=1, first=True, others=2, above=0, unedited=False, changed=True)),
        (
            WON,
            [0.1, 0.4],
            0.01,
            Verdict(word=1, first=True, others=2, above=1, unedited=False, changed=False),
        ),
        (WON, [0.1, 0.3], 0.5, Verdict(word=1, first=True, others=2, above=0, unedited=True, changed=False)),
        (
            spoken(THE, (PARIS, 0.1), (MADRID, 0.4)),
            [0.1, 0.3],
            0.01,
            Verdict(word=1, first=False, others=2, above=0, unedited=False, changed=False),
        ),
    ],
)
def test_a_mind_is_changed_when_the_watched_word_wins(
    after: ModelOutput, others: list[float], unedited: float, expected: Verdict
) -> None:
    controls = [control("other", *([0.5, p] for p in others)), control("unedited", [0.7, unedited])]
    assert judge(BEFORE, after, controls, 0.3) == expected


def test_random_directions_have_no_say() -> None:
    found = judge(BEFORE, WON, [control("other", [0.1, 0.1]), control("random", [0.0, 0.9])], None)
    assert found is not None and found.changed


def test_what_the_model_says_anyway_cannot_win() -> None:
    alone = spoken(PARIS, (PARIS, 0.8))
    assert judge(alone, spoken(MADRID, (PARIS, 0.1)), [control("other", [0.1])], None) is None
    assert judge(spoken(PARIS), spoken(MADRID), [control("other", [])], None) is None


def test_without_a_control_there_is_no_verdict() -> None:
    assert judge(BEFORE, WON, [control("random", [0.1, 0.1])], None) is None


def test_of_several_words_the_one_that_is_said_is_judged() -> None:
    before = spoken(PARIS, (ROME, 0.01), (MADRID, 0.01))
    found = judge(before, spoken(MADRID, (ROME, 0.4), (MADRID, 0.4)), [control("other", [0.1, 0.1])], None)
    assert found is not None and (found.word, found.changed) == (1, True)


@pytest.mark.parametrize(("ratio", "changed"), [(0.02, False), (0.05, True), (None, True)])
def test_a_step_made_of_next_to_nothing_changes_no_mind(ratio: float | None, changed: bool) -> None:
    found = judge(BEFORE, WON, [control("other", [0.1, 0.1])], ratio)
    assert found is not None and (found.first, found.changed, found.stretched) == (True, changed, not changed)
