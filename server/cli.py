"""The command line: `nla-explorer` serves; the other words are for scripts."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableSettings

from server import __version__, cli_pairs, cli_study, cli_vector
from server.analyses.json_stream import analysis_json
from server.analyses.schema import Analysis, AnalysisRequest, Generate, Message
from server.api.agents import check_installed
from server.api.problems import field_errors
from server.app import create_app, stop_streams
from server.errors import NlaError, StoreError
from server.http_protocol import bounded
from server.in_process import in_process
from server.measurements.schema import Measurement, MeasurementRequest
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store.backup import backup, restore
from server.store.database import connect
from server.store.lock import lock_data_dir
from server.store.migrate_data import copy

FILES = 65_536
"""Files and sockets that a server asks to have open at a time. Every open page is one; 1,024 are usual unless asked."""
KEEP_ALIVE = 150
"""Seconds that an idle connection stays open: longer than clients and proxies keep theirs (Caddy 120), since a request
that is sent while this side closes is lost.
"""
GRACE = 5
"""Seconds that open requests get when the server is told to stop."""
COMMANDS = ("serve", "analyse", "study", "vector", "mcp", "pairs", "lens", "backup", "restore", "copy")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors that we know are one line on stderr, and status 1."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0] not in COMMANDS and arguments[0] not in {"-h", "--help", "--version"}):
        arguments.insert(0, "serve")
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s  %(message)s", stream=sys.stderr)
    for chatty in ("alembic", "mcp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        status: int = options.run(options, _settings(options))
    except NlaError as error:
        print(f"nla-explorer: {error.detail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def _settings(options: argparse.Namespace) -> Settings:
    names = ("host", "port", "pair", "data_dir", "models", "verbaliser", "precision")
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(f"{e.field}: {e.detail}" for e in field_errors(error.errors()))
        raise NlaError(
            f"The settings cannot be used: {wrong} (NLA_* in the environment, or the options)."
        ) from error
    except UnreadableSettings as error:
        raise NlaError(f"The settings cannot be used: {error}: {error.__cause__}.") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nla-explorer", description="What each activation of a language model says, token by token."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the page and the API (the default)")
    serve.add_argument("--host", help="address to listen on (127.0.0.1); off loopback NLA_TOKEN is demanded")
    serve.add_argument("--port", type=int, help="port (8000)")
    _add_model_options(serve)
    serve.set_defaults(run=_serve)

    analyse = commands.add_parser("analyse", help="analyse a text here and print what was found")
    analyse.add_argument("text", metavar="TEXT", help="what the user says")
    analyse.add_argument("--raw", action="store_true", help="take TEXT as it is, without a chat template")
    analyse.add_argument(
        "--reply", type=int, default=0, metavar="N", help="let the model reply with up to N tokens"
    )
    analyse.add_argument(
        "--causal", action="store_true", help="measure the causal scores of its readings too"
    )
    analyse.add_argument("--json", action="store_true", help="print what GET /api/analyses/{id} answers")
    _add_model_options(analyse)
    analyse.set_defaults(run=_analyse)

    mcp = commands.add_parser("mcp", help="serve agents on stdin and stdout (Model Context Protocol)")
    _add_model_options(mcp)
    mcp.set_defaults(run=_mcp)

    study = cli_study.add_parser(commands)
    _add_model_options(study)
    study.set_defaults(run=cli_study.run)

    for action in cli_vector.add_parsers(commands):
        _add_model_options(action)

    cli_pairs.add_parser(commands)

    lens = commands.add_parser("lens", help="make a tuned lens out of a folder of the tuned-lens project")
    lens.add_argument("action", choices=["convert"])
    lens.add_argument("folder", type=Path, metavar="FOLDER", help="holds config.json and params.pt")
    lens.add_argument("out", type=Path, metavar="OUT", help="for `tuned_lens` in a pair of NLA_PAIRS_FILE")
    lens.set_defaults(run=_lens)

    for name, what in (("backup", "copy the database to FILE"), ("restore", "replace the database by FILE")):
        command = commands.add_parser(name, help=what)
        command.add_argument("file", type=Path, metavar="FILE")
        command.add_argument("--data-dir", type=Path)
        command.set_defaults(run=_backup if name == "backup" else _restore)
    copying = commands.add_parser("copy", help="copy the SQLite database into that of NLA_DATABASE_URL")
    copying.add_argument("--data-dir", type=Path)
    copying.set_defaults(run=_copy)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pair", help="the pair to load (smollm2-135m-l20)")
    parser.add_argument("--data-dir", type=Path, help="where the database stands")
    parser.add_argument(
        "--models", help="where the models stand: local, or ray (on the cluster at NLA_RAY_ADDRESS)"
    )
    parser.add_argument(
        "--verbaliser", help="the AV's engine: auto, transformers, vllm, or vllm-server (at NLA_VLLM_URLS)"
    )


# Serving


class _Server(uvicorn.Server):
    """Ends the event streams when it is told to stop, so that they do not keep it open."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stop_streams()
        super().handle_exit(sig, frame)

    def stop_streams(self) -> None:
        stop_streams(cast(FastAPI, self.config.app))


