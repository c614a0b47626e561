"""JSON of large answers without a stall: made in a thread, in steps short enough to let the event loop in
between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis, Reading, Token

_TOKENS = TypeAdapter(list[Token])
_READINGS = TypeAdapter(list[Reading])
_AT_A_TIME = 500
# Characters that JSON leaves as they are but that some splitters of lines take for the end of one.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


async def analysis_json(analysis: Analysis, **lists: Sequence[BaseModel]) -> bytes:
    """The answer of GET /api/analyses/{id}, with further `lists`, or others in the place of its own."""
    return await asyncio.to_thread(lambda: b"".join(_analysis_parts(analysis, lists)))


async def data_json(data: Any) -> str:
    """The data of an event, on one line whatever the text holds."""
    if isinstance(data, LensTable):
        return await asyncio.to_thread(lambda: _line(b"".join(data.json_parts())))
    if isinstance(data, list):
        return await asyncio.to_thread(lambda: _line(b"".join(_list_parts(_TOKENS, data))))
    if not isinstance(data, BaseModel):
        raise TypeError(f"an event cannot carry a {type(data).__name__}")
    return _line(data.model_dump_json().encode())


def _line(json: bytes) -> str:
    return (
        json.decode().translate(_LINE_ENDS) if b"\xc2\x85" in json or b"\xe2\x80" in json else json.decode()
    )


def _analysis_parts(analysis: Analysis, lists: Mapping[str, Sequence[BaseModel]]) -> Iterator[bytes]:
    head = analysis.model_dump(mode="json", exclude={"tokens", "readings", "lens", "tuned_lens", *lists})
    yield to_json(head, inf_nan_mode="null")[:-1]
    yield b',"tokens":'
    yield from _list_parts(_TOKENS, analysis.tokens)
    yield b',"readings":'
    yield from _list_parts(_READINGS, analysis.readings)
    for name, lens in (("lens", analysis.lens), ("tuned_lens", analysis.tuned_lens)):
        yield b',"%s":' % name.encode()
        yield from lens.json_parts() if lens is not None else (b"null",)
    for name, items in lists.items():
        yield b',"%s":[' % name.encode()
        for n, item in enumerate(items):
            yield b"," * bool(n) + item.model_dump_json().encode()
        yield b"]"
    yield b"}"


def _list_parts(adapter: TypeAdapter[Any], items: Sequence[BaseModel]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(items), _AT_A_TIME):
        part = adapter.dump_json(list(items[start : start + _AT_A_TIME]))
        yield (b"," if start else b"") + part[1:-1]
    yield b"]"
