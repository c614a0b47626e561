"""Where settings come from."""

from __future__ import annotations

from pathlib import Path

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


def test_a_folder_that_is_not_there_holds_no_secrets(secrets: Path) -> None:
    secrets.rmdir()
    assert token(Settings()) is None


def test_the_password_goes_into_the_address_whatever_it_is_made_of(secrets: Path) -> None:
    (secrets / "nla_database_password").write_text("p@ss/w:rd %\n")
    settings = Settings(database_url="postgresql+psycopg://nla@database/nla")
    whole = make_url(settings.url)
    assert whole.password == "p@ss/w:rd %"
    assert (whole.username, whole.host, whole.database) == ("nla", "database", "nla")


def test_a_password_for_what_is_no_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="NLA_DATABASE_URL"):
        _ = Settings(database_url="database", database_password=SecretStr("sesame")).url


def test_vllm_servers_hold_one_pair_alone() -> None:
    with pytest.raises(SettingsError, match="NLA_ALSO"):
        Settings(verbaliser="vllm-server", also="other").check()


def test_further_pairs_are_named_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_ALSO", "a, b,")
    assert Settings().further == ["a", "b"]


def test_no_secret_is_printed_with_the_settings(secrets: Path) -> None:
    (secrets / "nla_token").write_text("abracadabra")
    (secrets / "nla_database_password").write_text("sesame")
    printed = repr(Settings())
    assert "abracadabra" not in printed
    assert "sesame" not in printed
