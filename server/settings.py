"""All settings, read from the environment (`NLA_*`), from the command line, and secrets from files."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from server.errors import SettingsError

DEFAULT_PAIR = "smollm2-135m-l20"
EXAMPLES = Path(__file__).resolve().parent.parent / "training" / "examples.db"
"""Finished analyses of that pair and a study, made by training/examples.py."""
TOKEN_LETTERS, TOKEN_DIFFERENT = 16, 6
"""The least letters of a token, and the least of them that differ."""


def _xdg(variable: str, fallback: str) -> Path:
    root = os.environ.get(variable, "")
    base = Path(root) if root.startswith("/") else Path.home() / fallback
    return base / "nla-explorer"


def _alias(name: str, former: str) -> AliasChoices:
    """The variables of a setting that had another name: the older one is read where the newer one is not set."""
    return AliasChoices(f"nla_{name}", f"nla_{former}")


def _running(given: Mapping[str, Any]) -> int:
    """Two analyses at a time, so that none is stuck behind a long one; on a cluster two for each replica of the AV."""
    if given.get("models") != "ray":
        return 2
    from server.nla.cluster.bounds import parse_bounds

    return max(2, 2 * parse_bounds(given["ray_replicas"])["av"].most)


class Settings(BaseSettings):
    """The server's settings; `NLA_PORT=9000` sets `port`, and so on."""

    model_config = SettingsConfigDict(env_prefix="NLA_", extra="ignore", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    token: SecretStr | None = None
    """Demanded of everybody when set; the server does not start off loopback without one."""
    allowed_hosts: str = ""
    """Further names, with commas, that a request's Host header may carry (loopback names always may)."""

    pair: str = DEFAULT_PAIR
    """The pair that is loaded at the start."""
    extra_pairs: str = Field(default="", validation_alias=_alias("extra_pairs", "also"))
    """Further pairs, with commas, that are loaded when an analysis asks for one; the resident pair makes room."""
    pairs_file: Path | None = None
    """A TOML file of `[[pair]]` tables."""
    verbaliser: str = "auto"
    """transformers, vllm (in this server's care), vllm-server (at vllm_urls), or auto: vllm where there are a GPU and
    the package."""
    vllm_urls: str = ""
    """Addresses of vLLM servers that hold the AV, with commas."""
    vllm_reading_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds within which those servers must have written a reading, over all tries."""
    vllm_idle_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which one of them counts as hung, when it has readings to write and sends nothing of any."""
    av_timeout: Annotated[float, Field(gt=0)] = 1800.0
    """Seconds after which an AV that says nothing of a call's readings is given up on: they have failed. A call of vLLM
    is for one position, and of one that nobody looks at the AV says nothing before it is whole."""
    vllm_options: dict[str, Any] = Field(default_factory=dict)
    """Options of vLLM's engine (JSON), over those that are derived from the pair and the free memory."""
    precision: str = "bf16"
    """bf16 (nothing is quantised), auto (what must be is, to fit), or a kind for some, such as av=fp8,target=4bit."""
    models: Literal["local", "ray"] = "local"
    """Where the models stand: in this process, or on a Ray cluster."""
    ray_address: str = "auto"
    """The cluster's address (HOST:6379), for a server on one of its machines; auto: the one this machine has joined."""
    ray_replicas: str = ""
    """Replicas of each model in the cluster (av=1-4,ar=2): a number, or bounds between which they follow the load."""
    ray_cpus: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPUs that a replica counts as, and computes with where there is no GPU."""
    data_dir: Path = Field(default_factory=lambda: _xdg("XDG_DATA_HOME", ".local/share"))
    """The database stands here."""
    cache_dir: Path = Field(default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache"))
    """Whatever can be made again: prepared checkpoints."""
    examples: bool = True
    """Begin a new data directory with the finished examples of the demo pair."""
    database_url: str | None = None
    """A PostgreSQL database (postgresql://user:password@host/name) instead of the SQLite file in data_dir. Several
    servers may share it."""
    database_password: SecretStr | None = None
    """Put into database_url, so that the address may be written where a password may not."""
    secrets_dir: Path | None = None
    """A folder of secrets, one a file, named as the variables in small letters (`nla_token`); said by the environment
    alone, which also goes before a file. A folder that is not there holds none."""

    max_prompt_tokens: Annotated[int, Field(ge=1)] = 2000
    max_reply_tokens: Annotated[int, Field(ge=1)] = 512
    max_reading_tokens: Annotated[int, Field(ge=1)] = 400
    max_samples: Annotated[int, Field(ge=1)] = 8
    max_vectors: Annotated[int, Field(ge=1)] = 64
    """Texts or activations in one call of /api/reconstruct, /api/verbalise and /api/score."""
    max_text_tokens: Annotated[int, Field(ge=1)] = 512
    """Tokens of one text that the AR is given by a request: in those calls, and as the words of an edit."""
    max_call_tokens: Annotated[int, Field(ge=1)] = 8192
    """Tokens of all texts of one call."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 2_000_000
    max_connections: Annotated[int, Field(ge=10, le=50_000)] = 2000
    """Connections at a time; an open page has one. Beyond that the one that has been idle longest is closed."""

    max_running: Annotated[int, Field(ge=1)] = Field(
        default_factory=_running, validation_alias=_alias("max_running", "running")
    )
    """Analyses at work at a time; they take turns at the AV, so a short one is not stuck behind a long one. Where it is
    not set, a cluster has two for each replica of the AV.
    """
    max_queue: Annotated[int, Field(ge=1)] = 200
    """Analyses at work or waiting; further new ones are refused for the moment."""
    batch_window: Annotated[int, Field(ge=1)] = Field(
        default=64, validation_alias=_alias("batch_window", "window")
    )
    """Readings asked in one turn of an engine that takes one call after the other; a newly pinned position
    waits for one window at most. vLLM takes the next reading whenever one has ended; on a cluster a replica is
    called for a window.
    """
    score_batch: Annotated[int, Field(ge=1)] = 32
    """Readings that the AR takes at a time."""
    max_edits: Annotated[int, Field(ge=1)] = 16
    """Edits being made or waiting for the models at a time; further ones are refused for the moment."""
    max_measurements: Annotated[int, Field(ge=1)] = 16
    """Measurements being made or waiting at a time; further ones are refused for the moment."""
    max_vector_readings: Annotated[int, Field(ge=1)] = 16
    """Readings of vectors being made or waiting at a time; further ones are refused for the moment."""
    max_studies: Annotated[int, Field(ge=1)] = 8
    """Studies at work or waiting at a time; further ones are refused for the moment."""
    max_cases: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Prompts or problems of one study."""
    max_calls: Annotated[int, Field(ge=1)] = 32
    """Calls of /api/verbalise, /api/reconstruct, /api/score and the lens's words at work or waiting at a time; further
    ones are refused for the moment."""
    max_client_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of each of these (max_queue to max_calls) that one client may have at work or waiting; with a token
    alone, since without one the server cannot tell clients apart."""
    causal_scores: Literal["auto", "on", "off"] = "auto"
    """Whether analyses that do not say so have their causal scores measured. auto: where the pair stands on a GPU."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment, then the files of NLA_SECRETS_DIR."""
        folder = os.environ.get("NLA_SECRETS_DIR")
        if not folder or not Path(folder).is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @property
    def sqlalchemy_url(self) -> str:
        """The database's address, for SQLAlchemy."""
        if not self.database_url:
            return f"sqlite:///{self.database_file}"
        if self.database_password is None:
            return self.database_url
        try:
            address = make_url(self.database_url)
        except ArgumentError as error:
            raise SettingsError(
                "NLA_DATABASE_URL is no address of a database: it looks like postgresql+psycopg://user@host/name."
            ) from error
        whole = address.set(password=self.database_password.get_secret_value())
        return whole.render_as_string(hide_password=False)

    @property
    def database_file(self) -> Path:
        """The path of the SQLite database."""
        return self.data_dir / "nla-explorer.db"

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def extra_pair_names(self) -> list[str]:
        """The names in extra_pairs."""
        return [name.strip() for name in self.extra_pairs.split(",") if name.strip()]

    @property
    def vllm_servers(self) -> list[str]:
        """The addresses in vllm_urls."""
        return [url.strip() for url in self.vllm_urls.split(",") if url.strip()]

    @property
    def hosts(self) -> frozenset[str]:
        """The further host names that are allowed."""
        return frozenset(name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip())

    @field_validator("token")
    @classmethod
    def _without_blanks(cls, token: SecretStr | None) -> SecretStr | None:
        """A token as a client can send it, without blanks around it; an empty one is none."""
        kept = token.get_secret_value().strip() if token is not None else ""
        return SecretStr(kept) if kept else None

    def check(self) -> None:
        """Raise SettingsError for settings that must not be served with."""
        if not self.loopback and not (self.token and self.token.get_secret_value()):
            raise SettingsError(
                f"{self.host} can be reached from other machines, so a token is demanded: set NLA_TOKEN to "
                "a secret of your own (every visitor will be asked for it), or listen on 127.0.0.1."
            )
        if self.token and _is_weak(self.token.get_secret_value()):
            raise SettingsError(
                f"NLA_TOKEN could be guessed: take at least {TOKEN_LETTERS} letters, {TOKEN_DIFFERENT} of them "
                "different. `openssl rand -hex 24` makes one."
            )
        if self.verbaliser == "vllm-server" and self.models == "ray":
            raise SettingsError(
                "With --models ray the cluster holds the AV: --verbaliser vllm-server and NLA_VLLM_URLS are "
                "for --models local."
            )
        if self.verbaliser == "vllm-server" and self.extra_pair_names:
            raise SettingsError(
                "The servers at NLA_VLLM_URLS hold the AV of one pair: with --verbaliser vllm-server there can be no "
                "further pairs in NLA_EXTRA_PAIRS."
            )


def _is_weak(token: str) -> bool:
    return len(token) < TOKEN_LETTERS or len(set(token)) < TOKEN_DIFFERENT


def is_loopback(host: str) -> bool:
    """True if a host name or address means this machine alone."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
