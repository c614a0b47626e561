"""What a viewer looks at, to and from an address."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from frontend.view_state import PLAIN, ViewState
from server.errors import BadInput

FULL = ViewState(t=17, pins=(3, 9), layer=12, metric="rank", scale="log", lens="tuned", words=(" 7", "a&b=c"))


def parsed(query: str) -> ViewState:
    return ViewState.of(parse_qsl(query.removeprefix("?"), keep_blank_values=True))


def test_an_address_gives_back_the_look_it_was_made_of() -> None:
    assert parsed(FULL.query()) == FULL


def test_the_plain_look_needs_no_query() -> None:
    assert PLAIN.query() == ""


def test_only_what_differs_stands_in_the_address() -> None:
    assert ViewState(t=17).query() == "?t=17"


def test_a_part_of_the_page_keeps_the_rest_of_the_address() -> None:
    assert ViewState.meant([("t", "18")], f"http://host/a/x{FULL.query()}") == FULL.replace(t=18)


def test_what_a_link_names_whole_replaces_what_was_there() -> None:
    query = parse_qsl(ViewState(t=17).query(whole=True)[1:], keep_blank_values=True)
    assert ViewState.meant(query, f"http://host/a/x{FULL.query()}") == ViewState(t=17)


def test_a_faulty_address_does_not_stop_its_own_page_from_moving_on() -> None:
    assert ViewState.meant([("t", "18")], "http://host/a/x?metric=nonsense") == ViewState(t=18)
    assert ViewState.meant([("t", "18")], "http://[") == ViewState(t=18)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("t=-1", "t"),
        ("t=x", "t"),
        ("t=99999999999", "t"),
        ("layer=1.5", "layer"),
        ("p=3,four", "p"),
        ("p=1,2,3,4,5,6", "p"),
        ("metric=nonsense", "metric"),
        ("scale=loud", "scale"),
        ("lens=magnifying", "lens"),
        ("w=" + "a" * 101, "w"),
        ("&".join(f"w={n}" for n in range(7)), "w"),
    ],
)
def test_bad_parameters_are_named(query: str, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed(query)
    assert caught.value.field == field


def test_an_address_keeps_what_can_be_used_beside_its_faults() -> None:
    view_state = ViewState.lenient([("t", "3"), ("metric", "foo"), ("scale", "loud"), ("layer", "12")])
    assert view_state == ViewState(t=3, layer=12)
    metric, scale = view_state.faults
    assert metric.startswith("There is no metric 'foo'")
    assert scale.startswith("There is no scale 'loud'")
