from __future__ import annotations

from server.analyses.watched import WatchedPositions

KEYS = {(position, sample) for position in range(6) for sample in range(2)}


def test_reading_order_where_nobody_looks() -> None:
    assert WatchedPositions().first(KEYS, 3) == [(0, 0), (0, 1), (1, 0)]


def test_the_focus_comes_first() -> None:
    pins = WatchedPositions()
    pins.focus = 4
    assert pins.first(KEYS, 3) == [(4, 0), (4, 1), (0, 0)]
    assert 4 in pins
    assert 0 not in pins


def test_the_latest_pin_comes_before_earlier_ones_and_the_focus() -> None:
    pins = WatchedPositions()
    pins.focus = 4
    for position in (1, 3, 1):
        pins.pin(position)
    assert [key for key in pins.first(KEYS, 12) if key[1] == 0] == [
        (1, 0),
        (3, 0),
        (4, 0),
        (0, 0),
        (2, 0),
        (5, 0),
    ]


def test_pins_do_not_pile_up() -> None:
    pins = WatchedPositions()
    for position in range(100):
        pins.pin(position)
    assert [position for position in range(100) if position in pins] == list(range(92, 100))
