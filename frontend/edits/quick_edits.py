"""Quick edits of a reading's words: swap a word or a digit everywhere, leave out a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from frontend.edits.contexts import EditForm
from server.measurements.forms import sentences


def quick_edit(form: EditForm, fields: Mapping[str, str]) -> EditForm:
    """The form after the quick edit that `fields` ask for: `quick` is `swap`, or the number of a sentence to leave out,
    counted from 0. What cannot be done comes back as an error beside its field.
    """
    quick, word, other = (
        fields.get("quick", ""),
        fields.get("swap", "").strip(),
        fields.get("swap_with", "").strip(),
    )
    parts = sentences(form.text)
    form = replace(form, swap=word, swap_with=other)
    if quick == "swap":
        if not word:
            return replace(form, errors={"swap": "Which word, or which digit?"})
        changed = swapped(form.text, word, other)
        if changed == form.text:
            return replace(form, errors={"swap": f"“{word}” is not in these words."})
        return replace(form, text=changed, changed="1")
    if quick.isascii() and quick.isdigit() and len(quick) < 5 and int(quick) < len(parts) > 1:
        rest = "".join(parts[: int(quick)] + parts[int(quick) + 1 :]).strip()
        return replace(form, text=rest, changed="1")
    return replace(form, errors={"form": "There is no such sentence to leave out."})


def swapped(text: str, word: str, other: str) -> str:
    """The text with another word in each place of one: a whole word in any case, its capitals kept; of digits each."""
    start, end = (r"\b" if is_letter else "" for is_letter in (word[0].isalpha(), word[-1].isalpha()))
    pattern = re.compile(f"{start}{re.escape(word)}{end}", re.IGNORECASE)
    found = pattern.sub(lambda match: _like(match[0], word, other), text)
    return re.sub(r"(?<=\S) {2,}", " ", found) if not other else found


def _like(match: str, word: str, other: str) -> str:
    """The other word with the capitals of what it replaces, where those are not the word's own."""
    if match == word:
        return other
    if match.isupper() and len(match) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if match[:1].isupper() else other[:1].lower() + other[1:]
