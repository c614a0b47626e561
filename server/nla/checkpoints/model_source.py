"""Sources of a model: a folder, or a hub name, whose files are downloaded when they are first needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.errors import CheckpointError
from server.nla.checkpoints.weights import absent

PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.yaml")
"""File patterns of a model's folder beside its weights; repositories hold the same weights in other formats too."""
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class ModelSource:
    """`name` is a folder or a hub name, the latter at a `revision`; the files may stand in a `subfolder` of it."""

    name: str
    revision: str | None = None
    subfolder: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.name}{at}{f'/{self.subfolder}' if self.subfolder else ''}"

    @property
    def path(self) -> Path | None:
        """The folder that it names, whether it exists or not; None for a hub name."""
        path = Path(self.name).expanduser()
        named = path.is_absolute() or self.name.startswith((".", "~")) or path.is_dir()
        return self.within(path) if named else None

    def within(self, folder: Path) -> Path:
        """Its files' folder in a folder or snapshot."""
        return folder / self.subfolder if self.subfolder else folder


def find_local(source: ModelSource, *, weights: bool = True, extra: tuple[str, ...] = ()) -> Path | None:
    """The folder of a source, if all that is needed of it is on this disk; `extra` names files that it must have."""
    if (path := source.path) is not None:
        return path if path.is_dir() else None
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = _snapshot(source, weights, here=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    with suppress(CheckpointError):  # what is damaged is not here; fetching it says so
        return None if absent(folder, weights=weights, extra=extra) else folder
    return None


def fetch(
    source: ModelSource,
    what: str,
    progress: Callable[[str], None],
    *,
    weights: bool = True,
    extra: tuple[str, ...] = (),
) -> Path:
    """The folder of a source; what is missing of a hub's is downloaded, and an interrupted download taken up again.
    `what` it is for stands in errors. Raises CheckpointError with the cure.
    """
    found = find_local(source, weights=weights, extra=extra)
    if found is not None:
        return found
    if source.path is not None:
        raise CheckpointError(f"The folder {source.path} of {what} does not exist.", check="files")
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    progress(f"downloading {source}")
    try:
        folder = _snapshot(source, weights, here=False)
    except GatedRepoError as error:
        raise CheckpointError(
            f"{source.name} is gated: accept its licence on the hub and set HF_TOKEN to a token of that account.",
            check="files",
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{source.name} ({what}) has no revision {source.revision!r}: give a commit, a tag or a branch.",
            check="files",
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{source.name} ({what}) is not on the hub, or not for you: check the name, or set HF_TOKEN if "
            f"it is private.",
            check="files",
        ) from error
    except Exception as error:  # what its HTTP library raises differs with the version
        raise CheckpointError(
            f"{source.name} ({what}) cannot be downloaded: {str(error).rstrip('.')}. Files that are "
            f"complete are kept: start again to go on.",
            check="files",
        ) from error
    if missing := absent(folder, weights=weights, extra=extra):
        raise CheckpointError(
            f"{source} ({what}) is not whole here: {', '.join(missing)} missing in {folder}. Start again "
            f"with the hub in "
            "reach (HF_HUB_OFFLINE unset) to go on with the download.",
            check="files",
        )
    return folder


def hub_commit(folder: Path) -> str | None:
    """The commit of a folder in the hub's cache; None for any other folder."""
    found = re.search(r"/snapshots/([0-9a-f]{40})(/|$)", folder.as_posix())
    return found[1] if found else None


def _snapshot(source: ModelSource, weights: bool, *, here: bool) -> Path:
    from huggingface_hub import snapshot_download

    under = f"{source.subfolder}/" if source.subfolder else ""
    folder = snapshot_download(
        source.name,
        revision=source.revision,
        allow_patterns=[under + pattern for pattern in (*PATTERNS, *([WEIGHTS] if weights else []))],
        ignore_patterns=[f"{under}*/*"],
        local_files_only=here,
    )
    return source.within(Path(folder))
