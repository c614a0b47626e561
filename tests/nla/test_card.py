"""Cards of pairs: where they are found, what they may say, and that the demo's says what its report says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints import cards, demo, pairs
from server.nla.checkpoints.card import FILE, Card, PairCard
from server.nla.checkpoints.cards import Cards, demo_card
from server.nla.checkpoints.pairs import catalogue

OWN = '[[pair]]\nname = "{name}"\ntarget = "/t"\nav = "{av}"\nar = "/r"\n'
QWEN = pairs.RELEASED[0].name


def own(tmp_path: Path, name: str = "mine", av: str = "/v") -> Path:
    file = tmp_path / "pairs.toml"
    file.write_text(OWN.format(name=name, av=av))
    return file


def test_every_built_in_pair_has_a_card() -> None:
    built_in = {demo.NAME, *(entry.name for entry in pairs.RELEASED)}
    assert set(cards.RELEASED) == built_in - {demo.NAME}
    assert all(Cards(None).get(name) for name in built_in)
    assert (demo_card().trained_from_position, demo_card().trained_on_template) == (1, True)


def test_the_demos_card_says_what_its_report_says() -> None:
    report = (demo.ADAPTERS.parent / "README.md").read_text()
    card, found = demo_card(), demo_card().measured
    assert found is not None
    ends = found.fve_interval
    assert f"| {found.positions} of {found.texts} texts |" in report
    (whole,) = re.findall(r"FVE, AV → AR \(against V\) \| (\S+) \[(\S+), (\S+)\] \|", report)
    # The card's four digits are rounded again.
    assert [float(printed) for printed in whole] == pytest.approx([found.fve, *ends], abs=6e-4)
    assert f"own activation is the nearest of 100 | {found.nearest:.1%} |" in report
    for kind in found.kinds:
        row = re.escape(f"| {kind.kind} | {kind.positions} of {kind.texts} texts | ")
        (printed,) = re.findall(rf"{row}(\S+) \[", report)
        assert float(printed) == pytest.approx(kind.fve, abs=6e-4)
    for claim in found.claims:
        assert f"| {claim.claim} | {claim.right:.1%} [" in report and f"| {claim.control:.1%} |" in report
    for sure in found.certainty:
        assert f"| {sure.word} | {sure.readings} | {sure.right:.1%} [" in report
    right = {claim.claim: claim.right for claim in found.claims}
    certain = next(sure.right for sure in found.certainty if sure.word == "almost certain")
    said = [int(share) for share in re.findall(r"(\d+)\u202f%", card.readings)]
    assert said == [round(100 * share) for share in (right["final token"], right["next tokens"], certain)]
    assert f"({found.positions} positions of {found.texts} texts" in card.readings


def test_a_pair_of_ones_own_has_the_card_of_its_file(tmp_path: Path) -> None:
    file = own(tmp_path)
    file.write_text(
        file.read_text() + 'card = { trained_from_position = 5, readings = "Good.", fails = ["Code."] }\n'
    )
    found = Cards(file).get("mine")
    assert found is not None and found == catalogue(file, tmp_path)["mine"].card
    assert (found.brief, found.fails) == (Card(5, None, "Good."), ("Code.",))


def test_a_pair_of_ones_own_has_the_card_beside_its_av(tmp_path: Path) -> None:
    av = tmp_path / "av"
    found = Cards(own(tmp_path, av=str(av)))
    assert found.get("mine") is None
    av.mkdir()
    (av / FILE).write_text('{"readings": "Good."}')
    assert found.get("mine") == PairCard(readings="Good.")


def test_a_card_in_the_cache_of_a_hub_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "0123456789" * 4
    folder = tmp_path / "hub" / "models--me--my-av"
    (folder / "snapshots" / commit / "l7").mkdir(parents=True)
    (folder / "snapshots" / commit / "l7" / FILE).write_text('{"made": ["At home."]}')
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    file = own(tmp_path, av="me/my-av")
    assert Cards(file).get("mine") is None
    file.write_text(file.read_text() + 'av_subfolder = "l7"\n')
    assert Cards(file).get("mine") == PairCard(made=("At home.",))


def test_own_weights_under_a_built_in_name_do_not_get_its_card(tmp_path: Path) -> None:
    file = own(tmp_path, QWEN)
    assert Cards(file).get(QWEN) is None
    file.write_text(f'[[pair]]\nname = "{QWEN}"\ntuned_lens = "/l"\n')
    assert Cards(file).get(QWEN) == cards.RELEASED[QWEN]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("{ trained_from = 5 }", "has no 'trained_from'; it takes trained_from_position, "),
        (
            '{ trained_from_position = "5" }',
            "card's trained_from_position is '5': input should be a valid integer",
        ),
        (
            "{ trained_from_position = true }",
            "trained_from_position is True: input should be a valid integer",
        ),
        ('{ sentences = ["plain"] }', "a sentence is a text with names in braces"),
        ("{ made = [5] }", r"made\.0 is 5: input should be a valid string"),
        ("5", "ill-typed card"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path: Path, card: str, said: str) -> None:
    file = own(tmp_path)
    file.write_text(file.read_text() + f"card = {card}\n")
    with pytest.raises(SettingsError, match=said):
        catalogue(file, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fve_variance": 1}, "the card has no 'measured.fve_variance'"),
        ({"nearest": 1.5}, "measured.nearest is 1.5: input should be less than or equal to 1"),
        ({"fve_interval": [0.1]}, "measured.fve_interval"),
    ],
)
def test_a_wrong_card_beside_an_av_is_refused_by_its_field(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    known = json.loads(cards.DEMO_FILE.read_text())
    known["measured"] |= change
    (tmp_path / FILE).write_text(json.dumps(known))
    with pytest.raises(CheckpointError, match=said) as caught:
        PairCard.read(tmp_path / FILE)
    assert caught.value.check == "card"
    assert Cards(own(tmp_path, av=str(tmp_path))).get("mine") is None
