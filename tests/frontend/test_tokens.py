"""The text token by token."""

from __future__ import annotations

import pytest

from server.analyses.schema import Reading
from tests.frontend import made
from tests.frontend.parsed import one, page, words


class TestTokens:
    def test_every_token_is_a_link_that_works_without_scripts(self) -> None:
        links = page(made.analysis()).select("#text a.tok")
        assert [a["href"] for a in links] == [f"/a/abc123?t={p}" for p in range(len(made.CHAT))]

    def test_the_pinned_one_alone_is_current(self) -> None:
        assert [a["id"] for a in page(made.analysis(), 20).select("#text [aria-current]")] == ["tok-20"]

    def test_without_a_choice_the_focus_is_pinned(self) -> None:
        assert one(page(made.analysis()), "#panel")["data-position"] == "10"

    def test_a_position_that_does_not_exist_pins_the_focus(self) -> None:
        assert one(page(made.analysis(), 999), "#panel")["data-position"] == "10"

    def test_rows_are_turns_and_the_template_stands_with_them(self) -> None:
        rows = page(made.analysis()).select("#text .row")
        assert [words(one(row, ".role")) for row in rows] == ["user", "assistantwritten by the model"]
        assert [len(row.select("a.tok")) for row in rows] == [14, 20]

    def test_a_raw_text_parts_into_prompt_and_reply(self) -> None:
        raw = [("Once", "text", "prompt", False), (" upon", "text", "generated", False)]
        rows = page(made.analysis(tokens=made.tokens(raw), readings=[], lens=None)).select("#text .role")
        assert [words(row) for row in rows] == ["prompt", "replywritten by the model"]

    def test_scores_colour_tokens(self) -> None:
        soup = page(made.analysis(readings=[made.reading(5, fve=0.62), made.reading(6, fve=-0.3)]))
        assert "s6" in one(soup, "#tok-5")["class"]
        assert "s0" in one(soup, "#tok-6")["class"]

    def test_several_samples_colour_by_their_mean(self) -> None:
        readings = [made.reading(5, sample=0, fve=0.2), made.reading(5, sample=1, fve=0.8)]
        assert "s5" in one(page(made.analysis(readings=readings)), "#tok-5")["class"]

    @pytest.mark.parametrize(
        ("readings", "state"),
        [
            ([], "waiting"),
            ([made.reading(5, cos=None, fve=None)], "scoring"),
            ([Reading(position=5, error="broken")], "failed"),
            ([made.reading(5)], "scored"),
        ],
    )
    def test_every_state_has_a_class(self, readings: list[Reading], state: str) -> None:
        assert state in one(page(made.analysis(status="running", readings=readings)), "#tok-5")["class"]

    def test_positions_that_nobody_asked_for_are_not_waiting(self) -> None:
        asked = made.analysis().request.model_copy(update={"positions": "generated"})
        soup = page(made.analysis(status="running", readings=[], request=asked))
        assert "skipped" in one(soup, "#tok-5")["class"]
        assert "waiting" in one(soup, "#tok-20")["class"]

    def test_template_tokens_are_dimmed(self) -> None:
        assert "special" in one(page(made.analysis()), "#tok-0")["class"]

    def test_flags_are_marked_and_named(self) -> None:
        token = one(page(made.analysis()), "#tok-5")
        assert token.select(".mark")
        assert "Early position" in str(token["title"])

    def test_a_glyph_over_three_tokens_is_shown_once_with_its_parts(self) -> None:
        glyph = one(page(made.analysis()), ".glyph")
        assert [a["id"] for a in glyph.select("a.tok")] == ["tok-25", "tok-26", "tok-27"]
        assert words(glyph) == "\U0001f43123"

    def test_a_part_of_a_glyph_is_named_after_it(self) -> None:
        assert words(one(page(made.analysis(), 26), "#panel h2")) == "\U0001f431 (part 2 of 3)"

    def test_blanks_are_drawn_and_line_breaks_break(self) -> None:
        soup = page(made.analysis())
        assert len(one(soup, "#tok-24").select(".ws.newline")) == 2
        assert one(soup, "#tok-31").select(".ws.tab")
        lines = one(soup, "#row-1").select(".text-line")
        assert [line.select(".tok")[-1]["id"] for line in lines] == ["tok-16", "tok-24", "tok-33"]

    def test_every_line_runs_in_its_own_direction(self) -> None:
        texts = [
            "<|im_start|>",
            "user",
            "\n",
            "cats",
            "\n",
            "\u0642\u0637",
            "!",
            "\n",
            "7",
            "\n",
            "\u05d7",
            " a",
            "<|im_end|>",
        ]
        template = {0, 1, 2, 12}
        rows = [
            (t, "template" if n in template else "user", "prompt", n in template) for n, t in enumerate(texts)
        ]
        soup = page(made.analysis(tokens=made.tokens(rows), readings=[], lens=None))
        lines = soup.select("#text .text-line")
        assert [line["dir"] for line in lines] == ["ltr", "ltr", "rtl", "ltr", "rtl"]
        assert [len(line.select("a.tok")) for line in lines] == [3, 2, 3, 2, 3]

    def test_a_line_without_letters_runs_as_its_turn_does(self) -> None:
        rows = [(t, "user", "prompt", False) for t in ("1", ".", "\n", "\u0642\u0637")]
        soup = page(made.analysis(tokens=made.tokens(rows), readings=[], lens=None))
        assert [line["dir"] for line in soup.select("#text .text-line")] == ["rtl", "rtl"]


