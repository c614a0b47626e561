"""Fragments that an open page was sent: each is sent again only when its HTML differs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from frontend import templating


class SentFragments:
    """The HTML that one open page has, by the id of the element that it stands in."""

    def __init__(self) -> None:
        self._html: dict[str, str] = {}

    def changed(self, target: str, macro: str, context: object, swap: str = "outerMorph") -> Iterator[str]:
        """Render a fragment; yield the <hx-partial> that brings it to the page, if the page has another one."""
        html = templating.fragment(macro, context)
        if self._html.get(target) != html:
            self._html[target] = html
            yield str(templating.fragment("analysis/stream.partial", target, html, swap))

    def keep(self, target: str, macro: str, context: object) -> None:
        """Keep that the page has a fragment, as a part of another one."""
        self._html[target] = templating.fragment(macro, context)

    def has(self, targets: Collection[str]) -> bool:
        """Return whether the page has some fragment for each of these ids."""
        return all(target in self._html for target in targets)
