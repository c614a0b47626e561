"""The models of a pair, each loaded by itself: all of them in one process, or each on a machine of its own."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from server.errors import CheckpointError, ModelError
from server.nla.checkpoints.checks.pair_files import PairFiles
from server.nla.checkpoints.checks.run import require_valid
from server.nla.checkpoints.model_source import hub_commit
from server.nla.checkpoints.pairs import ROLES, PairEntry, Role, fetch
from server.nla.checkpoints.profile import AS_RELEASED
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.weights import HEAD_FILE, load_model
from server.nla.lens.tuned_lens import read as read_lens
from server.nla.memory.fit_errors import require_fit
from server.nla.memory.plan import Plan
from server.nla.memory.precision import PLAIN, format_precision, quantised
from server.nla.memory.requirements import requirements
from server.nla.memory.table import lines
from server.nla.models.devices import devices
from server.nla.models.loading import check_libraries, from_pretrained_kwargs
from server.nla.models.reconstructor import ReconstructorModel, load_head
from server.nla.models.target import TargetModel
from server.nla.prompt import Prompter
from server.nla.verbalisers.factory import Serving

_log = logging.getLogger(__name__)
TRIED = "A reading."
"""The text that target and AR are tried on."""
READING_FORMAT = 1
"""Raised when the same weights would give other readings or scores; finished analyses of before keep their address."""


@dataclass(frozen=True)
class PreparedPair:
    """A pair whose files are here and have passed every check; `plan` is of those of its models that are to be held
    here.
    """

    entry: PairEntry
    places: dict[str, Path]
    files: PairFiles
    plan: Plan
    serving: Serving

    @property
    def precision(self) -> dict[Role, str]:
        """The kind of each model that is held here, as a page is to say it; bf16 of the others."""
        return self.serving.precision_of(self.plan)

    def versions(self, target: TargetModel) -> dict[str, str]:
        """Libraries, device and commits, as far as the target's machine knows them."""
        commits = {
            f"{role}_commit": found for role, place in self.places.items() if (found := hub_commit(place))
        }
        return (
            {name: version(name) for name in ("nla-explorer", "torch", "transformers")}
            | {"device": str(target.model.device), "dtype": str(target.model.dtype)}
            | commits
            | ({"tuned_lens": target.translators.made} if target.translators else {})
        )

    def fingerprint(self, precision: Mapping[Role, str]) -> str:
        """Twelve hex digits that change with the pair's files and with what is quantised of them."""
        return fingerprint(self.places, self.entry, precision)


def made_with(versions: Mapping[str, str], engine: str, precision: Mapping[Role, str]) -> dict[str, str]:
    """The versions of a whole pair: those of the target's machine, the AV's engine, and what is quantised."""
    held = {"precision": format_precision(precision)} if quantised(precision) else {}
    return {**versions, "verbaliser": engine, **held}


def prepare(
    entry: PairEntry,
    cache_dir: Path,
    serving: Serving,
    progress: Callable[[str], None],
    roles: Sequence[Role] = ROLES,
) -> PreparedPair:
    """Fetch a pair, of its weights those of `roles`, and check it. Raises CheckpointError or SettingsError with cause
    and cure, also where these models do not fit.
    """
    free = devices()  # a GPU that cannot be used is said before anything is fetched
    held = serving.held(roles)
    constraints = serving.constraints(entry.profile)
    expected = requirements(entry, held)
    if expected is not None:
        check_libraries(require_fit(expected, free, constraints))
    places = fetch(entry, cache_dir, progress, weighed=held)
    progress("checking the pair")
    files = PairFiles(entry, places, weighed=held, constraints=constraints)
    require_valid(files)
    plan = files.plan()
    check_libraries(plan)
    for line in lines(plan):
        _log.info("%s", line)
    return PreparedPair(entry, places, files, plan, serving)


def shared_lock() -> AbstractContextManager[Any]:
    """A lock of the models in this process: on one processor they would only slow each other down by working at the
    same time.
    """
    return nullcontext() if torch.cuda.is_available() else threading.Lock()


def load_target(prepared: PreparedPair) -> TargetModel:
    """Load the target, with its translators if it has any."""
    from transformers import AutoModelForCausalLM

    translators = None
    if prepared.entry.tuned_lens is not None:
        shape = prepared.files.text["target"]
        place = Path(prepared.entry.tuned_lens).expanduser()
        translators = read_lens(place, shape.hidden_size, shape.num_hidden_layers)
    folder, plan = prepared.places["target"], prepared.plan
    given = from_pretrained_kwargs(plan, plan.parts["target"], AutoModelForCausalLM, folder)
    return TargetModel(load_model(AutoModelForCausalLM, folder, given), prepared.files.av.layer, translators)


def prompter_of(prepared: PreparedPair, target: TargetModel) -> Prompter:
    """The target's tokenizer and chat template."""
    return Prompter(prepared.files.tokenizers["target"], target.stop_ids)


def load_reconstructor(prepared: PreparedPair) -> ReconstructorModel:
    """Load the AR and its head."""
    from transformers import AutoModel

    folder, plan, files = prepared.places["ar"], prepared.plan, prepared.files
    given = from_pretrained_kwargs(plan, plan.parts["ar"], AutoModel, folder)
    model = load_model(AutoModel, folder, given, normed=False)
    return ReconstructorModel(
        getattr(model, "language_model", model),
        load_head(folder, files.ar.d_model),
        files.tokenizers["ar"],
        files.ar,
    )


def try_target(prepared: PreparedPair, prompter: Prompter, target: TargetModel) -> None:
    """Run a short text through the target: weights that overflowed show at once, not as a bad score. Raises
    CheckpointError.
    """
    try:
        target.trace(prompter.encode(None, TRIED))
    except ModelError as error:
        raise CheckpointError(f"{prepared.entry.name}: {error.detail}", check="finite") from error


def try_reconstructor(prepared: PreparedPair, reconstructor: ReconstructorModel) -> None:
    """Run a short text through the AR. Raises CheckpointError where its vector is not finite."""
    if not np.isfinite(reconstructor.reconstruct([TRIED])).all():
        raise CheckpointError(
            f"{prepared.entry.name}: the AR's vector of a short text is not finite: weights that overflowed (float16) "
            "or were damaged. `nla-explorer pairs check` names the tensor.",
            check="finite",
        )


def fingerprint(
    places: dict[str, Path], entry: PairEntry | None = None, precision: Mapping[Role, str] = PLAIN
) -> str:
    """Twelve hex digits that change with the pair's files: sidecars and configs by content, weights by name and size;
    with what the user's file says of how they are read, and with what is quantised of them.
    """
    digest = hashlib.sha256(str(READING_FORMAT).encode())
    if entry is not None and (entry.profile != AS_RELEASED or entry.answers):
        digest.update(repr((entry.profile, entry.answers)).encode())
    if quantised(precision):
        digest.update(format_precision(precision).encode())
    for role in ROLES:
        for path in sorted(places[role].glob("*")):
            if path.name in (SIDECAR, "config.json", "chat_template.jinja", HEAD_FILE):
                digest.update(path.name.encode() + path.read_bytes())
            elif path.suffix == ".safetensors" and hub_commit(places[role]) is None:
                digest.update(f"{path.name}:{path.stat().st_size}".encode())
    # Folders that are named by their content (the demo, hub snapshots) tell new weights of the same size.
    digest.update(
        "/".join(hub_commit(place) or place.name for place in map(places.__getitem__, ROLES)).encode()
    )
    return digest.hexdigest()[:12]