class TestTurns:
    """Where one row ends and the next begins, in the templates of the models that have pairs."""

    @staticmethod
    def rows(*tokens: str) -> list[tuple[str, str]]:
        """Each token as `role:text`; `t` is the template, `a` the model's own reply."""
        roles = {"t": "template", "u": "user", "s": "system", "a": "assistant"}
        made_up = []
        for token in tokens:
            role, text = token.split(":", 1)
            kind = "generated" if role == "a" else "prompt"
            made_up.append((text, roles[role], kind, role == "t"))
        soup = page(made.analysis(tokens=made.tokens(made_up), readings=[], lens=None))
        return [
            (one(row, ".role").find(string=True) or "", one(row, ".tokens").get_text())
            for row in soup.select("#text .row")
        ]

    def test_chatml_with_a_system_turn_of_the_templates_own(self) -> None:
        own = ["t:<|im_start|>", "t:system", "t:\n", "t:Be", "t: kind", "t:<|im_end|>", "t:\n"]
        user = ["t:<|im_start|>", "t:user", "t:\n", "u:Hi", "t:<|im_end|>", "t:\n"]
        reply = ["t:<|im_start|>", "t:assistant", "t:\n", "a:Ho", "a:<|im_end|>"]
        assert self.rows(*own, *user, *reply) == [
            ("template", "<|im_start|>systemBe kind<|im_end|>"),
            ("user", "<|im_start|>userHi<|im_end|>"),
            ("assistant", "<|im_start|>assistantHo<|im_end|>"),
        ]

    def test_gemma(self) -> None:
        start = ["t:<bos>", "t:<start_of_turn>", "t:user", "t:\n", "u:Hi", "t:<end_of_turn>", "t:\n"]
        reply = ["t:<start_of_turn>", "t:model", "t:\n", "a:Ho"]
        assert [role for role, _ in self.rows(*start, *reply)] == ["user", "assistant"]

    def test_llama(self) -> None:
        head = ["t:<|start_header_id|>", "t:user", "t:<|end_header_id|>", "t:\n\n"]
        reply = ["t:<|start_header_id|>", "t:assistant", "t:<|end_header_id|>", "t:\n\n", "a:Ho"]
        assert self.rows("t:<|begin_of_text|>", *head, "u:Hi", "t:<|eot_id|>", *reply) == [
            ("user", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>Hi<|eot_id|>"),
            ("assistant", "<|start_header_id|>assistant<|end_header_id|>Ho"),
        ]

    def test_two_turns_of_one_role_are_two_rows(self) -> None:
        between = ["t:<|im_end|>", "t:\n", "t:<|im_start|>", "t:user", "t:\n"]
        assert len(self.rows("t:<|im_start|>", "t:user", "t:\n", "u:Hi", *between, "u:Ho")) == 2

    def test_a_template_without_words_parts_at_its_second_mark(self) -> None:
        assert self.rows("t:<start>", "u:Hi", "t:<end>", "t:<start>", "a:Ho") == [
            ("user", "<start>Hi<end>"),
            ("assistant", "<start>Ho"),
        ]

    def test_what_closes_the_last_turn_stays_with_it(self) -> None:
        assert len(self.rows("t:<start>", "u:Hi", "t:<end>")) == 1
