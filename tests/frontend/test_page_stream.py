"""The page's stream: what it sends for which snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from bs4 import BeautifulSoup

from frontend import event_stream, page_stream
from frontend.analysis.view import NO_PANEL_DATA, PanelData
from frontend.page_stream import OpenPage
from frontend.shared_streams import SharedStreams
from frontend.view_state import ViewState
from server.analyses.schema import Analysis, Reading, Snapshot
from server.jobs.progress import Progress
from server.metrics import Metrics
from tests.frontend import made


def empty() -> Analysis:
    return made.analysis(status="queued", tokens=[], readings=[], lens=None, baselines=None, focus=None)


def running(**fields: object) -> Analysis:
    return made.analysis(**{"status": "running", "readings": [], "baselines": None, **fields})


def targets(html: str) -> list[str]:
    return [str(tag["hx-target"]) for tag in BeautifulSoup(html, "html.parser").select("hx-partial")]


def snapshot(analysis: Analysis, **writing: str) -> Snapshot:
    """The analysis while texts are being written, `p12` that of position 12."""
    return Snapshot(analysis, {(int(name[1:]), 0): text for name, text in writing.items()})


def settled(analysis: Analysis, position: int | None = None) -> OpenPage:
    """The page after its first message."""
    page = OpenPage(ViewState(t=position))
    page.fragments(snapshot(analysis))
    return page


def test_the_first_message_brings_the_page_up_to_date() -> None:
    html = OpenPage().fragments(snapshot(running()))
    assert {"#status", "#text", "#panel", "#all-readings"} <= set(targets(html))


def test_nothing_new_sends_nothing() -> None:
    assert settled(running()).fragments(snapshot(running())) == ""


def test_a_word_of_the_pinned_token_sends_its_reading_alone() -> None:
    html = settled(running(), 12).fragments(snapshot(running(), p12="The final"))
    assert targets(html) == ["#reading-12"]
    assert "The final" in html


def test_a_word_of_another_token_sends_nothing() -> None:
    assert settled(running(), 12).fragments(snapshot(running(), p3="The fi")) == ""


def test_a_failed_reading_gives_way_to_the_words_of_the_next_try() -> None:
    page = settled(running(), 12)
    failed = running(readings=[Reading(position=12, sample=0, error="The engine died.")])
    assert "The engine died." in page.fragments(snapshot(failed))
    html = page.fragments(snapshot(running(), p12="The final"))
    assert "The final" in html and "The engine died." not in html
    assert "#tok-12" in targets(html)


def test_a_finished_reading_recolours_its_token() -> None:
    html = settled(running(), 12).fragments(snapshot(running(readings=[made.reading(5, fve=0.62)])))
    assert targets(html) == ["#tok-5"]
    assert "s6" in html


def test_the_lens_brings_the_curve() -> None:
    page = settled(running(lens=None), 12)
    assert set(targets(page.fragments(snapshot(running())))) == {"#layers-12", "#lens", "#keep-12"}


def test_progress_sends_the_status_line() -> None:
    progress = Progress(stage="readings", done=3, total=34)
    assert targets(settled(running(), 12).fragments(snapshot(running(progress=progress)))) == ["#status"]


def test_an_analysis_that_waits_for_its_models_is_shown_as_waiting() -> None:
    waiting = empty().model_copy(update={"progress": Progress(stage="loading", done=0)})
    html = settled(empty()).fragments(snapshot(waiting))
    assert "is-queued" in html and "is-running" not in html


def test_tokens_bring_text_and_panel() -> None:
    assert {"#text", "#panel"} <= set(targets(settled(empty()).fragments(snapshot(running()))))


def test_a_position_that_exists_only_with_the_reply_is_pinned_when_it_comes() -> None:
    page = OpenPage(ViewState(t=20))
    assert 'data-position="10"' in page.fragments(snapshot(running(tokens=made.tokens()[:14], lens=None)))
    assert 'data-position="20"' in page.fragments(snapshot(running()))


def test_who_comes_later_is_sent_nothing_that_has_gone() -> None:
    page = OpenPage(ViewState(t=20))
    page.fragments(snapshot(running(tokens=made.tokens()[:14], lens=None)))
    read = running(tokens=made.tokens()[:14], lens=None, readings=[made.reading(3)])
    assert "#tok-3" in targets(page.fragments(snapshot(read)))
    assert "#tok-3" in targets(page.sendable().since(0))
    page.fragments(snapshot(running(readings=[made.reading(3)])))
    sent = targets(page.sendable().since(0))
    assert sorted(set(sent)) == sorted(sent)
    assert not [target for target in sent if target.startswith("#tok-") or target.endswith("-10")]
    assert targets(page.sendable().since(page.sendable().version)) == []


def test_a_part_is_not_sent_apart_from_what_it_came_with() -> None:
    page = settled(running(), 12)
    assert "#reading-12" not in targets(page.sendable().since(0))
    page.fragments(snapshot(running(), p12="half a"))
    sent = targets(page.sendable().since(0))
    assert sent.index("#panel") < sent.index("#reading-12") == len(sent) - 1


def test_a_finished_reading_replaces_the_words_that_came_before() -> None:
    page = settled(running(), 12)
    assert "half a" in page.fragments(snapshot(running(), p12="half a"))
    html = page.fragments(snapshot(running(readings=[made.reading(12, text="A whole reading.")])))
    assert "A whole reading." in html
    assert "half a" not in html


def test_a_failed_position_is_one_marked_token() -> None:
    broken = running(readings=[Reading(position=5, error="broken")])
    assert 'class="tok failed' in settled(running(), 12).fragments(snapshot(broken))


async def _collect(found: list[Analysis], wanted: int | None) -> list[str]:
    async def nothing(_: Analysis) -> PanelData:
        return NO_PANEL_DATA

    async def snapshots() -> AsyncGenerator[Snapshot]:
        for analysis in found:
            yield Snapshot(analysis)

    stream = page_stream.stream(
        SharedStreams(Metrics().watchers), "a", snapshots, ViewState(t=wanted), nothing
    )
    return [part.decode() async for part in stream]


def test_a_stream_ends_with_done_however_the_analysis_ended() -> None:
    for status in ("done", "failed", "cancelled"):
        parts = asyncio.run(_collect([running(), running(status=status)], 12))
        assert parts[-1] == "event: done\ndata: {}\n\n"


def test_a_stream_that_the_server_ends_early_is_to_be_opened_again() -> None:
    parts = asyncio.run(_collect([running(), running(readings=[made.reading(5)])], 12))
    assert not any(part.startswith("event: done") for part in parts)


def test_a_reading_with_line_ends_and_separators_cannot_break_the_stream() -> None:
    read = running(readings=[made.reading(12, text="a\r\n\r\nevent: done\r\rb\u2028c")])
    sent = event_stream.message(settled(running(), 12).fragments(snapshot(read))).decode()
    assert all(line.startswith("data: ") for line in sent.rstrip("\n").split("\n"))
    assert "\r" not in sent
