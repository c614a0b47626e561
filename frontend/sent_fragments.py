"""Fragments that an open page was sent: each is sent again only when its HTML differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from frontend import templating


@dataclass(frozen=True)
class Sendable:
    """All that brings a page up to date: the <hx-partial> elements with the versions that they came with, oldest
    first.
    """

    version: int
    partials: tuple[tuple[int, str], ...]

    def since(self, version: int) -> str:
        """The elements that a page of this version has not."""
        return "".join(partial for came, partial in self.partials if came > version)


NOTHING = Sendable(0, ())


@dataclass(frozen=True)
class _Fragment:
    html: str
    partial: str
    """Empty for a part of another fragment, with which it was sent."""
    version: int


class SentFragments:
    """The HTML that an open page has, by the id of the element that it stands in."""

    def __init__(self) -> None:
        self._there: dict[str, _Fragment] = {}
        self._version = 0

    def changed(self, target: str, macro: str, context: object, swap: str = "outerMorph") -> Iterator[str]:
        """Render a fragment; yield the <hx-partial> that brings it to the page, if the page has another one."""
        html = templating.fragment(macro, context)
        before = self._there.get(target)
        if before is None or before.html != html:
            self._version += 1
            partial = str(templating.fragment("analysis/stream.partial", target, html, swap))
            self._there[target] = _Fragment(html, partial, self._version)
            yield partial

    def keep(self, target: str, macro: str, context: object) -> None:
        """Keep that the page has a fragment, as a part of another one."""
        self._there[target] = _Fragment(templating.fragment(macro, context), "", 0)

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Forget the fragments of these ids: another one has taken their place."""
        self._there = {target: there for target, there in self._there.items() if not gone(target)}

    def has(self, targets: Collection[str]) -> bool:
        """Return whether the page has some fragment for each of these ids."""
        return all(target in self._there for target in targets)

    def sendable(self) -> Sendable:
        """All that the page was sent and still has."""
        sent = sorted((each.version, each.partial) for each in self._there.values() if each.partial)
        return Sendable(self._version, tuple(sent))
