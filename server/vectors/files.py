"""Vectors in files: safetensors and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from server.errors import BadInput
from server.vectors.schema import Number, UploadedJson, WholeVector

TENSOR = "vector"
"""The name of the tensor in the files that are written here."""
SHOWN = 8
"""Names of tensors that a message lists."""
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NUMBERS: TypeAdapter[list[float]] = TypeAdapter(list[Number])
Values = NDArray[np.float64]


def read(data: bytes, tensor: str | None) -> Values:
    """The vector [d] in a file, JSON (a list, or `values`) or safetensors, by what it begins with; `tensor` names one
    of several. Raises BadInput on `file` or `tensor`.
    """
    start = data.lstrip()[:1]
    if start in (b"[", b"{") and b"\0" not in data[:8]:  # safetensors begin with a length, which has zeros
        return _json(data, as_list=start == b"[")
    return _safetensors(data, tensor)


def _json(data: bytes, *, as_list: bool) -> Values:
    try:
        numbers = _NUMBERS.validate_json(data) if as_list else UploadedJson.model_validate_json(data).values
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f" at {place}" if place else ""
        raise BadInput(
            "file",
            f"As JSON it should be a list of finite numbers, or an object whose `values` are one{where}: "
            f"{first['msg']}.",
        ) from error
    return np.asarray(numbers, np.float64)


def _safetensors(data: bytes, wanted: str | None) -> Values:
    try:
        found: Mapping[str, Mapping[str, Any]] = dict(
            deserialize(data)  # type: ignore[no-untyped-call]
        )
    except SafetensorError as error:
        raise BadInput(
            "file",
            f"This is neither JSON nor a whole safetensors file ({error}). Save it again, for example with "
            "safetensors.numpy.save_file; pickled files (.pt, .pth, .npy of objects) are never read.",
        ) from error
    name = _chosen(list(found), wanted)
    tensor = found[name]
    dtype, shape = str(tensor["dtype"]), list(tensor["shape"])
    if dtype not in _DTYPES:
        raise BadInput("file", f"The tensor is {dtype}; it should be one of {', '.join(_DTYPES)}.")
    if len(shape) not in (1, 2) or shape[:-1] not in ([], [1]):
        raise BadInput("file", f"The tensor has the shape {shape}; it should be [d] or [1, d].")
    raw = np.frombuffer(bytes(tensor["data"]), _DTYPES[dtype])
    if dtype == "BF16":
        raw = (raw.astype("<u4") << 16).view("<f4")
    return raw.astype(np.float64)


def _chosen(names: list[str], wanted: str | None) -> str:
    listed = ", ".join(sorted(names)[:SHOWN]) + (" …" if len(names) > SHOWN else "")
    if not names:
        raise BadInput("file", "There is no tensor in the file.")
    if wanted is None:
        if len(names) > 1:
            raise BadInput("tensor", f"The file holds {len(names)} tensors ({listed}): name one of them.")
        return names[0]
    if wanted not in names:
        raise BadInput("tensor", f"The file holds no tensor of this name, but {listed}.")
    return wanted


def write(vector: WholeVector) -> bytes:
    """A safetensors file with the vector [d] in float32; its metadata say what it is and what it was made of."""
    known = vector.model_dump(mode="json", exclude={"values"})
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in known.items()}
    return save({TENSOR: np.asarray(vector.values, np.float32)}, metadata)
