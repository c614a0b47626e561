"""`nla-explorer study FILE`: a study that a YAML file declares, or a CSV of prompts, made here."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.api.problems import field_errors
from server.errors import BadInput, NlaError
from server.in_process import in_process
from server.settings import Settings
from server.studies import yaml_file
from server.studies.requests import Request
from server.studies.schema import Case, ReadingResult, Statistic, Study

LARGEST = 20_000_000
"""Bytes of a file that is read."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command, without the options that say which models it has."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "study", help="make a study and print its table and statistics"
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="YAML (see docs/studies.md), or a CSV of prompts"
    )
    parser.add_argument("--json", action="store_true", help="print what GET /api/studies/{id} answers")
    return parser


def request_of(file: Path) -> Request:
    """The study that a file declares. Raises NlaError naming what is wrong."""
    text = _read(file)
    if file.suffix.lower() == ".csv":
        asked: dict[str, Any] = {"kind": "prompts", "csv": text}
    else:
        try:
            asked = yaml_file.read(text)
        except BadInput as error:
            raise NlaError(f"{file}: {error.detail}") from error
        if isinstance(asked.get("csv"), str) and "\n" not in asked["csv"]:
            asked["csv"] = _read(file.parent / asked["csv"])
    try:
        return yaml_file.REQUEST.validate_python(asked)
    except ValidationError as error:
        wrong = "; ".join(
            f"{e.field}: {e.detail}" if e.field else e.detail for e in field_errors(error.errors())
        )
        raise NlaError(f"{file}: {wrong}") from error


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST:
            raise NlaError(f"{file} is larger than the {LARGEST:,} bytes that a study may have.")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NlaError(f"{file} cannot be read: {error}.") from error


async def make(settings: Settings, request: Request) -> Study:
    """Make the study here, and tell on stderr how far it is; one that was broken off goes on."""
    async with in_process(settings) as services:
        services.models.start()
        await services.models.pair()
        id, _ = await services.studies.submit(request)
        async for event in services.studies.events(id):
            if event.kind == "progress" and event.data.total:
                told = event.data
                left = "" if told.seconds_left is None else f", about {told.seconds_left:.0f} s more"
                print(f"\r{told.done} of {told.total} cases{left}   ", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return await services.studies.get(id)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """The command."""
    study = asyncio.run(make(settings, request_of(options.file)))
    if options.json:
        print(study.model_dump_json())
    else:
        _print(study)
    return 0 if study.status == "done" else 1


def _print(study: Study) -> None:
    print(f"{study.title}, {study.pair}: {study.url}")
    if study.error:
        print(f"{study.status}: {study.error}")
    for case in study.cases:
        _print_case(case)
    for group, statistics in study.statistics.items():
        print(f"\n{group}")
        for name, statistic in statistics.items():
            print(f"  {name:<40} {_said(statistic)}")
    print()
    for note in study.notes:
        print(note)


def _print_case(case: Case) -> None:
    true = case.product if case.factors is not None else case.row.get("capital")
    mark = "" if case.exact is None else " right" if case.exact else f" wrong, {true}"
    answer = case.error or (case.answer if case.factors is not None else " ".join(case.reply.split())) or ""
    print(f"{case.number + 1:>5}  {case.label}  {answer}{mark}")
    for digit in case.digits:
        for name, reading in (("at", digit.at), ("before", digit.before)):
            if reading is not None:
                _print_reading(f"{name} {digit.digit}", reading)
    for reading in case.readings:
        _print_reading(repr(reading.token), reading)
    for edit in case.edits:
        way = "replaced" if edit.alpha is None else f"α = {edit.alpha:g}"
        print(f"         {edit.where}, {way}: {edit.other} instead, and the model says {edit.first!r}")


def _print_reading(where: str, reading: ReadingResult) -> None:
    held = "" if reading.fve is None else f"holds {max(reading.fve, 0):.0%}"
    values = ", ".join(f"{name} {'–' if v is None else f'{v:g}'}" for name, v in reading.measures.items())
    print(f"         {where:<14} {held:<11} {values}{'  ' if values else ''}{reading.error or reading.text}")


def _said(statistic: Statistic) -> str:
    if statistic.value is None:
        return f"nothing to tell (n = {statistic.n})"
    said = f"{statistic.value:.3g}"
    if statistic.interval is not None:
        said += " [{:.3g}, {:.3g}]".format(*statistic.interval)
    if statistic.null is not None and statistic.null.value is not None:
        said += f", by chance {statistic.null.value:.3g}"
        if statistic.null.interval is not None:
            said += " [{:.3g}, {:.3g}]".format(*statistic.null.interval)
    if statistic.p_corrected is not None:
        said += f", p = {statistic.p_corrected:.2g}"
    return f"{said} (n = {statistic.n} in {statistic.cases} cases)"
