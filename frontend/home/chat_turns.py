"""The turns of a chat in the composer: from its fields to messages and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.analyses.schema import AnalysisRequest, Message

ROLES = ("user", "assistant", "system")
ADD, REMOVE = "add", "remove-"
"""Actions of the buttons beside the turns; after REMOVE comes the number of a turn."""
_FIELD = re.compile(r"turn-(\d{1,4})-(role|content)")


@dataclass(frozen=True)
class Turn:
    """One turn as it stands in the form."""

    role: str = "user"
    content: str = ""


@dataclass(frozen=True)
class Chat:
    """Fields of a chat: the `system` prompt, the `first` turn, those after it, and the beginning of
    the reply.
    """

    first: Turn
    system: str = ""
    turns: Sequence[Turn] = ()
    prefill: str = ""

    @classmethod
    def of(cls, asked: AnalysisRequest) -> Chat:
        """The fields of a request."""
        turns = [Turn(message.role, message.content) for message in asked.messages or []]
        prefill = turns.pop().content if asked.continue_final_message else ""
        system = turns.pop(0).content if len(turns) > 1 and turns[0].role == "system" else ""
        first = turns.pop(0) if turns else Turn()
        return cls(first, system, tuple(turns), prefill)

    @property
    def spoken(self) -> list[tuple[str, Turn]]:
        """Every message with the name of its field, in order."""
        spoken = [("system", Turn("system", self.system))] if self.system.strip() else []
        spoken += [("prompt", self.first)]
        spoken += [(field(n), turn) for n, turn in enumerate(self.turns)]
        return spoken + ([("prefill", Turn("assistant", self.prefill))] if self.prefill else [])

    @property
    def messages(self) -> list[Message]:
        """Return the messages for the API; with a `prefill`, the last message is to be continued."""
        return [Message(role=turn.role, content=turn.content) for _, turn in self.spoken]

    @property
    def wrong(self) -> dict[str, str]:
        """A message for each field that cannot be used."""
        blank = [name for name, turn in self.spoken if name != "prefill" and not turn.content.strip("\n")]
        empty = {
            name: "Type a prompt first." if name == "prompt" else "Type this turn, or remove it."
            for name in blank
        }
        odd = any(turn.role not in ROLES for _, turn in self.spoken)
        return empty | ({"form": f"A turn is one of {', '.join(ROLES)}."} if odd else {})


def field(n: int) -> str:
    """The name of the field of the n-th turn after the first."""
    return f"turn-{n}-content"


def read(fields: Mapping[str, str]) -> tuple[Turn, ...]:
    """The turns after the first, as they were sent."""
    found: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        if match := _FIELD.fullmatch(name):
            found.setdefault(int(match[1]), {})[match[2]] = value.replace("\r\n", "\n")
    return tuple(Turn(**found[n]) for n in sorted(found))


def changed(first: Turn, turns: Sequence[Turn], command: str) -> tuple[Turn, ...]:
    """The turns with one more, or one less. A new one is the other side's."""
    if command == ADD:
        last = [first, *turns][-1]
        return (*turns, Turn("user" if last.role == "assistant" else "assistant"))
    return tuple(turn for n, turn in enumerate(turns) if command != f"{REMOVE}{n}")
