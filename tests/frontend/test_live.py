"""The page's stream: what it sends for which events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bs4 import BeautifulSoup

from frontend import page_stream
from frontend.analysis.view import NO_WORDS
from frontend.page_stream import Live
from frontend.view_state import ViewState
from server.analyses.schema import Analysis, Delta, End, Event, Progress, Reading
from tests.frontend import made


def empty() -> Analysis:
    return made.analysis(status="queued", tokens=[], readings=[], lens=None, baselines=None, focus=None)


def running() -> Analysis:
    return made.analysis(status="running", readings=[], baselines=None)


def end(status: str = "done") -> Event:
    data = End.model_validate({"id": "abc123", "url": "/a/abc123", "status": status})
    return Event(99, "done" if status == "done" else "failed", data)


def targets(html: str) -> list[str]:
    return [str(tag["hx-target"]) for tag in BeautifulSoup(html, "html.parser").select("hx-partial")]


def settled(page: Live) -> Live:
    """The page after its first message."""
    page.fragments()
    return page


def test_the_first_message_brings_the_page_up_to_date() -> None:
    assert {"#status", "#text", "#panel", "#all-readings"} <= set(targets(Live(running()).fragments()))


def test_nothing_new_sends_nothing() -> None:
    assert settled(Live(running())).fragments() == ""


def test_a_word_of_the_pinned_token_sends_its_reading_alone() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "delta", Delta(position=12, sample=0, text="The fi")))
    page.apply(Event(2, "delta", Delta(position=12, sample=0, text="nal")))
    html = page.fragments()
    assert targets(html) == ["#reading-12"]
    assert "The final" in html


def test_a_word_of_another_token_sends_nothing() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "delta", Delta(position=3, sample=0, text="The fi")))
    assert page.fragments() == ""


def test_a_failed_reading_gives_way_to_the_words_of_the_next_try() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "reading", Reading(position=12, sample=0, error="The engine died.")))
    assert "The engine died." in page.fragments()
    page.apply(Event(2, "delta", Delta(position=12, sample=0, text="The final")))
    html = page.fragments()
    assert "The final" in html and "The engine died." not in html


def test_a_finished_reading_recolours_its_token() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "reading", made.reading(5, fve=0.62)))
    html = page.fragments()
    assert targets(html) == ["#tok-5"]
    assert "s6" in html


def test_the_lens_brings_the_curve() -> None:
    page = settled(Live(made.analysis(status="running", readings=[], lens=None), ViewState(t=12)))
    page.apply(Event(1, "lens", made.lens(len(made.CHAT))))
    assert set(targets(page.fragments())) == {"#layers-12", "#lens"}


def test_progress_sends_the_status_line() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "progress", Progress(stage="readings", done=3, total=34)))
    assert targets(page.fragments()) == ["#status"]


def test_tokens_bring_text_and_panel() -> None:
    page = settled(Live(empty()))
    page.apply(Event(1, "tokens", made.tokens()))
    assert {"#text", "#panel"} <= set(targets(page.fragments()))


def test_a_position_that_exists_only_with_the_reply_is_pinned_when_it_comes() -> None:
    page = Live(
        made.analysis(status="running", tokens=made.tokens()[:14], readings=[], lens=None), ViewState(t=20)
    )
    assert 'data-position="10"' in page.fragments()
    page.apply(Event(1, "tokens", made.tokens()))
    assert 'data-position="20"' in page.fragments()


def test_a_finished_reading_replaces_the_words_that_came_before() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "delta", Delta(position=12, sample=0, text="half a")))
    page.apply(Event(2, "reading", made.reading(12, text="A whole reading.")))
    html = page.fragments()
    assert "A whole reading." in html
    assert "half a" not in html


def test_a_failed_position_is_one_marked_token() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "reading", Reading(position=5, error="broken")))
    html = page.fragments()
    assert 'class="tok failed' in html


async def _collect(analysis: Analysis, events: list[Event], wanted: int | None) -> list[str]:
    async def no_words(_: Analysis) -> page_stream.Words:
        return NO_WORDS

    async def get() -> Analysis:
        return analysis

    async def source() -> AsyncIterator[Event]:
        for event in events:
            yield event

    return [part.decode() async for part in page_stream.stream(get, source(), ViewState(t=wanted), no_words)]


def test_a_stream_ends_with_done_however_the_analysis_ended() -> None:
    for status in ("done", "failed", "cancelled"):
        parts = asyncio.run(_collect(running(), [end(status)], 12))
        assert parts[-1] == "event: done\ndata: {}\n\n"


def test_a_stream_that_the_server_ends_early_is_to_be_opened_again() -> None:
    parts = asyncio.run(_collect(running(), [Event(1, "reading", made.reading(5))], 12))
    assert not any(part.startswith("event: done") for part in parts)


def test_many_events_at_once_are_one_message() -> None:
    events = [Event(p, "reading", made.reading(p)) for p in range(30)]
    parts = asyncio.run(_collect(running(), [*events, end()], 12))
    assert len(parts) <= 4


def test_an_error_of_the_events_ends_the_stream_with_that_error() -> None:
    async def broken() -> AsyncIterator[Event]:
        yield Event(1, "reading", made.reading(5))
        raise RuntimeError("the store is gone")

    async def run() -> list[list[Event]]:
        return [batch async for batch in page_stream.coalesced(broken())]

    try:
        asyncio.run(run())
    except RuntimeError as error:
        assert str(error) == "the store is gone"
    else:
        raise AssertionError("the error was swallowed")


def test_a_quiet_stream_is_pinged() -> None:
    async def quiet() -> AsyncIterator[Event]:
        await asyncio.Event().wait()
        yield end()

    async def run() -> list[Event]:
        batches = page_stream.coalesced(quiet(), ping=0.01)
        first = await anext(batches)
        await batches.aclose()
        return first

    assert asyncio.run(run()) == []


def test_line_ends_of_every_kind_stay_inside_one_message() -> None:
    assert (
        page_stream.message("a\r\nb\rc\nd\u2028e") == "data: a\ndata: b\ndata: c\ndata: d\u2028e\n\n".encode()
    )


def test_a_reading_with_line_ends_and_separators_cannot_break_the_stream() -> None:
    page = settled(Live(running(), ViewState(t=12)))
    page.apply(Event(1, "reading", made.reading(12, text="a\r\n\r\nevent: done\r\rb\u2028c")))
    sent = page_stream.message(page.fragments()).decode()
    assert all(line.startswith("data: ") for line in sent.rstrip("\n").split("\n"))
    assert "\r" not in sent
