"""Editing a reading's words: the form, and what an edit led to."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.analysis.panel import pinned_panel
from frontend.analysis.view import View
from frontend.edits import edit_context, edit_form
from frontend.edits.contexts import EditForm
from frontend.edits.verdict import ordinal
from frontend.typed_form import FormError
from frontend.view_state import ViewState
from server.analyses.schema import AnalysisRequest
from server.interventions.schema import Control, Intervention, TargetToken, Verdict
from tests.frontend import made
from tests.frontend.parsed import one, words

PLACE = 10
FORM = {"text": "The final token is “dog”.", "mode": "replace", "alpha": "1", "delta": "original"}


def spoken(*top: tuple[str, float], prob: float = 0.5, **fields: Any) -> dict[str, Any]:
    """What the model says: its likeliest tokens, and the word that is watched."""
    watched = {"text": " Paris", "id": 7, "token": " Paris", "parts": [" Paris"], "prob": prob, "rank": 0}
    guesses = [(7 if text == " Paris" else n, text, p) for n, (text, p) in enumerate(top)]
    return {"top": guesses, "targets": [watched], "text": " and so on", "ended": False, **fields}


def control(kind: str, kl: float, **fields: Any) -> dict[str, Any]:
    """One control; of the random ones there are 16."""
    n = 16 if kind == "random" else 1
    interval = (kl / 2, kl * 2) if n > 1 else None
    common = {
        "kind": kind,
        "n": n,
        "kl": kl,
        "interval": interval,
        "kls": [0.1, 0.3, kl],
        "cos_original": 0.8,
    }
    return common | {"kept": n, "above": 0, "probs": [0.4], "text": " and on"} | fields


def intervention(**fields: Any) -> Intervention:
    """An edit at PLACE that has the model say Madrid for Paris."""
    after = spoken((" Madrid", 0.45), (" the", 0.1), prob=0.004, text=" Madrid, <b>of course</b>", ended=True)
    after["top"][0] = (9, " Madrid", 0.45)
    request = {"position": PLACE, "text": "The final token is “dog”.", "targets": [" Paris"], "until": 12}
    return Intervention.model_validate(
        {
            "id": "edit1",
            "url": "/a/abc123?t=10&edit=edit1",
            "analysis": "abc123",
            "created": "2026-11-03T12:00:00Z",
            "request": request,
            "pair": "smollm2-135m-l20",
            "layer": 20,
            "until": 12,
            "kl": 4.0,
            "kls": [1.0, 2.0, 4.0],
            "cos_original": 0.9,
            "score": {"cos": 0.9, "mse": 0.2, "fve": 0.45},
            "original": "The final token is “sleep”.",
            "before": spoken((" Paris", 0.77), prob=0.77),
            "after": after,
            "controls": [
                control("random", 0.2),
                control("unedited", 0.03),
                control(
                    "other", 1.9, n=4, kept=0, interval=(0.95, 3.8), each_probs=[[0.2], [0.6], [0.5], [0.3]]
                ),
            ],
            "sweep": [],
            "versions": {},
            "seconds": 1.5,
            **fields,
        }
    )


def shown(*edited: Intervention, edit: str | None = None, **fields: Any) -> BeautifulSoup:
    """The panel of PLACE."""
    view = View(made.analysis(**fields), ViewState(t=PLACE, edit=edit), edits=edited)
    return BeautifulSoup(templating.fragment("analysis/panel.panel", pinned_panel(view)), "html.parser")


def test_the_form_begins_with_the_reading_and_the_models_own_next_token() -> None:
    form = one(shown(), f"#edits-{PLACE} form")
    assert one(form, "textarea").get_text().lstrip("\n") == made.READING
    assert [box["value"] for box in form.select("[name^=target-][checked]")] == [" sleep"]
    assert one(form, "[name=mode] [selected]")["value"] == "replace"
    assert form["action"].startswith(f"/a/abc123/edit?t={PLACE}")


def test_the_model_goes_on_where_the_prompt_ends_or_at_the_token() -> None:
    options = one(shown(), "[name=until]").select("option")
    assert [option["value"] for option in options] == ["16", str(PLACE)]


def test_in_the_reply_it_goes_on_at_the_token_alone() -> None:
    view = View(made.analysis(), ViewState(t=20))
    assert [end for end, _ in edit_context.edit_context(view, 20).ends] == ["20"]


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({}, False),
        ({"lens": None}, True),
        ({"readings": [], "status": "running"}, True),
        ({"readings": [], "status": "cancelled"}, False),
        ({"readings": [], "request": AnalysisRequest(text="x", positions=[1])}, False),
    ],
)
def test_it_is_offered_once_there_is_something_to_edit(fields: dict[str, Any], hidden: bool) -> None:
    assert one(shown(**fields), f"#edits-{PLACE}").has_attr("hidden") is hidden


def test_nothing_is_open_until_an_edit_is_looked_at() -> None:
    soup = shown(intervention())
    assert not one(soup, ".edits > details").has_attr("open")
    assert soup.select(".edited") == []
    assert one(soup, ".earlier a")["href"] == f"/a/abc123?t={PLACE}&edit=edit1"


WON = {"word": 1, "first": True, "others": 16, "above": 0, "unedited": False, "changed": True}
TWO = {"text": " Madrid", "id": 9, "token": " Madrid", "parts": [" Madrid"], "rank": 0}


def judged(verdict: dict[str, Any] | None, **fields: Any) -> Intervention:
    """An edit that was judged by the word Madrid."""
    found = intervention(**fields)
    for said, prob in ((found.before, 0.002), (found.after, 0.45)):
        said.targets.append(TargetToken.model_validate(TWO | {"prob": prob}))
    found.verdict = None if verdict is None else Verdict.model_validate(WON | verdict)
    return found


def compared(found: Intervention) -> str:
    """The sentences beside the verdict."""
    return words(one(shown(found, edit="edit1"), ".edited > .compared"))


def test_a_change_of_mind_is_said_in_words_beside_the_other_readings() -> None:
    found = judged({}, controls=[control("other", 0.2, n=16), control("random", 0.2, above=1)])
    soup = shown(found, edit="edit1")
    assert one(soup, ".edits > details").has_attr("open")
    verdict = words(one(soup, ".verdict"))
    assert verdict.startswith("The model changes its mind. After")
    assert "·Madrid (45 %) instead of ·Paris (77 %)." in verdict
    assert compared(found) == (
        "·Madrid goes from 0.2 % to 45 %. None of 16 other readings, turned to the same angle, makes it as likely "
        "(p ≈ 0.06, the least that 16 can show). None of 16 other readings moves it as far. "
        "The floor: 1 of 16 random directions moves it as far."
    )


def test_a_mind_that_is_kept_is_said_too() -> None:
    same = judged({"first": False, "changed": False}, after=spoken((" Paris", 0.7)))
    verdict = words(one(shown(same, edit="edit1"), ".verdict"))
    assert verdict.startswith("The model keeps its mind.")
    assert "still says ·Paris: 70 %, where it was 77 %." in verdict


@pytest.mark.parametrize(
    ("verdict", "said", "beside"),
    [
        (
            {"above": 3, "changed": False},
            "The model says a watched word, but other readings have it said as well.",
            "3 of 16 other readings, turned to the same angle, make it as likely (p ≈ 0.24).",
        ),
        (
            {"first": False, "changed": False},
            "The model does not change its mind to a watched word.",
            "None of 16 other readings, turned to the same angle, makes it as likely",
        ),
        (
            {"stretched": True, "changed": False},
            "The model says a watched word, but the edit is nearly nothing, stretched.",
            "None of 16 other readings, turned to the same angle, makes it as likely",
        ),
        (
            {"unedited": True, "changed": False},
            "The model says a watched word, but other readings have it said as well.",
            "The reading as it is makes it as likely.",
        ),
    ],
)
def test_what_is_no_change_of_mind_is_not_called_one(verdict: dict[str, Any], said: str, beside: str) -> None:
    found = judged(verdict)
    assert words(one(shown(found, edit="edit1"), ".verdict")).startswith(f"{said} After")
    assert beside in compared(found)


def test_without_a_watched_word_that_could_win_there_is_no_verdict() -> None:
    found = intervention()
    verdict = words(one(shown(found, edit="edit1"), ".verdict"))
    assert verdict.startswith("After ") and "mind" not in verdict
    assert compared(found).startswith(
        "No word is watched but what the model says anyway, so this is no verdict"
    )


def test_distance_alone_is_not_called_an_effect_or_none() -> None:
    far = [control("random", 4.5, above=16), control("other", 5.0, n=16, above=16)]
    said = compared(intervention(controls=far))
    assert (
        "16 of 16 other readings move it as far. The floor: 16 of 16 random directions move it as far."
        in said
    )
    assert "effect" not in said


def test_an_edit_of_an_earlier_version_asks_to_be_patched_again() -> None:
    older = judged(None, controls=[control("random", 0.2), control("other", 1.9, n=4)])
    assert compared(older).startswith("This was kept by an earlier version")


def test_how_many_were_tried_stands_beside_the_verdict() -> None:
    tried = [intervention(id=f"edit{n}") for n in range(4)]
    soup = shown(*tried, edit="edit2")
    assert "The 3rd of 4 edits at this token: the more are tried" in words(one(soup, ".edited > .compared"))
    assert "at this token: the more" not in compared(intervention())


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_numbers_have_their_endings(n: int, said: str) -> None:
    assert ordinal(n) == said


@pytest.mark.parametrize(("ratio", "warned"), [(0.02, True), (0.05, False), (0.3, False), (None, False)])
def test_a_step_that_is_nearly_nothing_is_warned_of(ratio: float | None, warned: bool) -> None:
    request = {"position": PLACE, "text": "x", "mode": "steer", "alpha": 0.5, "delta": "original"}
    soup = shown(intervention(request=request, delta_ratio=ratio), edit="edit1")
    assert bool(soup.select(".edited > .stretched")) is warned
    assert ("‖Δ‖ is" in words(one(soup, ".edited"))) is (ratio is not None)


def test_what_onwards_does_later_is_said() -> None:
    request = {"position": PLACE, "text": "x", "scope": "onwards"}
    soup = shown(intervention(request=request), edit="edit1")
    assert "All of them then point the same way, each as long as it was." in words(one(soup, ".edited"))
    soup = shown(intervention(request=request | {"mode": "steer", "alpha": 0.5}), edit="edit1")
    assert "Each step is 0.50 times as long as that token's own activation." in words(one(soup, ".edited"))


def test_the_table_sets_the_edit_beside_every_control() -> None:
    rows = [
        [words(cell) for cell in row.select("th, td")]
        for row in one(
            shown(intervention(), edit="edit1"), "[aria-label='The edit beside its controls']"
        ).select("tr")
    ]
    assert rows == [
        ["patched in", "moved", "first choice", "·Paris"],
        ["nothing", "–", "–", "77 %"],
        ["these words", "4.00", "changed", "0.4 %"],
        ["16 random directions, a floor", "0.20 0.10 to 0.40", "16 keep it", "40 %"],
        ["the reading as it is", "0.03", "kept", "40 %"],
        ["4 other tokens' readings", "1.90 0.95 to 3.80", "0 keep it", "40 % up to 60 %"],
    ]


def test_a_watched_word_of_several_tokens_is_named_so() -> None:
    found = intervention()
    found.before.targets[0].text, found.before.targets[0].parts = " 168", [" ", "1", "6", "8"]
    context = edit_context.result(View(made.analysis(), ViewState(t=PLACE)), found)
    assert context.watched == ["·168, first of 4 tokens"]


def test_what_the_model_goes_on_to_say_is_text() -> None:
    said = [words(p) for p in shown(intervention(), edit="edit1").select(".goes-on")]
    assert said == ["… and so on …", "… Madrid, <b>of course</b>"]


def test_the_edit_is_scored_beside_the_reading_as_it_is() -> None:
    said = words(one(shown(intervention(), edit="edit1"), ".edited > .aside"))
    assert "holds 45 % of the activation; the reading as it is: 23 %." in said


def test_the_form_shows_the_edit_that_is_looked_at() -> None:
    request = {"position": PLACE, "text": "Other.", "mode": "steer", "alpha": -0.5, "delta": "activation"}
    made_ = intervention(request=request | {"targets": [" a", "b"]}, until=PLACE)
    form = one(shown(made_, edit="edit1"), ".edits form")
    assert one(form, "textarea").get_text().lstrip("\n") == "Other."
    assert [one(form, f"[name={name}]")["value"] for name in ("alpha", "watch")] == ["-0.5", ""]
    assert [box["value"] for box in form.select("[name^=target-][checked]")] == [" a", "b"]
    chosen = [one(form, f"[name={name}] [selected]")["value"] for name in ("mode", "delta", "until")]
    assert chosen == ["steer", "activation", str(PLACE)]


def test_an_end_that_a_script_asked_for_is_named() -> None:
    chosen = one(shown(intervention(), edit="edit1"), "[name=until] [selected]")
    assert (chosen["value"], words(chosen)) == ("12", "<|im_end|>")


@pytest.mark.parametrize("until", ["\u00b2", "9" * 5000, "99", "-1", "x"])
def test_an_end_that_is_none_comes_back_with_the_rest_of_the_form(until: str) -> None:
    view = View(made.analysis(), ViewState(t=PLACE))
    form = EditForm(until=until, errors={"text": "Write something."})
    assert edit_context.edit_context(view, PLACE, form).ends[-1] == (until, "?")
    edit_form.request(edit_form.read(FORM | {"until": until, "sample": until}), PLACE)


def test_an_edit_of_another_token_is_not_shown() -> None:
    assert shown(intervention(), edit="another").select(".edited") == []


def test_a_strength_that_nobody_sees_is_not_read() -> None:
    assert edit_form.request(edit_form.read(FORM | {"alpha": "much"}), PLACE).alpha is None


def test_a_form_becomes_a_request() -> None:
    form = edit_form.read(FORM | {"watch": " ·Paris, Rome ,,␣Oslo", "until": "12", "text": " a\r\nb "})
    asked = edit_form.request(form, PLACE)
    assert (asked.position, asked.text, asked.until) == (PLACE, "a\nb", 12)
    assert asked.targets == [" Paris", "Rome", " Oslo"]


def test_the_likeliest_tokens_are_offered_to_be_watched_by_one_click() -> None:
    form = one(shown(), f"#edits-{PLACE} form")
    boxes = {words(label): one(label, "input") for label in form.select(".watching label:has(.q)")}
    assert list(boxes) == [
        "·sleep",
        "sleep",
        "⏎",
        "·the",
        "?",
    ]  # none that a form or a keyboard cannot give back
    sent = {box["name"]: box["value"].replace("\n", "\r\n") for name, box in boxes.items() if name in "⏎?"}
    assert edit_form.request(edit_form.read(FORM | sent), PLACE).targets == ["\n", "?"]


def test_of_a_watched_word_the_other_variant_is_offered() -> None:
    form = one(shown(intervention(), edit="edit1"), f"#edits-{PLACE} form")
    boxes = [
        (words(label), one(label, "input").has_attr("checked")) for label in form.select("label:has(.q)")
    ]
    assert boxes[:2] == [("·Paris", True), ("Paris", False)]


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("text", "  ", "text"),
        ("alpha", "much", "alpha"),
        ("alpha", "1e9", "alpha"),
        ("alpha", "nan", "alpha"),
        ("alpha", "50", "alpha"),
        ("mode", "shout", "form"),
        ("delta", "x", "form"),
        ("scope", "x", "form"),
        ("watch", "a,b,c,d,e,f,g", "watch"),
        ("watch", "x" * 101, "watch"),
        ("text", "x" * 20_001, "text"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(field: str, value: str, place: str) -> None:
    with pytest.raises(FormError) as caught:
        edit_form.request(edit_form.read(FORM | {"mode": "steer", "sweep": "1", field: value}), PLACE)
    assert set(caught.value.errors) == {place}


@pytest.mark.parametrize("field", ["text", "alpha", "until", "watch", "form"])
def test_every_error_is_seen(field: str) -> None:
    view = View(made.analysis(), ViewState(t=PLACE))
    context = edit_context.edit_context(view, PLACE, EditForm(errors={field: "That cannot be."}))
    soup = BeautifulSoup(templating.fragment("edits/form.edit", context), "html.parser")
    assert one(soup, ".edits > details").has_attr("open")
    assert [words(error) for error in soup.select(".error")] == ["That cannot be."]


@pytest.mark.parametrize(
    ("field", "place"), [("generate.max_new_tokens", "form"), ("targets.0", "watch"), (None, "form")]
)
def test_the_servers_errors_find_their_place(field: str | None, place: str) -> None:
    assert edit_form.misplaced(field, "No.") == {place: "No."}


STRENGTH = {"alpha": 0.5, "kl": 2.0, "first": (9, " Madrid", 0.45), "probs": [0.004]}
AT_RANDOM = {"random_kl": 0.3, "random_interval": (0.1, 0.6), "random_probs": [0.7]}


def test_other_strengths_stand_beside_random_directions_of_theirs() -> None:
    request = {"position": PLACE, "text": "x", "mode": "steer", "alpha": 1.0, "targets": [" Paris"]}
    others = {"other_kls": [0.5, 0.9], "other_probs": [[0.01], [0.03]]}
    strengths = [STRENGTH | AT_RANDOM | others, STRENGTH | AT_RANDOM | {"alpha": 1.0, "kl": 4.0}]
    soup = shown(intervention(request=request, sweep=strengths), edit="edit1")
    table = one(soup, "[aria-label='The edit at other strengths']")
    rows = [[words(cell) for cell in row.select("th, td")] for row in table.select("tbody tr")]
    assert rows[0] == ["0.5", "2.00", "0.70", "0.30 0.10 to 0.60", "·Madrid", "0.4 % up to 3.0 %"]
    assert [row.get("class") for row in table.select("tbody tr")] == [None, ["output"]]


def test_a_sweep_is_drawn_beside_random_directions_and_other_readings() -> None:
    request = {"position": PLACE, "text": "x", "mode": "steer", "alpha": 1.0, "targets": [" Paris"]}
    others = {"other_kls": [0.5, 0.9], "other_probs": [[0.01], [0.03]]}
    others |= {"old_first": 0.25, "elsewhere": 0.5}
    strengths = [
        STRENGTH | AT_RANDOM | others | {"alpha": alpha, "kl": kl}
        for alpha, kl in ((2.0, 4.0), (0.5, 1.0), (1.0, 2.0))
    ]
    soup = shown(intervention(request=request, sweep=strengths), edit="edit1")
    moved, watched = soup.select(".dose svg")
    (line,) = moved.select("polyline")
    places = [tuple(map(float, place.split(","))) for place in str(line["points"]).split()]
    assert [x for x, _ in places] == [42, 166, 290]  # ½, 1 and 2 are equally far apart
    assert [round((156 - y) / (156 - 24), 2) for _, y in places] == [0.25, 0.5, 1]
    assert len(moved.select("circle")) == 6 and len(moved.select("polygon")) == 1
    heights = {
        str(line["class"][0]): {float(place.split(",")[1]) for place in str(line["points"]).split()}
        for line in watched.select("polyline")
    }
    assert heights["old"] == {123.0} and heights["elsewhere"] == {
        90.0
    }  # ¼ and ½ of the way up from 156 to 24
    assert "·Paris" in words(one(soup, ".dose figcaption"))


@pytest.mark.parametrize("alphas", [[0.5, 1.0], [-0.5, 0.5, 1.0]])
def test_too_few_strengths_or_both_signs_are_not_drawn(alphas: list[float]) -> None:
    request = {"position": PLACE, "text": "x", "mode": "steer", "alpha": 1.0, "targets": [" Paris"]}
    strengths = [STRENGTH | AT_RANDOM | {"alpha": alpha} for alpha in alphas]
    assert shown(intervention(request=request, sweep=strengths), edit="edit1").select(".dose") == []


def test_the_wish_for_other_strengths_stays_in_the_form() -> None:
    request = {"position": PLACE, "text": "x", "mode": "steer", "alpha": 1.0, "sweep": [0.5, 1.0]}
    soup = shown(intervention(request=request), edit="edit1")
    assert one(soup, "[name=sweep]").has_attr("checked")


def test_a_sweep_goes_around_the_strength_that_is_asked_for() -> None:
    asked = edit_form.request(edit_form.read(FORM | {"mode": "steer", "alpha": "0.4", "sweep": "1"}), PLACE)
    assert asked.sweep == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])


@pytest.mark.parametrize("fields", [{"mode": "steer"}, {"mode": "replace", "sweep": "1"}])
def test_without_a_wish_or_a_use_there_is_none(fields: dict[str, str]) -> None:
    assert edit_form.request(edit_form.read(FORM | fields), PLACE).sweep == []


def test_a_single_token_has_no_way_along_the_text() -> None:
    short = intervention(kls=[4.0], controls=[Control.model_validate(control("random", 0.2, kls=[0.2]))])
    assert shown(short, edit="edit1").select(".edited .table") == []
    assert len(shown(intervention(), edit="edit1").select(".edited .table tbody tr")) == 3
