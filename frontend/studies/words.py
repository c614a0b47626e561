"""Findings of a study, in sentences that its numbers generate. Nothing is called an effect that is not told from
chance after correction for the number of comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from frontend import formatting
from frontend.studies.figures import comparison
from frontend.studies.names import claimed, is_share, name_of, percent, place_of, span, units, written
from server.jobs.progress import FINAL
from server.studies.schema import ALIGNMENTS, Alignment, Statistic, Study

Found = Mapping[str, Statistic]
READINGS = {"at": "Readings at the digits", "before": "Readings before them"}
PLACES = {"country": "Readings at the country", "last": "Readings at the prompt’s last token"}
NULL = "readings of other problems at the same place"


def sentences(study: Study) -> list[str]:
    """The paragraph; empty before there are statistics."""
    if not any(study.statistics.values()) or not study.cases:
        return []
    told = list(TOLD[study.kind](study))
    if told and study.status not in FINAL:
        total = study.progress.total or len(study.cases)
        told[0] = f"So far, over {len(study.cases):,} of {total:,}: {told[0][0].lower()}{told[0][1:]}"
    return told


def _multiplication(study: Study) -> Iterator[str]:
    yield from _answers(study)
    for alignment in ALIGNMENTS:
        yield from _stated(study, alignment)
    for alignment in ALIGNMENTS:
        yield from _wrong(study, alignment)
    yield from _scores(study)
    yield from _lens(study)
    yield from _edits(study)


def _answers(study: Study) -> Iterator[str]:
    found = study.statistics.get("answers", {})
    exact = found.get("exact")
    if exact is None or exact.value is None:
        return
    line = f"The model gives the right answer to {_told(exact)} of {exact.n:,} problems"
    places = []
    for name, statistic in found.items():
        place = re.fullmatch(r"digit_(\d+)_right", name)
        if place and statistic.value is not None:
            places.append((place_of(int(place[1]) - 1), percent(statistic.value)))
    if places:
        (first, share), *others = places
        line += f"; the {first} digit is right in {share}"
        line += "".join(f", the {name} in {value}" for name, value in others)
    yield f"{line}."


def _stated(study: Study, alignment: Alignment) -> Iterator[str]:
    found = study.statistics.get(alignment, {})
    states, same = found.get("states_a_result"), found.get("same_digit")
    if states is None or states.value is None:
        return
    if same is None or same.value is None:
        if states.value == 0:
            upper = "" if states.interval is None else f" ({span(states.interval, percent)})"
            yield f"{READINGS[alignment]} state no result, 0 of {states.n:,}{upper}."
        else:
            yield f"{READINGS[alignment]} state a result in {_told(states)}, but none as long as the answer."
        return
    yield (
        f"{READINGS[alignment]} state a result in {percent(states.value)}. Where one does, it has the model’s own "
        f"digit at that place in {_told(same)}, against {_by_chance(same)} in {NULL}: {_verdict(same)}."
    )


def _wrong(study: Study, alignment: Alignment) -> Iterator[str]:
    found = study.statistics.get(alignment, {})
    produced, correct = found.get("hints_produced_when_wrong"), found.get("hints_correct_when_wrong")
    if not produced or not correct or produced.value is None or correct.value is None:
        return
    hints = found.get("hints_a_digit")
    if hints is not None and hints.value == 0:
        return
    where = {"at": "at it", "before": "before it"}[alignment]
    yield (
        f"Where a digit is wrong, the words {where} hint the one that the model writes in {_told(produced)}, against "
        f"{_by_chance(produced)} by chance ({_verdict(produced)}), and the right one in {_told(correct)}, against "
        f"{_by_chance(correct)} ({_verdict(correct)})."
    )


def _scores(study: Study) -> Iterator[str]:
    found = study.statistics.get("before", {})
    right, wrong, gap = (found.get(f"fve_{side}") for side in ("right", "wrong", "difference"))
    if not right or not wrong or not gap or right.value is None or wrong.value is None:
        return
    told = "a difference" if claimed(gap) else "no difference that can be told from chance"
    yield (
        f"Readings before right digits hold {percent(right.value)} of the activation, before wrong ones "
        f"{percent(wrong.value)}: {told}."
    )


def _lens(study: Study) -> Iterator[str]:
    found = study.statistics.get("lens", {})
    right, wrong, gap = (found.get(f"first_layer_{side}") for side in ("right", "wrong", "difference"))
    if not right or not wrong or right.value is None or wrong.value is None:
        return
    line = (
        f"By the logit lens, the digit is first from layer {formatting.number(right.value, 1)} on average where it is "
        f"right, and from {formatting.number(wrong.value, 1)} where it is wrong"
    )
    if gap is not None and gap.value is not None:
        interval = "" if gap.interval is None else f", interval {span(gap.interval, _one)}"
        told = "more than" if claimed(gap) else "no more than"
        line += f" (a difference of {_one(gap.value)}{interval}): {told} the places of the digits and chance make of it"
    yield f"{line}."


def _one(value: float) -> str:
    return formatting.number(value, 1)


def _edits(study: Study) -> Iterator[str]:
    found = study.statistics.get("edits", {})
    doses = {
        float(name.rpartition("_at_")[2]): s
        for name, s in found.items()
        if name.startswith("intended_at_") and s.value is not None
    }
    if not doses:
        return
    alpha = max(sorted(doses), key=lambda each: doses[each].value or 0.0)
    best = doses[alpha]
    over = found.get(f"prob_over_random_at_{alpha:g}")
    line = (
        f"Of {best.n:,} digits replaced in the words before them, {_told(best)} come out at α = {alpha:g}, the "
        "strength at which most do"
    )
    if over is not None and over.value is not None and over.interval is not None:
        told = "more" if over.interval[0] > 0 else "no more"
        line += f"; the digit becomes {told} likely than after random directions of the same angle"
    yield f"{line}."


def _prompts(study: Study) -> Iterator[str]:
    readings = sum(len(case.readings) for case in study.cases)
    yield f"{readings:,} readings of {len(study.cases):,} prompts."
    for name, statistic in study.statistics.get("readings", {}).items():
        if statistic.value is None:
            continue
        more = comparison(study, name, statistic)
        verdict = f": {_verdict(statistic)}" if statistic.p_corrected is not None else ""
        what = "" if is_share(study, name) else " on average"
        value = written(study, name)(statistic.value)
        yield f"{name_of(name)}: {value}{what}{f' ({more})' if more else ''}{verdict}."


def _capitals(study: Study) -> Iterator[str]:
    says = study.statistics.get("answers", {}).get("says_the_capital")
    if says is not None and says.value is not None:
        yield f"The model says the capital of {_told(says)} of {units(study.kind, says.n)}."
    for where, readings in PLACES.items():
        found = study.statistics.get(where, {})
        country, capital = found.get("names_country"), found.get("names_capital")
        if country and capital and country.value is not None and capital.value is not None:
            yield (
                f"{readings} name the country in {_told(country)}, against {_by_chance(country)} in readings of other "
                f"countries ({_verdict(country)}), and its capital in {_told(capital)}, against {_by_chance(capital)} "
                f"({_verdict(capital)})."
            )
    for where, readings in PLACES.items():
        edits = study.statistics.get(f"edits_{where}", {})
        carried = {n: s for n, s in edits.items() if n.startswith("carries_over_") and s.value is not None}
        if not carried:
            continue
        name = max(carried, key=lambda each: carried[each].value or 0.0)
        best, way = carried[name], name.removeprefix("carries_over_")
        how = (
            "in the activation’s place" if way == "replaced" else f"steering at α = {way.removeprefix('at_')}"
        )
        yield (
            f"{readings}, with another country in their words and {how}, the way that does most, make the model say "
            f"the other capital in {_told(best)} of {best.n:,} edits, against {_by_chance(best)} after random "
            f"directions of the same angle: {_verdict(best)}."
        )


def _languages(study: Study) -> Iterator[str]:
    found = study.statistics.get("readings", {})
    named, right = found.get("names_a_language"), found.get("names_the_language")
    if named is None or named.value is None:
        return
    yield f"Of {named.n:,} readings, {_told(named)} name one of the languages of the transcripts."
    if right is not None and right.value is not None and named.value > 0:
        yield (
            f"The language that is written where they are is named by {_told(right)}, against {_by_chance(right)} when "
            f"the readings are moved along their transcript: {_verdict(right)}."
        )
    claims = [
        name.removeprefix("names_") for name, s in study.statistics.get("languages", {}).items() if claimed(s)
    ]
    if claims:
        yield f"Taken one by one, it is named more than chance gives where it is {formatting.plain(_listed(claims))}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


TOLD: Mapping[str, Callable[[Study], Iterator[str]]] = {
    "multiplication": _multiplication,
    "prompts": _prompts,
    "capitals": _capitals,
    "languages": _languages,
}
"""What tells the findings of each kind of study."""


def _told(statistic: Statistic) -> str:
    assert statistic.value is not None, "it was looked at before"
    interval = "" if statistic.interval is None else f" ({span(statistic.interval, percent)})"
    return f"{percent(statistic.value)}{interval}"


def _by_chance(statistic: Statistic) -> str:
    null = statistic.null
    return "an unknown share" if null is None or null.value is None else percent(null.value)


def _verdict(statistic: Statistic) -> str:
    if statistic.p_corrected is None:
        return "nothing to tell it from"
    return "more than chance gives" if claimed(statistic) else "no more than chance can give"
