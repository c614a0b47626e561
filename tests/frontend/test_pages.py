"""The pages, parsed as a browser would, at every stage of an analysis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.home import forms
from frontend.home.contexts import Home
from frontend.home.examples import EXAMPLES, SUGGESTED
from frontend.layout import Login, ModelsContext
from frontend.library import listing
from frontend.library.contexts import Library
from server.analyses.schema import Analysis, AnalysisRequest, Baselines, Message, Reading
from server.jobs.progress import Progress
from tests.frontend import made
from tests.frontend.parsed import READY, curve, one, page, words

LIMITS = forms.Limits(prompt_letters=9000, reply_tokens=300, samples=7, reading_tokens=90)
EVIL = "<script>alert(1)</script>\"'<img src=x onerror=alert(1)>"


def home(form: forms.Form, models: ModelsContext = READY) -> BeautifulSoup:
    context = Home(form=form, examples=EXAMPLES, recent=[], models=models, limits=LIMITS)
    return BeautifulSoup(templating.render("home/home.html", context), "html.parser")


def evil() -> Analysis:
    """Hostile text wherever the page shows text."""
    request = AnalysisRequest(messages=[Message(role="user", content=EVIL)])
    tokens = made.tokens([(EVIL, "user", "prompt", False), (" \u0642\u0637\x00\r", "user", "prompt", False)])
    readings = [made.reading(0, text=EVIL), Reading(position=1, error=EVIL)]
    fields = {"tokens": tokens, "readings": readings, "lens": made.lens(2), "error": EVIL, "status": "failed"}
    return made.analysis(request=request, focus=0, **fields)


class TestPanel:
    def test_a_score_stands_in_words_before_figures(self) -> None:
        panel = one(page(made.analysis(readings=[made.reading(10, fve=0.62, rank=1)])), "#panel")
        text = words(panel)
        assert text.index("Holds 62 % of the activation") < text.index("FVE")
        assert "Nearest of 34" in text

    def test_a_score_of_quantised_models_says_so_beside_it(self) -> None:
        versions = {"precision": "target=4bit,ar=8bit"}
        shown = one(page(made.analysis(readings=[made.reading(10)], versions=versions)), "#panel .score")
        assert (
            "Quantised: the target in 4 bits, the AR in 8 bits. "
            "The score is of these, not of the released weights." in words(shown)
        )

    def test_nothing_is_said_of_released_weights(self) -> None:
        assert not page(made.analysis()).select(".precision")

    def test_the_baselines_stand_beside_it(self) -> None:
        lines = [words(li) for li in page(made.analysis()).select(".baselines li")]
        assert lines == [
            "all readings of this text's content, on average: 52 % (of 26)",
            "those of what is not counted as content: template, special, first and outsized tokens: 20 % (of 8)",
            "shuffled within this text, each reading dealt to its other content tokens: none (\u221242 %)",
            "always answering the mean of its other content tokens: 4 %",
            "their own activation is the nearest of 26 content tokens, for 81 % of the readings",
        ]

    def test_baselines_of_an_earlier_version_say_that_they_are_over_the_template_too(self) -> None:
        kept = Baselines(shuffled_cos=0.5, shuffled_fve=-0.42, mean_cos=None, mean_fve=None, n=34)
        lines = [words(li) for li in page(made.analysis(baselines=kept)).select(".baselines li")]
        assert lines[2:] == [
            "shuffled within this text, each reading dealt to its other tokens, the template's included: "
            "none (\u221242 %)"
        ]

    def test_flags_are_sentences(self) -> None:
        assert "Early position." in words(one(page(made.analysis(), 5), ".flags"))

    def test_the_curve_follows_the_token_that_came_next(self) -> None:
        soup = page(made.analysis())
        assert words(one(soup, ".layers figcaption .q")) == "?"
        drawn = curve(soup)
        assert [len(drawn["series"][0][name]) for name in ("prob", "rank")] == [made.LAYERS] * 2
        assert drawn["read"] == 20

    def test_the_curve_has_a_table_twin(self) -> None:
        rows = page(made.analysis()).select(".layers tbody tr")
        assert len(rows) == made.LAYERS
        assert words(one(rows[-1], "th")) == "output"

    def test_the_last_position_follows_the_models_own_choice(self) -> None:
        soup = page(made.analysis(), len(made.CHAT) - 1)
        assert "the model's own first choice" in words(one(soup, ".layers figcaption"))

    def test_a_reading_that_is_being_written_shows_its_words(self) -> None:
        running = made.analysis(status="running", readings=[])
        soup = page(running, partials={(10, 0): "The final tok"})
        assert words(one(soup, "#reading-10 blockquote")) == "The final tok"

    def test_samples_are_listed(self) -> None:
        readings = [made.reading(10, sample=s, text=f"reading {s}") for s in range(3)]
        asked = made.analysis().request
        asked = asked.model_copy(update={"verbalise": asked.verbalise.model_copy(update={"samples": 3})})
        samples = page(made.analysis(readings=readings, request=asked)).select("#reading-10 .sample")
        assert [words(one(s, "h3")) for s in samples] == [f"Reading {n} of 3" for n in (1, 2, 3)]

    def test_a_failed_position_tells_why(self) -> None:
        soup = page(made.analysis(readings=[Reading(position=10, error="out of memory")]))
        assert "out of memory" in words(one(soup, "#reading-10"))

    def test_a_truncated_reading_says_so(self) -> None:
        soup = page(made.analysis(readings=[made.reading(10, truncated=True)]))
        assert "Cut short" in words(one(soup, "#reading-10"))

    def test_without_the_variance_the_cosine_speaks(self) -> None:
        soup = page(made.analysis(fve_variance=None, readings=[made.reading(10, fve=None, cos=0.91)]))
        assert "cosine 0.91" in words(one(soup, ".headline"))
        assert "FVE" not in words(one(soup, ".figures"))

    def test_neighbours_are_links(self) -> None:
        assert [a["href"] for a in page(made.analysis()).select(".panel > header .steps a")] == [
            "/a/abc123?t=9",
            "/a/abc123?t=11",
        ]


class TestStages:
    def test_before_the_tokens_the_prompt_stands_as_typed(self) -> None:
        fields: dict[str, Any] = {
            "tokens": [],
            "readings": [],
            "lens": None,
            "baselines": None,
            "focus": None,
        }
        soup = page(made.analysis(status="queued", progress=Progress(stage="queued", ahead=2), **fields))
        assert words(one(soup, ".untokenised")) == "Why do cats purr when they sleep?"
        assert "2 before this one" in words(one(soup, "#status"))

    def test_progress_counts_and_estimates(self) -> None:
        progress = Progress(stage="readings", done=31, total=57, seconds_left=42)
        status = one(page(made.analysis(status="running", progress=progress)), "#status")
        assert "31 of 57" in words(status)
        assert "about 40 s left" in words(status)
        assert one(status, "form")["action"] == "/a/abc123/cancel"

    def test_a_running_page_listens_and_a_finished_one_does_not(self) -> None:
        running = one(page(made.analysis(status="running"), 12), "#stream")
        assert running["hx-sse:connect"] == "/a/abc123/stream?t=12"
        assert running["hx-sse:close"] == "done"
        assert "hx-sse:connect" not in one(page(made.analysis()), "#stream").attrs

    def test_without_scripts_a_running_page_loads_itself_again(self) -> None:
        assert page(made.analysis(status="running")).select("noscript meta[http-equiv=refresh]")
        assert not page(made.analysis()).select("noscript meta[http-equiv=refresh]")

    def test_without_a_choice_the_stream_follows_the_focus(self) -> None:
        assert one(page(made.analysis(status="running")), "#stream")["hx-sse:connect"] == "/a/abc123/stream"

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_what_stopped_can_go_on(self, status: str) -> None:
        status_line = one(page(made.analysis(status=status, error="The engine died.")), "#status")
        assert one(status_line, "form")["action"] == "/a/abc123/continue"
        assert "The engine died." in words(status_line)

    def test_all_readings_can_be_read_without_scripts(self) -> None:
        rows = page(made.analysis()).select("#all-readings tbody tr")
        assert len(rows) == len(made.CHAT)
        assert "The final token is" in words(rows[0])


class TestHostileText:
    def test_nothing_of_it_becomes_markup(self) -> None:
        for position in (0, 1):
            soup = page(evil(), position)
            assert not soup.select("img")
            assert all(tag.get("src") for tag in soup.select("script"))
            assert not [t for t in soup.find_all() if any(name.startswith("on") for name in t.attrs)]

    def test_it_is_shown_as_it_is(self) -> None:
        soup = page(evil())
        assert words(one(soup, "#tok-0")) == EVIL
        assert words(one(soup, "#reading-0 blockquote")) == EVIL
        assert EVIL in words(one(soup, "#status"))

    def test_a_first_guess_stays_within_the_charts_attribute(self) -> None:
        lens = replace(made.lens(2), texts={0: EVIL})
        soup = page(evil().model_copy(update={"lens": lens}))
        assert curve(soup)["top"][-1].startswith("<script>")
        assert not soup.select(".layers script, .layers img")


class TestHome:
    def test_the_form_works_without_scripts(self) -> None:
        form = one(home(forms.Form()), "form.composer")
        assert (form["method"], form["action"]) == ("post", "/")
        assert words(one(form, "#prompt")) == SUGGESTED

    def test_every_example_is_one_click(self) -> None:
        buttons = home(forms.Form()).select("button[name=example]")
        assert [b["value"] for b in buttons] == [e.key for e in EXAMPLES]

    def test_messages_stand_beside_their_fields(self) -> None:
        soup = home(forms.Form(prompt=EVIL, errors={"prompt": "Too long.", "seed": "Not a number."}))
        assert one(soup, "#prompt")["aria-describedby"] == "error-prompt"
        assert words(one(soup, "#error-prompt")) == "Too long."
        assert "open" in one(soup, "details.more").attrs
        assert one(soup, "#prompt").get_text().strip() == EVIL

    def test_a_prompt_that_starts_with_a_line_break_keeps_it(self) -> None:
        assert ">\n\n\nx</textarea>" in templating.render(
            "home/home.html",
            Home(form=forms.Form(prompt="\n\nx"), examples=[], recent=[], models=READY, limits=LIMITS),
        )

    def test_loading_models_are_told_and_asked_again(self) -> None:
        line = one(home(forms.Form(), ModelsContext("p", "loading", "loading: the target")), "#models")
        assert "loading: the target" in words(line)
        assert line["hx-get"] == "/models"


def test_the_library_lists_and_searches() -> None:
    context = Library(
        q="cats", found=listing.found(0, "cats"), empty="Nothing holds these words.", models=READY
    )
    soup = BeautifulSoup(templating.render("library/library.html", context), "html.parser")
    assert one(soup, "#q")["value"] == "cats"
    assert "Nothing holds these words." in words(one(soup, "#results"))


def test_a_wrong_token_is_told_at_the_login() -> None:
    soup = BeautifulSoup(templating.render("login.html", Login("This is not it.", "/a/x")), "html.parser")
    assert words(one(soup, "#error-token")) == "This is not it."
    assert one(soup, "input[name=next]")["value"] == "/a/x"


def test_an_error_is_a_readable_page() -> None:
    html = templating.render("error.html", {"title": "Nothing here", "status": 404, "detail": EVIL})
    soup = BeautifulSoup(html, "html.parser")
    assert words(one(soup, "h1")) == "Nothing here"
    assert EVIL in words(one(soup, ".oops"))


class TestSamples:
    def several(self) -> BeautifulSoup:
        texts = ["It purrs of cats in winter.", "Cats, in winter light.", "A song of cats."]
        readings = [made.reading(12, sample=n, text=text) for n, text in enumerate(texts)]
        return page(made.analysis(readings=readings), 12)

    def test_words_that_most_samples_share_are_marked(self) -> None:
        marks = [words(mark) for mark in self.several().select(".reading blockquote mark")]
        assert marks == ["cats", "winter", "Cats", "winter", "cats"]

    def test_each_sample_can_be_gone_to(self) -> None:
        assert [a["data-sample"] for a in self.several().select(".sample")] == ["1", "2", "3"]


class TestNeighbours:
    def test_words_that_recur_nearby_are_marked(self) -> None:
        texts = {
            11: "Something about winter.",
            12: "Cats in winter.",
            13: "Cats again.",
            20: "Cats far away.",
        }
        readings = [made.reading(p, text=text) for p, text in texts.items()]
        near = one(page(made.analysis(readings=readings), 12), ".near")
        assert [words(mark) for mark in near.select("li mark")] == ["winter", "Cats"]

    def test_each_is_a_link_to_its_token(self) -> None:
        near = one(page(made.analysis(), 12), ".near")
        assert [a["href"] for a in near.select("li a")] == [f"/a/abc123?t={p}" for p in (10, 11, 13, 14)]

    def test_without_readings_there_is_nothing_to_open(self) -> None:
        assert one(page(made.analysis(readings=[]), 12), ".near").has_attr("hidden")


def test_the_length_of_an_activation_is_placed_among_the_others() -> None:
    # Norms grow with the position: the user's nine tokens are shorter, of 26.
    assert "length of the activation 212, longer than 35 % of this text's other content tokens" in words(
        one(page(made.analysis(), 12), ".where")
    )


def test_with_several_pairs_one_can_be_chosen_and_says_what_that_takes() -> None:
    ready = ModelsContext("a", "ready", "resident", several=True)
    offered = listing.offered(["a", "b"], ready, "b")
    context = Home(
        form=forms.Form(pair="b"), examples=[], recent=[], models=ready, limits=LIMITS, pairs=offered
    )
    soup = BeautifulSoup(templating.render("home/home.html", context), "html.parser")
    choices = one(soup, "select[name=pair]").select("option")
    assert [words(option) for option in choices] == ["a (resident)", "b (loaded first)"]
    assert [option["value"] for option in choices if option.has_attr("selected")] == ["b"]
    assert one(soup, "#models")["hx-trigger"] == "every 6s"
    assert listing.offered(["a"], ready, "") == []
