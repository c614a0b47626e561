"""Bases of the documents that are asked with and answered with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """Part of a request: an unknown field is an error (it is a misspelt one), `true` and `"1.5"` are no numbers, and
    nothing changes once checked. What comes as text, from a form, is read with `strict=False`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ResponseModel(BaseModel):
    """Part of an answer. A number that is not finite is written as null."""

    model_config = ConfigDict(ser_json_inf_nan="null", arbitrary_types_allowed=True)
