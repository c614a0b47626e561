"""Numbers of replicas in a cluster, and errors that come from other processes; all of it without Ray."""

from __future__ import annotations

import pickle

import pytest

from server.errors import BadInput, CheckpointError, FieldError, NlaError, NotReady, SettingsError
from server.nla.cluster.bounds import Bounds, parse_bounds
from server.nla.memory.precision import of_roles
from server.settings import Settings


def test_a_model_that_is_not_named_has_one_replica() -> None:
    assert parse_bounds("") == {"target": Bounds(1, 1), "av": Bounds(1, 1), "ar": Bounds(1, 1)}
    assert parse_bounds(" av=1-4, ar=2 ") == {"target": Bounds(1, 1), "av": Bounds(1, 4), "ar": Bounds(2, 2)}


def test_bounds_are_followed_and_a_number_is_kept() -> None:
    assert Bounds(2, 2).options() == {"num_replicas": 2}
    assert Bounds(0, 3).options() == {"autoscaling_config": {"min_replicas": 0, "max_replicas": 3}}


@pytest.mark.parametrize(
    "text", ["av", "av=", "av=0", "av=4-1", "av=-1", "av=1001", "lens=2", "av=1-4-5", "av=two"]
)
def test_what_is_no_number_of_replicas_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match=f"NLA_RAY_REPLICAS: '{text}'"):
        parse_bounds(f"ar=2,{text}")


@pytest.mark.parametrize(
    ("setting", "of_the_av"),
    [
        ("bf16", "bf16"),
        ("auto", "auto"),
        ("av=fp8,target=4bit", "av=fp8"),
        ("target=4bit", "bf16"),
        ("lens=4bit,ar=8bit", "lens=4bit"),  # refused, wherever it is read
    ],
)
def test_a_precision_is_taken_apart_by_models(setting: str, of_the_av: str) -> None:
    assert of_roles(setting, ["av"]) == of_the_av


@pytest.mark.parametrize(
    "error",
    [
        BadInput("layer", "There is no such layer.", FieldError("more", "Nor this.")),
        CheckpointError("It does not fit.", check="memory"),
        NotReady("Not yet."),
    ],
)
def test_an_error_is_the_same_in_another_process(error: NlaError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.detail, again.errors, str(again), vars(again)) == (
        error.detail,
        error.errors,
        str(error),
        vars(error),
    )


def test_vllm_servers_and_a_cluster_are_refused_together(plain_environment: None) -> None:
    settings = Settings(models="ray", verbaliser="vllm-server", vllm_urls="http://127.0.0.1:1")
    with pytest.raises(SettingsError, match="the cluster holds the AV"):
        settings.check()
