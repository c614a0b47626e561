"""The container files agree with each other and with the settings. What their own tools find, docker/check tells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "docker/Dockerfile").read_text())
COMPOSITIONS = {
    name: yaml.safe_load((ROOT / "docker" / name).read_text())
    for name in ("compose.yaml", "compose.cpu.yaml", "compose.ray.yaml")
}
MANIFESTS = list(yaml.safe_load_all((ROOT / "docker/kuberay.yaml").read_text()))
SETTINGS = {f"NLA_{name.upper()}": field for name, field in Settings.model_fields.items()}
compositions = pytest.mark.parametrize("name", COMPOSITIONS)


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word} +(.*)$", DOCKERFILE, re.MULTILINE)


def examples() -> dict[str, str]:
    text = (ROOT / "docker/.env.example").read_text()
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = COMPOSITIONS[name]["services"]
    return found


def test_the_example_names_every_setting_and_no_other() -> None:
    assert {name for name in examples() if name.startswith("NLA_")} == set(SETTINGS)


def test_the_example_changes_nothing_until_it_is_edited() -> None:
    text = (ROOT / "docker/.env.example").read_text()
    assert all(line.startswith("#") for line in text.splitlines() if line)


def test_the_example_tells_the_defaults() -> None:
    given = {name: value for name, value in examples().items() if name in SETTINGS and value}
    assert given == {
        name: str(SETTINGS[name].get_default(call_default_factory=True, validated_data={})) for name in given
    }
    hidden = set(SETTINGS) - set(given) - {"NLA_DATA_DIR", "NLA_CACHE_DIR"}
    assert {SETTINGS[name].get_default() for name in hidden} == {None, ""}


def test_the_bases_are_named_with_a_version() -> None:
    images = [base.split()[0] for base in instructions("FROM")]
    for name in ("compose.yaml", "compose.ray.yaml"):
        images += [s["image"] for s in services(name).values() if "build" not in s]
    assert all(re.search(r":\d[\w.-]*$", image) for image in images), images


def test_build_and_last_stage_have_the_same_python() -> None:
    assert len({base.split()[0] for base in instructions("FROM")}) == 1


def test_the_image_runs_as_an_ordinary_user_with_a_fixed_number() -> None:
    assert instructions("USER")[-1] == "10001:10001"
    assert "--uid 10001" in DOCKERFILE


def test_nothing_is_downloaded_but_pinned_packages() -> None:
    assert not instructions("ADD")
    assert "://" not in re.sub(r"http://127\.0\.0\.1\S*", "", DOCKERFILE)
    asked = re.findall(r"pip install[^&\n]* -r \S+", DOCKERFILE)
    assert len(asked) == 2
    assert all("--require-hashes --no-deps" in words for words in asked)


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [w for line in instructions("COPY") if "--from" not in line for w in line.split()[:-1]]
    for requirements in ("base", "vllm"):
        for source in copied:
            path = source.replace("${REQUIREMENTS}", requirements)
            assert (ROOT / path).exists()
            assert any(Path(path).match(pattern) for pattern in allowed), path


@compositions
def test_requirements_of_a_composition_are_there(name: str) -> None:
    wanted = services(name)["explorer"]["build"]["args"]["REQUIREMENTS"]
    assert (ROOT / "requirements" / f"{wanted}.txt").exists()


@compositions
def test_a_composition_sets_settings_alone(name: str) -> None:
    said = {word for word in services(name)["explorer"].get("environment", {}) if word.startswith("NLA_")}
    assert said <= set(SETTINGS)


@compositions
def test_secrets_stand_in_files_that_somebody_reads(name: str) -> None:
    declared = COMPOSITIONS[name]["secrets"]
    assert {secret["file"] for secret in declared.values()} == {f"secrets/{name}" for name in declared}
    assert {s for service in services(name).values() for s in service.get("secrets", [])} == set(declared)
    hub = re.findall(r"HF_TOKEN_PATH=/run/secrets/(\w+)", DOCKERFILE)
    assert {secret.upper() for secret in declared} - {hub[0].upper()} <= set(SETTINGS)


@compositions
def test_no_secret_stands_in_the_environment(name: str) -> None:
    said = " ".join(str(service.get("environment", "")) for service in services(name).values())
    assert not re.search(r"(PASSWORD|TOKEN)'", said)
    assert not re.search(r"://[^/@]*:[^/@]*@", said)


@compositions
def test_the_volumes_of_the_image_outlive_the_container(name: str) -> None:
    mounted = {volume.split(":")[1] for volume in services(name)["explorer"]["volumes"]}
    assert set(yaml.safe_load(instructions("VOLUME")[0])) <= mounted
    declared = {v.split(":")[0] for s in services(name).values() for v in s["volumes"] if v[0] != "."}
    assert declared == set(COMPOSITIONS[name]["volumes"])


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    for composition in ("compose.yaml", "compose.ray.yaml"):
        assert {name for name, service in services(composition).items() if "ports" in service} == {"proxy"}
    (port,) = services("compose.cpu.yaml")["explorer"]["ports"]
    assert port.startswith("127.0.0.1:")


def test_whoever_waits_waits_for_health() -> None:
    for name in ("compose.yaml", "compose.ray.yaml"):
        said = services(name)
        for service in said.values():
            for other, condition in service.get("depends_on", {}).items():
                assert condition == {"condition": "service_healthy"}
                assert "healthcheck" in said[other] or "build" in said[other]


def test_every_node_joins_the_head_that_is_there() -> None:
    nodes = services("compose.ray.yaml")
    assert "--head" in nodes["head"]["command"] and "--port=6379" in nodes["head"]["command"]
    for name in ("worker-1", "worker-2"):
        assert "--address=head:6379" in nodes[name]["command"]
    assert "--address=head:6379 --num-cpus=0 && exec nla-explorer" in nodes["explorer"]["entrypoint"][-1]
    given = [nodes[f"worker-{n}"]["deploy"]["resources"]["reservations"]["devices"][0] for n in (1, 2)]
    assert [device["device_ids"] for device in given] == [["0"], ["1"]]


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [m for m in MANIFESTS if m["kind"] == kind and m["metadata"]["name"] == name]
    return dict(found)


def pods() -> dict[str, dict[str, Any]]:
    cluster = manifest("RayCluster", "nla")["spec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    found = {group.get("groupName", "head"): group["template"]["spec"] for group in groups}
    for kind, name in (("Deployment", "nla-explorer"), ("StatefulSet", "nla-database")):
        found[name] = manifest(kind, name)["spec"]["template"]["spec"]
    return found


def test_the_manifests_set_settings_alone_and_have_ray_as_it_is_pinned() -> None:
    (explorer,) = pods()["nla-explorer"]["containers"]
    said = {*manifest("ConfigMap", "nla")["data"], *(each["name"] for each in explorer["env"])}
    assert {name for name in said if name.startswith("NLA_")} <= set(SETTINGS)
    pins = (ROOT / "requirements/cluster.txt").read_text()
    assert f"\nray=={manifest('RayCluster', 'nla')['spec']['rayVersion']} " in pins


def test_the_pods_of_the_manifests_are_no_roots_and_know_no_secret_that_they_do_not_need() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
        secrets = [volume["secret"] for volume in pod.get("volumes", ()) if "secret" in volume]
        if name in ("head", "gpu"):
            assert [item["key"] for secret in secrets for item in secret["items"]] == ["hf_token"]


def test_every_pod_of_the_manifests_joins_the_head_and_none_else_reaches_its_ports() -> None:
    head = f"{manifest('RayCluster', 'nla')['metadata']['name']}-head-svc:6379"  # KubeRay's name for it
    (worker,), (explorer,) = (pods()[name]["containers"] for name in ("gpu", "nla-explorer"))
    assert worker["readinessProbe"]["exec"]["command"][-1] == f"--address={head}"
    assert f"ray start --address={head} --num-cpus=0 && exec nla-explorer" in explorer["command"][-1]
    allowed = manifest("NetworkPolicy", "nla")["spec"]
    assert allowed["ingress"] == [{"from": [{"podSelector": allowed["podSelector"]}]}]