def raise_file_limit() -> None:
    """Raise the limit of open files as far as FILES, or as far as the system lets this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    settings.check()
    raise_file_limit()
    return asyncio.run(_serving(settings))


async def _serving(settings: Settings) -> int:
    if settings.database_url is None:
        with lock_data_dir(settings.data_dir):  # say what is wrong before the server begins to
            pass
    app = create_app(settings)
    await app.state.store.open()
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            http=bounded(settings.max_connections),
            ws="none",
            log_config=None,
        )
    )
    models: ModelPool = app.state.models

    async def after_loading() -> None:
        await models.settled()
        if models.error is not None:
            server.stop_streams()
            server.should_exit = True
        # A full collection looks at every object of the model libraries and holds all threads for 150 ms.
        # They stay for good: look once, now that nobody waits, and never again.
        gc.collect()
        gc.freeze()

    watching = asyncio.create_task(after_loading())
    try:
        await server.serve()
    finally:
        watching.cancel()
    if models.error is not None:
        raise models.error
    return 0 if server.started else 1


# Scripts


def _analyse(options: argparse.Namespace, settings: Settings) -> int:
    reply = Generate(max_new_tokens=options.reply) if options.reply > 0 else None
    try:
        if options.raw:
            request = AnalysisRequest(text=options.text, generate=reply)
        else:
            request = AnalysisRequest(messages=[Message(role="user", content=options.text)], generate=reply)
    except ValidationError as error:
        raise NlaError("; ".join(f"{e.field}: {e.detail}" for e in field_errors(error.errors()))) from error
    analysis, measured, body = asyncio.run(_analysing(settings, request, causal=options.causal))
    if options.json:
        print(body.decode())
    else:
        _print_analysis(analysis, measured)
    return 0 if analysis.status == "done" else 1


async def _analysing(
    settings: Settings, request: AnalysisRequest, *, causal: bool
) -> tuple[Analysis, Measurement | None, bytes]:
    async with in_process(settings) as services:
        analyses, measurements = services.analyses, services.measurements
        services.models.start()
        await services.models.pair()
        analysis, _ = await analyses.create(request)
        async for event in analyses.events(analysis.id):
            if event.kind == "progress" and event.data.total:
                print(
                    f"\r{event.data.done} of {event.data.total} readings", end="", file=sys.stderr, flush=True
                )
        print(file=sys.stderr)
        analysis = await analyses.get(analysis.id)
        if not causal or analysis.status != "done":
            return analysis, None, await analysis_json(analysis)
        id, _ = await measurements.submit(analysis.id, MeasurementRequest())
        measured = await measurements.wait(id)
        analysis = await measurements.with_causal(analysis)
        return analysis, measured, await analysis_json(analysis, measurements=[measured])


def _print_analysis(analysis: Analysis, measured: Measurement | None) -> None:
    if analysis.error:
        print(f"{analysis.status}: {analysis.error}")
    scores = {(s.position, s.sample): s.score for s in measured.scores} if measured is not None else {}
    for reading in analysis.readings:
        token = analysis.tokens[reading.position].text if reading.position < len(analysis.tokens) else ""
        held_ = "" if reading.fve is None else f"holds {max(reading.fve, 0):.0%}"
        cosine = "" if reading.cos is None else f"cos {reading.cos:.2f}"
        share = scores.get((reading.position, reading.sample))
        undone = f"{'' if share is None else f'undoes {share:.0%}':<13} " if scores else ""
        said = reading.error or reading.text
        print(f"{reading.position:>5}  {token!r:<18} {held_:<12} {cosine:<9} {undone}{said}")
    if measured is not None and measured.content is not None:
        for name in ("reading", "other", "shuffled", "mean", "random"):
            control = getattr(measured.content, name)
            if control is not None and control.score is not None:
                print(f"{name:>9}: undoes {control.score:.0%} of what the mean activation breaks")


def _mcp(options: argparse.Namespace, settings: Settings) -> int:
    check_installed()
    # It takes seconds to import, and is not there everywhere.
    stdio = importlib.import_module("server.mcp.stdio")
    status: int = asyncio.run(stdio.serve(settings))
    return status


def _lens(options: argparse.Namespace, settings: Settings) -> int:
    # It imports torch: seconds that the other commands need not wait for.
    tuned = importlib.import_module("server.nla.lens.tuned_lens")
    found = tuned.convert(options.folder, options.out)
    print(f"{options.out} holds {len(found.layers)} translators for {found.target}.")
    return 0


def _backup(options: argparse.Namespace, settings: Settings) -> int:
    backup(_sqlite_file(settings), options.file)
    print(f"{options.file} holds the database.")
    return 0


def _restore(options: argparse.Namespace, settings: Settings) -> int:
    database = _sqlite_file(settings)
    with lock_data_dir(settings.data_dir):
        restore(options.file, database)
    print(f"The database is that of {options.file} now.")
    return 0


def _copy(options: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is None:
        raise StoreError("Into which database? Set NLA_DATABASE_URL to postgresql://user:password@host/name.")
    if not settings.database_file.is_file():
        raise StoreError(f"There is no database at {settings.database_file}.")
    with lock_data_dir(settings.data_dir):
        count = copy(connect(f"sqlite:///{settings.database_file}"), connect(settings.sqlalchemy_url))
    print(f"{count} analyses were copied.")
    return 0


def _sqlite_file(settings: Settings) -> Path:
    if settings.database_url is not None:
        raise StoreError("NLA_DATABASE_URL names a database server: use its own tools, such as pg_dump.")
    return settings.database_file


if __name__ == "__main__":
    sys.exit(main())
