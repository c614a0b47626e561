"""The form that starts a study of prompts: as lines, as a table, or as a declaration, with messages beside fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from frontend.typed_form import FormError, TypedForm, sent
from server.api.problems import field_errors
from server.errors import BadInput, FieldError
from server.form_data import FormData
from server.studies import yaml_file
from server.studies.requests import Request

LONGEST_YAML = 200_000
"""Letters of a declaration that is read here: to read one takes long, a table does not."""
SOURCES = {
    "lines": "one prompt a line",
    "csv": "a table (CSV): its first line names the columns",
    "yaml": "a declaration (YAML), which says everything itself",
}
SUFFIXES = {"csv": "csv", "yaml": "yaml", "yml": "yaml", "txt": "lines"}
POSITIONS = {
    "last": "the last token of the prompt",
    "all": "every token",
    "digits": "every token with a digit in it",
    "before_digits": "the token before each digit",
    "token": "the tokens that are …",
    "regex": "the tokens where an expression finds …",
}
MEASURES = {
    "fve": ("held", "how much of the activation the words hold"),
    "names_token": ("names its token", "whether the words name the token that is read"),
    "names_next": ("names the next token", "whether they name the token after it"),
    "lens": ("layer of the next token", "the first layer at which the lens has the next token first"),
    "causal": ("causal score", "what a reading does in its activation’s place; this takes longer"),
}
"""What can be ticked: the name that it has in the study, and what it is."""
FIELDS = {
    **dict.fromkeys(("prompts", "rows", "csv", "yaml"), "text"),
    **dict.fromkeys(("generate", "generate.max_new_tokens"), "reply"),
    **{name: name for name in ("template", "seed", "pair", "title")},
    "positions": "place",
}
"""Where a field of the API stands in the form; the longest prefix wins, all else goes to the form's head."""


@dataclass(frozen=True)
class PromptsForm(TypedForm):
    """Values of the form."""

    FOLDED = ("title", "seed", "raw")
    text: str = ""
    source: str = "lines"
    title: str = ""
    template: str = ""
    raw: str = ""
    reply: str = "0"
    positions: str = "last"
    place: str = ""
    fve: str = ""
    names_token: str = ""
    names_next: str = ""
    lens: str = ""
    causal: str = ""
    word: str = ""
    expression: str = ""
    pair: str = ""
    seed: str = "0"

    @property
    def open(self) -> bool:
        """True once something was typed or is wrong."""
        return bool(self.errors or self.text)


def blank() -> PromptsForm:
    """The form of somebody who has not typed yet."""
    return PromptsForm(fve="1")


def read(data: FormData) -> PromptsForm:
    """The form as it was sent. A file stands in the place of what was typed, and its name says what it is."""
    form = sent(PromptsForm, data.fields)
    if "file" not in data.files:
        return form
    name, body = data.files["file"]
    source = SUFFIXES.get(name.rpartition(".")[2].lower(), form.source)
    try:
        return replace(form, text=body.decode("utf-8-sig").replace("\r\n", "\n"), source=source)
    except UnicodeDecodeError:
        return replace(
            form, errors={"text": "The file is not text in UTF-8: save it as that, and choose it again."}
        )


def request(form: PromptsForm) -> Request:
    """The request that the form asks for. Raises FormError with one message a field."""
    if form.errors:
        raise FormError(form.errors)
    if not form.text.strip():
        raise FormError({"text": "Type the prompts, or choose a file with them."})
    try:
        asked = _declared(form) if form.source == "yaml" else _asked(form)
        return yaml_file.REQUEST.validate_python(asked, strict=False)
    except BadInput as error:
        raise FormError(place(error.errors, error.detail, form)) from error
    except ValidationError as error:
        raise FormError(place(field_errors(error.errors()), "This declares no study.", form)) from error


def _declared(form: PromptsForm) -> dict[str, Any]:
    if len(form.text) > LONGEST_YAML:
        raise BadInput(
            "yaml",
            f"A declaration of more than {LONGEST_YAML:,} letters is not read here. Give its table alone, as CSV, or "
            "make the study with `nla-explorer study FILE`.",
        )
    asked = yaml_file.read(form.text, aliases=False)
    if isinstance(asked.get("csv"), str) and "\n" not in asked["csv"]:
        raise BadInput(
            "yaml",
            "The file that csv names does not come along: put its lines there, indented, under `csv: |`.",
        )
    more = {"pair": form.pair, "title": form.title.strip()}
    return {name: value for name, value in more.items() if value} | asked


def _asked(form: PromptsForm) -> dict[str, Any]:
    template = form.template if form.template.strip() else None
    lines = [line for line in form.text.splitlines() if line.strip()]
    asked: dict[str, Any] = {
        "kind": "prompts",
        "title": form.title.strip(),
        "pair": form.pair or None,
        "seed": form.seed.strip(),
        "raw": bool(form.raw),
        "template": template,
        "positions": form.positions,
        "measures": {name: measure for measure, (name, _) in MEASURES.items() if form[measure]},
    }
    if form.source == "csv":
        asked["csv"] = form.text
    elif template is None:
        asked["prompts"] = lines
    else:
        asked["rows"] = [{"prompt": line} for line in lines]
    if form.reply.strip() not in ("", "0"):
        asked["generate"] = {"max_new_tokens": form.reply.strip()}
    if form.positions in ("token", "regex"):
        asked["positions"] = {form.positions: form.place}
    if form.word.strip():
        asked["measures"][_name("says", form.word)] = {"token": form.word.strip()}
    if form.expression.strip():
        asked["measures"][_name("finds", form.expression)] = {"regex": form.expression}
    return asked


def _name(verb: str, what: str) -> str:
    return f"{verb} {' '.join(what.split())}"[:80]


def place(problems: Iterable[FieldError], detail: str, form: PromptsForm) -> dict[str, str]:
    """Sort errors by field; those without a field of the form go to its head, those of a declaration to its text."""
    errors: dict[str, str] = {}
    for problem in problems:
        if form.source == "yaml":
            known = problem.field in ("", "yaml")
            errors.setdefault("text", problem.detail if known else f"{problem.field}: {problem.detail}")
            continue
        errors.setdefault(_place(problem.field, form), problem.detail)
    return errors or {"form": detail}


def _place(path: str, form: PromptsForm) -> str:
    for name, typed in (("word", _name("says", form.word)), ("expression", _name("finds", form.expression))):
        if path.startswith(f"measures.{typed}"):
            return name
    parts = path.split(".")
    paths = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    found = next((FIELDS[each] for each in paths if each in FIELDS), "form")
    return "form" if found == "pair" and not form.pair else found
