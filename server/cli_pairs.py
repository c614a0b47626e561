"""`nla-explorer pairs`: which there are, whether one keeps the contract, and what a server of its AV needs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from server.errors import CheckpointError, NlaError, NotReady
from server.nla.memory.table import document, lines, short
from server.pairs.catalogue import Catalogue
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.checkpoints.checks.run import Verdict
    from server.nla.memory.plan import Plan


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    pairs = commands.add_parser(
        "pairs", help="list the pairs; check one, plan its memory, or print its AV's template for vLLM"
    )
    pairs.add_argument("action", nargs="?", choices=["check", "plan", "template"])
    pairs.add_argument("name", nargs="?", metavar="NAME")
    pairs.add_argument("--json", action="store_true")
    pairs.add_argument(
        "--gpus", metavar="GIB", help="of `plan`: other GPUs than these here, such as 80,80 or 2x80"
    )
    pairs.add_argument(
        "--precision", help="of `plan`: another NLA_PRECISION, such as auto or av=fp8,target=4bit"
    )
    pairs.set_defaults(run=_pairs)


def _pairs(options: argparse.Namespace, settings: Settings) -> int:
    catalogue = Catalogue(settings)
    if options.action == "check":
        if options.name is None:
            raise NlaError("Which pair? `nla-explorer pairs check NAME`; `nla-explorer pairs` lists them.")
        return _check(catalogue, options.name, as_json=options.json)
    if options.action == "plan":
        if options.name is None:
            return _plan_all(catalogue, options.gpus, as_json=options.json)
        plan = catalogue.plan(options.name, options.gpus)
        print(json.dumps(document(plan), indent=2) if options.json else "\n".join(lines(plan)))
        return 0
    if options.action == "template":
        if options.name is None:
            raise NlaError("Which pair? `nla-explorer pairs template NAME > av.jinja`.")
        print(catalogue.serving_template(options.name))
        return 0
    described: list[dict[str, Any]] = catalogue.describe()
    if options.json:
        print(json.dumps(described, indent=2, default=str))
        return 0
    for pair in described:
        here = (
            "on disk"
            if all(pair[name] for name in ("target_path", "av_path", "ar_path"))
            else "not on disk yet"
        )
        size = f"{sum(pair['gigabytes'].values())} GB" if pair["gigabytes"] else ""
        licence = (pair["licence"] or "") + (", gated" if pair["gated"] else "")
        print(
            f"{pair['name']:<28} layer {pair['layer'] or '?':>3}  d {pair['d_model'] or '?':>5}  {here:<16}  "
            f"{size:>6}  {licence}".rstrip()
        )
    return 0


def _plan_all(catalogue: Catalogue, gpus: str | None, *, as_json: bool) -> int:
    """A line for each pair: where it would go, or why it would not."""
    found: dict[str, Plan | str] = {}
    for name in catalogue.names():
        try:
            found[name] = catalogue.plan(name, gpus)
        except (CheckpointError, NotReady) as error:
            found[name] = error.detail
    if as_json:
        told = [{"name": n, "error": p} if isinstance(p, str) else document(p) for n, p in found.items()]
        print(json.dumps(told, indent=2))
        return 0
    for name, plan in found.items():
        said = plan.partition("does not fit: ")[2] or plan if isinstance(plan, str) else short(plan)
        print(f"{name:<20} {said}")
    return 0


def _check(catalogue: Catalogue, name: str, *, as_json: bool) -> int:
    verdicts = []
    for verdict in catalogue.check(name, lambda message: print(message, file=sys.stderr)):
        verdicts.append(verdict)
        if not as_json:
            word = {True: "ok", False: "FAILED", None: "-"}[verdict.ok]
            print(f"{verdict.check:<11} {word:<7} {_bare(verdict)}", flush=True)
    well = all(verdict.ok for verdict in verdicts)
    if as_json:
        told = [{"check": v.check, "ok": v.ok, "detail": _bare(v)} for v in verdicts]
        print(json.dumps({"name": name, "ok": well, "checks": told}, indent=2, ensure_ascii=False))
    return 0 if well else 1


def _bare(verdict: Verdict) -> str:
    """The finding, without the check's name that an error of loading begins with."""
    return verdict.detail.removeprefix(f"{verdict.check}: ")
