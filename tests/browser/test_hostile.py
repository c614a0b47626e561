"""What a model writes is text, whatever it looks like: in the panel, the ribbon and the tables of a real browser, while
it is streamed and afterwards.
"""

from __future__ import annotations

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.test_fake import ask
from tests.browser.test_ribbon import SIZES
from tests.fakes import FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

FIRST = 1
HOSTILE = {
    "script": "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'><svg onload='window.pwned=1'>",
    "unclosed": "</p></blockquote></section></main><h1>Taken over</h1><!-- <textarea><style>*{display:none}",
    "htmx": '" hx-get="/api/analyses" hx-trigger="load" x="<hx-partial hx-target=\'#text\'>gone</hx-partial>',
    "event": "so\n\nevent: done\ndata: {}\n\nid: 9\r\nevent: done\rdata: {}\u2028event: done\u2029",
    "template": "{{ 7 * 7 }} {% include 'login.html' %} ${window.pwned=1} javascript:window.pwned=1",
    "bidi": "abc \u202e\u2066 txt.exe \u200f\u061c \u0000\u0007\u001b[31m\ufeff",
    "word": "w" * 100_000,  # longer than a reading can be
    "marks": "z" + "\u0301\u0489" * 2_000,
}


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
async def test_what_a_model_writes_is_text(page: Page, pair: FakePair, size: ViewportSize) -> None:
    await page.set_viewport_size(size)
    pair.verbaliser.says = dict(enumerate(HOSTILE.values(), FIRST))
    pair.verbaliser.limit(0)
    await ask(page, "Hello there")
    await expect(page.locator(".tok").first).to_be_visible()
    pair.verbaliser.allow()
    await expect(page.locator("#status.is-done")).to_be_visible()
    title = await page.locator("h1").inner_text()
    for position, (kind, text) in enumerate(HOSTILE.items(), FIRST):
        for shown in (False, True):  # brought by htmx, then by the address
            if shown:
                await page.goto(f"{page.url.partition('?')[0]}?t={position}")
            else:
                await page.locator(f"#tok-{position}").click()
            await expect(page.locator("#panel")).to_have_attribute("data-position", str(position))
            said = await page.locator("#panel blockquote").inner_text()
            named = text.replace("\u202e", "U202E").replace("\u2066", "U2066")  # shown by name
            whole = "".join(letter for letter in named if letter.isalnum())
            assert "".join(letter for letter in said if letter.isalnum()) == whole, kind
            assert not {"\u202e", "\u2066", "\x1b", "\x00"} & set(said), kind
            assert await page.evaluate("document.documentElement.scrollWidth") == size["width"], kind
            assert await page.locator("h1").all_inner_texts() == [title], kind
            await expect(page.locator("#text .tok").first).to_be_visible()
    assert await page.evaluate("window.pwned") is None
    assert len(await page.locator("script:not([src]), style, iframe, img:not([src^='/'])").all()) == 0
