from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import SettingsError
from server.nla.checkpoints import demo
from server.nla.checkpoints.card import BUILT_IN, Card, cards
from server.nla.checkpoints.pairs import RELEASED, catalogue

OWN = '[[pair]]\nname = "{name}"\ntarget = "/t"\nav = "/v"\nar = "/r"\n'


def test_every_built_in_pair_has_a_card(tmp_path: Path) -> None:
    assert set(BUILT_IN) == {demo.NAME, *(entry.name for entry in RELEASED)} == set(cards(None))


def test_the_demos_card_says_what_its_report_says() -> None:
    report = (demo.ADAPTERS.parent / "README.md").read_text()
    assert "| positions, held-out texts and topics | 800 of 191 texts |" in report
    assert "| the reading names the final token | 93.0% |" in report
    assert "| next tokens | 61.7% |" in report
    assert "| comes | 143 | 55.2% |" in report
    said = BUILT_IN[demo.NAME].readings.replace("\u202f", " ")
    assert all(f"{share} %" in said for share in (93, 62, 55)) and "(800 positions of 191 texts" in said
    card = BUILT_IN[demo.NAME]
    assert (card.trained_from_position, card.trained_on_template) == (1, True)


def test_a_pair_of_ones_own_has_the_card_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(OWN.format(name="mine") + 'card = { trained_from_position = 5, readings = "Good." }\n')
    assert cards(file)["mine"] == Card(5, None, "Good.") == catalogue(file, tmp_path)["mine"].card


def test_own_weights_under_a_built_in_name_do_not_get_its_card(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(OWN.format(name=RELEASED[0].name))
    assert RELEASED[0].name not in cards(file)
    file.write_text(f'[[pair]]\nname = "{RELEASED[0].name}"\ntuned_lens = "/l"\n')
    assert cards(file)[RELEASED[0].name] == BUILT_IN[RELEASED[0].name]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("{ trained_from = 5 }", "has no 'trained_from'"),
        ('{ trained_from_position = "5" }', "not of type int"),
        ("{ trained_from_position = true }", "not of type int"),
        ("5", "ill-typed card"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path: Path, card: str, said: str) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(OWN.format(name="mine") + f"card = {card}\n")
    with pytest.raises(SettingsError, match=said):
        catalogue(file, tmp_path)
