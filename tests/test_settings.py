"""Where settings come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from server.errors import SettingsError
from server.settings import Settings

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a container finds it."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("NLA_SECRETS_DIR", str(folder))
    return folder


def token(settings: Settings) -> str | None:
    return settings.token and settings.token.get_secret_value()


def test_a_secret_is_read_from_its_file_without_the_line_break(secrets: Path) -> None:
    (secrets / "nla_token").write_text("a secret\n")
    assert token(Settings()) == "a secret"


def test_the_environment_goes_before_a_file(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "nla_token").write_text("of the file")
    monkeypatch.setenv("NLA_TOKEN", "of the environment")
    assert token(Settings()) == "of the environment"


@pytest.mark.parametrize(("given", "kept"), [("  a secret\t", "a secret"), ("", None), ("  ", None)])
def test_blanks_around_a_token_are_no_part_of_it(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str | None
) -> None:
    monkeypatch.setenv("NLA_TOKEN", given)
    assert token(Settings()) == kept


def test_a_folder_that_is_not_there_holds_no_secrets(secrets: Path) -> None:
    secrets.rmdir()
    assert token(Settings()) is None


def test_the_password_goes_into_the_address_whatever_it_is_made_of(secrets: Path) -> None:
    (secrets / "nla_database_password").write_text("p@ss/w:rd %\n")
    settings = Settings(database_url="postgresql+psycopg://nla@database/nla")
    whole = make_url(settings.sqlalchemy_url)
    assert whole.password == "p@ss/w:rd %"
    assert (whole.username, whole.host, whole.database) == ("nla", "database", "nla")


def test_a_password_for_what_is_no_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="NLA_DATABASE_URL"):
        _ = Settings(database_url="database", database_password=SecretStr("sesame")).sqlalchemy_url


def test_vllm_servers_hold_one_pair_alone() -> None:
    with pytest.raises(SettingsError, match="NLA_EXTRA_PAIRS"):
        Settings(verbaliser="vllm-server", extra_pairs="other").check()


def test_further_pairs_are_named_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_EXTRA_PAIRS", "a, b,")
    assert Settings().extra_pair_names == ["a", "b"]


@pytest.mark.parametrize(
    ("former", "name", "value"),
    [("NLA_ALSO", "extra_pairs", "a"), ("NLA_RUNNING", "max_running", 5), ("NLA_WINDOW", "batch_window", 7)],
)
def test_variables_by_their_former_names_still_count(
    monkeypatch: pytest.MonkeyPatch, former: str, name: str, value: object
) -> None:
    monkeypatch.setenv(former, str(value))
    assert getattr(Settings(), name) == value
    monkeypatch.setenv(f"NLA_{name.upper()}", "9")
    assert str(getattr(Settings(), name)) == "9"


def test_no_secret_is_printed_with_the_settings(secrets: Path) -> None:
    (secrets / "nla_token").write_text("abracadabra")
    (secrets / "nla_database_password").write_text("sesame")
    printed = repr(Settings())
    assert "abracadabra" not in printed
    assert "sesame" not in printed


@pytest.mark.parametrize(
    ("said", "running"),
    [
        ({"ray_replicas": "av=4"}, 2),
        ({"models": "ray"}, 2),
        ({"models": "ray", "ray_replicas": "av=1-4"}, 8),
        ({"models": "ray", "ray_replicas": "av=4", "max_running": 3}, 3),
    ],
)
def test_so_many_analyses_run_that_no_replica_is_idle(said: dict[str, Any], running: int) -> None:
    assert Settings(**said).max_running == running
