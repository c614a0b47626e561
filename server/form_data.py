"""Forms with files: multipart/form-data (RFC 7578) in a body that has been read whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import HTTP

from server.errors import BadInput

PARTS = 32
"""Parts of a form; nobody here asks for as many."""


@dataclass(frozen=True)
class FormData:
    """Fields as text; files as their names and bytes. Of a name that comes twice the last one counts."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def parse(content_type: str, body: bytes) -> FormData:
    """The form in a body. Raises BadInput for what is none."""
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        raise BadInput("file", "The form does not say what stands between its parts (boundary).")
    _, *parts = re.split(rb"(?:\A|\r\n)--" + re.escape(boundary.encode("latin-1", "replace")), body)
    if not parts or not parts[-1].startswith(b"--"):
        raise BadInput("file", "The form is cut short.")
    if len(parts) > PARTS:
        raise BadInput("file", f"The form has more than {PARTS} parts.")
    form = FormData()
    for part in parts[:-1]:
        _take(form, part.lstrip(b" \t").removeprefix(b"\r\n"))
    return form


def _take(form: FormData, part: bytes) -> None:
    head, _, content = part.partition(b"\r\n\r\n")
    message = BytesHeaderParser(policy=HTTP).parsebytes(head + b"\r\n\r\n")
    assert isinstance(message, EmailMessage)
    told = message["content-disposition"]
    name = told.params.get("name") if told is not None else None
    if not isinstance(name, str):
        raise BadInput("file", "A part of the form has no name.")
    file = told.params.get("filename")
    if file is None:
        form.fields[name] = content.decode("utf-8", "replace")
    elif file or content:  # without a choice a browser sends a file without name and content
        form.files[name] = (_printable(file), content)


def _parameter(value: str, name: str) -> str:
    message = EmailMessage(policy=HTTP)
    message["content-type"] = value.replace("\r", " ").replace("\n", " ")
    found = message["content-type"].params.get(name, "")
    return str(found)


def _printable(text: str) -> str:
    """Names are sent in UTF-8; the parser keeps what is not ASCII as surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
