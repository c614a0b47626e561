"""Both replies of an edit, token by token, and the patched text as a text of its own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bs4 import BeautifulSoup

from server.analyses.schema import Analysis, AnalysisRequest
from server.interventions.continued import continued
from server.interventions.schema import Intervention
from tests.frontend import made
from tests.frontend.parsed import one, words
from tests.frontend.test_edit_routes import address, edit
from tests.frontend.test_edits import intervention, shown, spoken

__all__ = ["address"]
BEFORE = [(1, " Paris"), (2, ","), (3, " of"), (4, " course"), (5, ".")]
AFTER = [(9, " Madrid"), (2, ","), (4, " course"), (5, "."), (6, "\n")]


def replayed(before: list[Any] = BEFORE, after: list[Any] = AFTER, **fields: Any) -> Intervention:
    replay = {"kls": [4.0, 0.5, 0.25, 0.0, 1.0, 0.1], "null": "other", "n": 8, "null_kls": [0.2] * 6}
    first = spoken((" Paris", 0.77), text="".join(text for _, text in before), tokens=before)
    second = spoken((" Madrid", 0.5), text="".join(text for _, text in after), tokens=after)
    return intervention(replay=replay, before=first, after=second, **fields)


def test_tokens_that_both_have_stand_beside_each_other() -> None:
    rows = one(shown(replayed(), edit="edit1"), ".replay table tbody").select("tr")
    cells = [[words(cell) for cell in row.select("th, td")] for row in rows]
    assert [row[:2] for row in cells] == [
        ["·Paris", "·Madrid"],
        [",", ","],
        ["·of", ""],
        ["·course", "·course"],
        [".", "."],
        ["", "⏎"],
    ]
    assert [row[2] for row in cells] == ["4.00", "0.50", "0.25", "0.00", "1.00", ""]
    assert [row[3] for row in cells] == ["0.20"] * 5 + [""]


def test_the_strip_is_coloured_by_how_far_the_patch_moves_each_token() -> None:
    strip = one(shown(replayed(), edit="edit1"), ".replay .strip")
    assert [piece.get("class") for piece in strip.select("i")] == [
        ["s8"],
        ["s1"],
        ["s0"],
        ["s0"],
        ["s2"],
        [],
    ]
    assert [words(piece) for piece in strip.select(".apart b")] == ["·Madrid", "", "⏎"]


def test_equal_replies_are_called_so() -> None:
    assert "Both say the same." in words(one(shown(replayed(after=BEFORE), edit="edit1"), ".replay"))
    assert "Both say the same." not in words(one(shown(replayed(), edit="edit1"), ".replay"))


def test_what_was_kept_before_there_were_tokens_has_none() -> None:
    assert not shown(intervention(), edit="edit1").select(".replay")


@pytest.fixture
def analysis() -> Analysis:
    return made.analysis()


def last_prompt(analysis: Analysis) -> int:
    return max(t.position for t in analysis.tokens if t.kind == "prompt")


def test_a_chat_goes_on_with_the_patched_reply(analysis: Analysis) -> None:
    last = last_prompt(analysis)
    found = continued(analysis, replayed(until=last))
    assert found is not None and found.messages is not None and analysis.request.messages is not None
    assert found.messages[:-1] == analysis.request.messages
    assert (found.messages[-1].role, found.messages[-1].content) == ("assistant", " Madrid, course.\n")
    assert (found.continue_final_message, found.generate) == (True, None)
    later = continued(analysis, replayed(until=last + 2))
    assert later is not None and later.messages is not None
    own = "".join(t.text for t in analysis.tokens[last + 1 : last + 3])
    assert later.messages[-1].content == own + " Madrid, course.\n"


def test_a_reply_that_was_begun_and_a_raw_text_go_on_too(analysis: Analysis) -> None:
    begun = AnalysisRequest.model_validate(
        {
            "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "It is"}],
            "continue_final_message": True,
        }
    )
    last = last_prompt(analysis)
    found = continued(analysis.model_copy(update={"request": begun}), replayed(until=last))
    assert found is not None and found.messages is not None
    assert [m.content for m in found.messages] == ["Which?", "It is Madrid, course.\n"]
    raw = AnalysisRequest(text="It is")
    found = continued(analysis.model_copy(update={"request": raw}), replayed(until=last))
    assert found is not None and found.text == "It is Madrid, course.\n"


def test_within_the_prompt_there_is_nothing_to_read_again(analysis: Analysis) -> None:
    assert continued(analysis, replayed(until=last_prompt(analysis) - 1)) is None
    silent = continued(analysis, replayed(after=[], until=last_prompt(analysis)))
    assert silent is None


async def test_the_patched_text_is_read_in_one_press(client: httpx.AsyncClient, address: str) -> None:
    made_at = (await edit(client, address)).headers["location"]
    soup = BeautifulSoup((await client.get(made_at)).text, "html.parser")
    form = one(soup, ".replay form")
    answer = await client.post(str(form["action"]))
    assert answer.status_code == 303
    where = httpx.URL(answer.headers["location"])
    assert (where.path, where.params["a"]) == ("/compare", address.removeprefix("/a/"))
    again = (await client.get(f"/api/analyses/{where.params['b']}")).json()
    edited = (await client.get(f"/api/analyses/{where.params['a']}/interventions")).json()[-1]
    assert again["request"]["messages"][-1] == {"role": "assistant", "content": edited["after"]["text"]}
    assert (await client.get(str(where))).status_code == 200
    nothing = await client.post(f"{address}/edits/nothing/read")
    assert nothing.status_code == 404
