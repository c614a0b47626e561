"""What the plan decides: pairs and machines in, arrangements out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.errors import BadInput, CheckpointError, SettingsError
from server.nla.checkpoints.pairs import RELEASED, ROLES
from server.nla.memory.estimates import GIB, LEAST_SEQUENCES, Requirements
from server.nla.memory.fit_errors import BOXES, lower_precision, require_fit, smallest_box
from server.nla.memory.machine import Device, parse_sizes, unused_gpus
from server.nla.memory.plan import Constraints, Plan, plan
from server.nla.memory.precision import format_precision, parse_precision, precision_order
from server.nla.memory.requirements import model_of_shape
from server.nla.memory.table import lines

PAIRS = {
    entry.name.rpartition("-")[0]: Requirements(
        entry.name, {role: model_of_shape(role, entry.shape, entry.layer) for role in ROLES}, exact=False
    )
    for entry in RELEASED
    if entry.shape is not None and entry.layer is not None
}
QWEN, GEMMA12, GEMMA27, LLAMA = PAIRS.values()


def arrangement(found: Plan) -> str:
    """`0 | 1 | 1`: the GPUs of AV, target and AR."""
    return " | ".join(",".join(map(str, found.parts[role].share)) for role in ("av", "target", "ar"))


@pytest.mark.parametrize(
    ("pair", "gpus", "expected"),
    [
        ("qwen2.5-7b", "48", "0 | 0 | 0"),
        ("qwen2.5-7b", "80", "0 | 0 | 0"),
        ("qwen2.5-7b", "80,80", "0 | 1 | 1"),
        ("qwen2.5-7b", "80,80,80,80", "0 | 1 | 2"),
        ("qwen2.5-7b", "24,24,24", "0 | 1 | 2"),
        ("qwen2.5-7b", "24,48", "0 | 1 | 1"),
        ("qwen2.5-7b", "48,24", "0 | 0 | 1"),
        ("gemma3-27b", "4x80", "0 | 1 | 2"),
        ("gemma3-27b", "2x141", "0 | 1 | 1"),
        ("gemma3-27b", "4x48", "0,1 | 0,1,2 | 3"),
        ("llama3.3-70b", "8x80", "0,1 | 2,3 | 4,5"),
        ("llama3.3-70b", "4x141", "0 | 1 | 2"),
    ],
)
def test_arrangements_in_sixteen_bits(pair: str, gpus: str, expected: str) -> None:
    found = require_fit(PAIRS[pair], unused_gpus(parse_sizes(gpus)), Constraints())
    assert arrangement(found) == expected
    assert format_precision(found.precision) == "bf16"


@pytest.mark.parametrize(
    ("requirements", "gpus", "expected"),
    [
        (QWEN, "48", "bf16"),
        (QWEN, "24", "av=4bit,target=4bit,ar=4bit"),
        (GEMMA12, "48", "av=fp8,target=4bit,ar=4bit"),
        (GEMMA27, "141", "av=fp8"),
        (GEMMA27, "2x80", "av=fp8"),
        (LLAMA, "8x80", "bf16"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_auto_lowers_no_more_than_it_must(requirements: Requirements, gpus: str, expected: str) -> None:
    assert (
        format_precision(
            require_fit(requirements, unused_gpus(parse_sizes(gpus)), Constraints("auto")).precision
        )
        == expected
    )


@pytest.mark.parametrize("gpus", ["48", "80,80", "24,24,24", "8x80", "4x141"])
@pytest.mark.parametrize("requirements", PAIRS.values(), ids=PAIRS)
def test_no_plan_takes_more_than_is_free_and_every_weight_has_a_place(
    requirements: Requirements, gpus: str
) -> None:
    devices = unused_gpus(parse_sizes(gpus))
    found = plan(requirements, devices, Constraints("auto"))
    if found is None:
        return
    for device in devices:
        assert found.used(device.index) <= device.free
    for role, part in found.parts.items():
        assert part.weights == pytest.approx(requirements.models[role].weights(part.held), abs=8)


def test_where_a_model_is_cut_room_for_a_block_is_left_to_it() -> None:
    """Whole blocks do not fill a share exactly: each piece may be a block, or the embedding table, larger."""
    found = require_fit(LLAMA, unused_gpus([80] * 8), Constraints())
    tables = 128256 * 8192 * 2
    for role in ("target", "ar"):
        assert len(found.parts[role].share) > 1
        for index in found.parts[role].share:
            assert found.used(index) + tables <= found.devices[index].free


@pytest.mark.parametrize("precision", ["bf16", "auto", "av=fp8", "target=4bit,ar=4bit"])
@pytest.mark.parametrize("gpus", ["16", "24", "2x24", "48", "80", "2x80"])
@pytest.mark.parametrize("requirements", PAIRS.values(), ids=PAIRS)
def test_what_a_refusal_proposes_fits(requirements: Requirements, gpus: str, precision: str) -> None:
    devices, constraints = unused_gpus(parse_sizes(gpus)), Constraints(precision)
    if plan(requirements, devices, constraints) is not None:
        return
    with pytest.raises(CheckpointError, match=f"^memory: {requirements.name} does not fit") as refused:
        require_fit(requirements, devices, constraints)
    if (lower := lower_precision(requirements, devices, constraints)) is not None:
        assert f"NLA_PRECISION={format_precision(lower)} " in refused.value.detail
        assert (
            plan(requirements, devices, replace(constraints, precision=format_precision(lower))) is not None
        )
    box = smallest_box(requirements, constraints)
    assert box is not None
    assert plan(requirements, unused_gpus([box[1]] * box[0]), constraints) is not None
    assert all(
        plan(requirements, unused_gpus([size] * count), constraints) is None
        for count, size in BOXES[: BOXES.index(box)]
    )


def test_a_refusal_says_what_is_needed_what_is_free_and_what_would_fit() -> None:
    with pytest.raises(CheckpointError) as refused:
        require_fit(QWEN, unused_gpus([24]), Constraints())
    said = refused.value.detail
    assert refused.value.check == "memory"
    assert "it needs 46.5 GiB, and 23.5 GiB are free on the GPU" in said
    assert "with NLA_PRECISION=av=4bit,target=4bit,ar=4bit (22.4 GiB" in said
    assert "on one GPU of 48 GiB" in said


def test_other_programs_memory_is_not_planned_with() -> None:
    busy = [replace(device, free=20 * GIB) for device in unused_gpus([80])]
    assert plan(QWEN, busy, Constraints()) is None


def test_an_av_held_elsewhere_takes_nothing_here() -> None:
    requirements = replace(QWEN, models={role: QWEN.models[role] for role in ("target", "ar")})
    found = require_fit(requirements, unused_gpus([48]), Constraints(verbaliser="vllm-server"))
    assert set(found.parts) == {"target", "ar"}
    assert not found.sequences


def test_more_room_lets_more_readings_be_written_at_once() -> None:
    at_once = [require_fit(QWEN, unused_gpus([size]), Constraints()).sequences for size in (48, 80)]
    assert LEAST_SEQUENCES <= at_once[0] < at_once[1] == 256


def test_a_machine_without_a_gpu_holds_everything_in_float32() -> None:
    memory = Device(0, "memory", 200 * GIB, 200 * GIB, cpu=True)
    found = require_fit(QWEN, [memory], Constraints())
    assert {part.held for part in found.parts.values()} == {"float32"}
    assert {part.engine for part in found.parts.values()} == {"transformers"}


def test_of_a_machines_memory_the_weights_alone_are_demanded() -> None:
    weights = sum(model.weights("float32") for model in QWEN.models.values())
    roomy = Device(0, "memory", weights, weights, cpu=True)
    found = require_fit(QWEN, [roomy], Constraints())
    assert found.used(0) > roomy.free
    assert "For the longest texts" in " ".join(found.notes)
    assert plan(QWEN, [replace(roomy, free=weights - 1)], Constraints()) is None


class TestKinds:
    def test_what_is_not_named_is_not_quantised(self) -> None:
        assert parse_precision("av=fp8, target=4bit") == {
            "av": ("fp8",),
            "target": ("4bit",),
            "ar": ("bf16",),
        }

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("int3", "'int3' is not known"),
            ("ar=fp8", "takes bf16, 8bit, 4bit, auto"),
            ("av", "cannot be held in ''"),
        ],
    )
    def test_an_unknown_word_is_named_with_what_is_known(self, setting: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            parse_precision(setting)

    def test_the_av_is_lowered_first_then_the_target_then_the_ar(self) -> None:
        steps = [format_precision(step) for step in precision_order(parse_precision("auto"))]
        assert steps[:5] == ["bf16", "av=fp8", "av=8bit", "av=4bit", "target=8bit"]
        assert steps.index("av=4bit,target=4bit") < steps.index("ar=8bit")

    def test_eight_bits_are_refused_for_gemma_whose_values_exceed_float16(self) -> None:
        with pytest.raises(
            SettingsError, match="ar=8bit is not possible: bitsandbytes computes 8 bits in float16"
        ):
            require_fit(GEMMA12, unused_gpus([80]), Constraints("ar=8bit"))

    def test_a_gpu_that_is_too_old_for_fp8_is_said_to_be(self) -> None:
        old = [replace(device, name="V100", capability=(7, 0)) for device in unused_gpus([80])]
        with pytest.raises(SettingsError, match="V100 is older than CUDA capability"):
            require_fit(QWEN, old, Constraints("av=fp8"))

    def test_a_gpu_without_fp8_arithmetic_keeps_weights_in_it_alone(self) -> None:
        ampere = [replace(device, name="A100", capability=(8, 0)) for device in unused_gpus([80])]
        assert "A100 has no FP8 arithmetic" in " ".join(
            require_fit(QWEN, ampere, Constraints("av=fp8")).notes
        )

    def test_fp8_is_vllms(self) -> None:
        with pytest.raises(SettingsError, match="the engine transformers takes bf16, 8bit, 4bit"):
            require_fit(QWEN, unused_gpus([80]), Constraints("av=fp8", "transformers"))

    def test_four_bits_are_transformers(self) -> None:
        found = require_fit(QWEN, unused_gpus([80]), Constraints("av=4bit"))
        assert found.parts["av"].engine == "transformers"
        assert "several times as slowly" in " ".join(found.notes)


@pytest.mark.parametrize("text", ["", "80,x", "0", "80,80x", "-1", "99x80"])
def test_sizes_of_gpus_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_sizes(text)
    assert refused.value.field == "gpus"


def test_the_table_names_each_model_its_kind_and_its_place() -> None:
    table = list(lines(require_fit(QWEN, unused_gpus([80, 80]), Constraints("av=fp8"))))
    rows = {line.split()[0]: line.split()[1:] for line in table[2:5]}
    assert rows["av"][:2] == ["fp8", "vllm"] and rows["av"][-2:] == ["GPU", "0"]
    assert rows["target"][:3] == ["bf16", "transformers", "14.2"] and rows["target"][-2:] == ["GPU", "1"]
    assert rows["ar"][-2:] == ["GPU", "1"]
