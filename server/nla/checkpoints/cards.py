"""Cards of the pairs that this server knows: of the demo, of the released pairs, of the user's own.

Nothing here needs the models' libraries: cards are read before those are imported.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from server.errors import CheckpointError
from server.nla.checkpoints.card import FILE, PairCard

_log = logging.getLogger(__name__)
DEMO = "smollm2-135m-l20"
DEMO_FILE = Path(__file__).parents[3] / "training" / "adapters" / FILE


def _released(fve: float) -> PairCard:
    return PairCard(
        trained_from_position=50,
        trained_on_template=False,
        made=(
            "AV and AR are by the method\u2019s authors: copies of the target (the AR of its first blocks), trained "
            "with reinforcement on real text, at positions from 50 on and never at tokens of the chat template.",
            f"Their model card gives an FVE of {fve:g}.",
        ),
        fails=(
            "The first positions of a text, tokens of the chat template, ends of turns and activations of huge norm "
            "are unlike its training data; they carry a mark.",
            "What its readings quote is not a quotation, though it carries most of the signal.",
        ),
    )


RELEASED: dict[str, PairCard] = {
    "qwen2.5-7b-l20": _released(0.752),
    "gemma3-12b-l32": _released(0.768),
    "gemma3-27b-l41": _released(0.763),
    "llama3.3-70b-l53": _released(0.80),
}
"""Cards of the pairs that their authors released; the figures are from their model cards."""


@cache
def demo_card() -> PairCard:
    """The demo pair's own, whose measurements `python -m training` writes. Raises CheckpointError."""
    return PairCard.read(DEMO_FILE)


class Cards:
    """The cards of all pairs. A pair of the user's file that brings its own weights has its own card alone: that of
    the file, or the one in its AV's folder.
    """

    def __init__(self, pairs_file: Path | None) -> None:
        self._known: dict[str, PairCard] = dict(RELEASED)
        self._tables: dict[str, dict[str, Any]] = {}
        """Tables of the pairs whose card is in a folder, if they have one."""
        with suppress(CheckpointError):  # the checks name what is wrong with it
            self._known[DEMO] = demo_card()
        for table in _tables(pairs_file):
            name = str(table["name"])
            if isinstance(table.get("card"), dict):
                with suppress(ValueError):  # the catalogue refuses it with the reason
                    self._known[name] = PairCard.of(table["card"])
            elif {"av", "ar"} & set(table):
                self._known.pop(name, None)
                self._tables[name] = table

    def get(self, name: str) -> PairCard | None:
        """The card of a pair; one in a folder is found as soon as the folder is there."""
        if name not in self._known and name in self._tables:
            path = card_path(self._tables[name])
            if path is not None:
                try:
                    self._known[name] = PairCard.read(path)
                except CheckpointError as error:  # loading the pair says so too
                    del self._tables[name]
                    _log.warning("%s", error.detail)
        return self._known.get(name)


def card_path(table: Mapping[str, Any]) -> Path | None:
    """The file of a pair's card beside its AV, given as in a `[[pair]]` table, if it is on this disk."""
    name, subfolder = str(table.get("av", "")), table.get("av_subfolder")
    file = f"{subfolder}/{FILE}" if subfolder else FILE
    folder = Path(name).expanduser()
    if folder.is_dir():
        path = folder / file
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):
        found = try_to_load_from_cache(name, file, revision=table.get("av_revision"))
        return Path(found) if isinstance(found, str) else None
    return None


def _tables(pairs_file: Path | None) -> list[dict[str, Any]]:
    if pairs_file is None:
        return []
    with suppress(OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # the catalogue says so
        tables = tomllib.loads(pairs_file.read_text()).get("pair", [])
        return [table for table in tables if isinstance(table, dict) and isinstance(table.get("name"), str)]
    return []
