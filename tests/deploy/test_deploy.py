"""What deploy/ brings up fits together and fits Freshet, as far as that shows without a Docker engine."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.broker.container import IMAGE
from streams.broker.properties import kraft_properties
from streams.connection import addresses
from streams.metrics import Metrics
from streams.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from streams.topics import plan_topics
from streams.web import WebServer
from tests.docs.commands import check_call

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")


def read_yaml(path: Path) -> dict[str, Any]:
    """Return what a file of YAML says."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


COMPOSE = read_yaml(DEPLOY / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = read_yaml(DEPLOY / "prometheus.yml")
DATASOURCES = read_yaml(ROOT / "grafana" / "provisioning" / "datasources" / "freshet.yml")["datasources"]
DASHBOARDS = read_yaml(ROOT / "grafana" / "provisioning" / "dashboards" / "freshet.yml")["providers"]


def instructions(keyword: str) -> list[str]:
    """Return what follows a keyword of the Dockerfile, wherever it occurs."""
    return re.findall(rf"^{keyword} +(.*)$", DOCKERFILE, re.MULTILINE)


def image_environment() -> dict[str, str]:
    """Return the FRESHET_* variables of the image."""
    pairs = (word.partition("=") for line in instructions("ENV") for word in line.split())
    return {name: value for name, _, value in pairs if name.startswith(ENVIRONMENT_PREFIX)}


def container_settings() -> Settings:
    """Return the settings of a worker in its container."""
    return load_settings(DEPLOY / "freshet.toml", image_environment())


def mounts(service: str) -> dict[str, Path]:
    """Return the files and folders of the repository that a service sees: path inside -> path here."""
    volumes = [volume.split(":") for volume in SERVICES[service].get("volumes", ())]
    return {inside: (DEPLOY / here).resolve() for here, inside, *_ in volumes if here.startswith(".")}


def seen_by(service: str, path: str) -> Path:
    """Return the file of the repository that a service sees at this path."""
    for inside, here in mounts(service).items():
        if path == inside or path.startswith(f"{inside}/"):
            return here / path.removeprefix(inside).lstrip("/") if path != inside else here
    raise AssertionError(f"{service} sees nothing of the repository at {path}")


def test_the_settings_of_the_containers_are_real() -> None:
    """deploy/freshet.toml and the image's variables load, and none of them is set in both places."""
    settings = container_settings()
    said = tomllib.loads((DEPLOY / "freshet.toml").read_text(encoding="utf-8"))
    assert not set(said) & {name.removeprefix(ENVIRONMENT_PREFIX).lower() for name in image_environment()}
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - else nobody reaches it from outside its container
    assert seen_by("worker", "/etc/freshet/freshet.toml") == DEPLOY / "freshet.toml"
    assert instructions("WORKDIR")[-1] == "/etc/freshet"
    assert instructions("VOLUME") == [settings.data_directory]
    assert plan_topics(settings, {})


def test_workers_reach_kafka_where_it_says_it_is() -> None:
    """The bootstrap address is one that Kafka listens on and advertises inside the network."""
    ((host, port),) = addresses(container_settings())
    kafka = SERVICES[host]["environment"]
    assert f"PLAINTEXT://{host}:{port}" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"PLAINTEXT://0.0.0.0:{port}" in kafka["KAFKA_LISTENERS"].split(",")
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] == "PLAINTEXT"
    assert f"127.0.0.1:{port}" in SERVICES[host]["healthcheck"]["test"]


def test_kafka_is_the_one_that_freshet_is_tested_with() -> None:
    """Version and single-node settings are those of the development broker."""
    assert SERVICES["kafka"]["image"] == IMAGE
    told = SERVICES["kafka"]["environment"]
    developed = {
        f"KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in kraft_properties(9092, 29093, "/var/lib/kafka/data").items()
        if "listeners" not in name and "protocol" not in name
    }
    assert {name: str(told[name]) for name in told if name in developed}.items() <= developed.items()
    one_node = {
        name for name in developed if name.endswith(("REPLICATION_FACTOR", "MIN_ISR", "ROLES", "VOTERS"))
    }
    assert one_node <= set(told)
    assert set(told) - set(developed) == {
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
        "KAFKA_HEAP_OPTS",
    }


@pytest.mark.parametrize("service", [name for name, each in SERVICES.items() if each["image"] == "freshet"])
def test_the_commands_of_the_services_exist(service: str) -> None:
    """Each service of Freshet's image calls a command with options that it has."""
    assert instructions("ENTRYPOINT") == ['["freshet"]']
    check_call(SERVICES[service]["command"])


def test_what_runs_without_compose_is_a_worker() -> None:
    """The image's own command exists as well."""
    (command,) = instructions("CMD")
    check_call(json.loads(command))


def test_prometheus_scrapes_the_workers() -> None:
    """The target is the worker's service at the port of its metrics, under the name that the alerts know."""
    (scraped,) = PROMETHEUS["scrape_configs"]
    (targets,) = scraped["dns_sd_configs"]
    assert targets["names"] == ["worker"]
    assert targets["port"] == container_settings().metrics_port == int(instructions("EXPOSE")[0])
    rules = (ROOT / "grafana" / "alerts" / "freshet.rules.yml").read_text(encoding="utf-8")
    assert set(re.findall(r'job="(\w+)"', rules)) == {scraped["job_name"]}


def test_prometheus_finds_its_configuration_and_the_rules() -> None:
    """What compose mounts is what Prometheus reads: its own file, and the alerts beside it."""
    assert seen_by("prometheus", "/etc/prometheus/prometheus.yml") == DEPLOY / "prometheus.yml"
    (pattern,) = PROMETHEUS["rule_files"]
    folder = seen_by("prometheus", f"/etc/prometheus/{Path(pattern).parent}")
    assert [file.name for file in folder.glob(Path(pattern).name)] == ["freshet.rules.yml"]


def test_grafana_shows_the_very_dashboard_from_this_prometheus() -> None:
    """Provisioning and dashboards are those of grafana/, and the data source is the service of Prometheus."""
    assert seen_by("grafana", "/etc/grafana/provisioning") == ROOT / "grafana" / "provisioning"
    assert {seen_by("grafana", provider["options"]["path"]) for provider in DASHBOARDS} == {
        ROOT / "grafana" / "dashboards"
    }
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert json.loads(seen_by("grafana", home).read_text(encoding="utf-8"))["uid"] == "freshet"
    (source,) = DATASOURCES
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


class NoWorker:
    """Somebody to ask who knows nothing."""

    def readiness(self) -> str | None:
        """Not even ready."""
        return "restoring"

    async def inspect_user(self, _: str) -> dict[str, Any] | None:
        """Nobody is known."""
        return None

    async def inspect_worker(self) -> dict[str, Any]:
        """Nothing is owned."""
        return {}


async def test_the_health_check_asks_what_a_worker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's health check finds a worker well while it lives, ready or not, and ill when it is gone."""
    (check,) = instructions("HEALTHCHECK")
    python, *arguments = json.loads(check[check.index("[") :])
    assert python == "python"
    assert "FRESHET_METRICS_PORT" in image_environment()
    server = WebServer("127.0.0.1", 0, Metrics(), NoWorker())
    server.bind()
    monkeypatch.setenv("FRESHET_METRICS_PORT", str(server.port))

    async def exit_code() -> int:
        checking = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL
        )
        return await checking.wait()

    await server.start()
    assert await exit_code() == 0
    await server.stop()
    assert await exit_code() != 0


def test_nothing_listens_to_other_machines() -> None:
    """Every published port is on the loopback address, since nothing has a password."""
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_services_wait_for_what_is_there() -> None:
    """A service waits for services that exist; for health only where it is checked; volumes are declared."""
    checked = {
        name for name, each in SERVICES.items() if each.get("healthcheck") or each["image"] == "freshet"
    }
    unchecked = {name for name, each in SERVICES.items() if each.get("healthcheck", {}).get("disable")}
    for service in SERVICES.values():
        waits = service.get("depends_on", {})
        assert set(waits) <= set(SERVICES)
        healthy = {
            name
            for name in waits
            if isinstance(waits, dict) and waits[name]["condition"] == "service_healthy"
        }
        assert healthy <= checked - unchecked
        for volume in service.get("volumes", ()):
            here = volume.split(":")[0]
            assert (DEPLOY / here).exists() if here.startswith(".") else here in COMPOSE["volumes"]


def test_images_are_pinned() -> None:
    """No image floats: each has a version, or is built here."""
    for service in SERVICES.values():
        assert service["image"] == "freshet" or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    built = {name for name, each in SERVICES.items() if each["image"] == "freshet"}
    assert built == {name for name, each in SERVICES.items() if "build" in each}
    contexts = {(DEPLOY / SERVICES[name]["build"]["context"]).resolve() for name in built}
    assert contexts == {ROOT}
    assert {ROOT / SERVICES[name]["build"]["dockerfile"] for name in built} == {DEPLOY / "Dockerfile"}


def test_the_image_has_what_freshet_needs_and_no_more() -> None:
    """All rooms are copied, what is copied passes the ignore file, and the image runs as nobody special."""
    copied = [words.split()[:-1] for words in instructions("COPY") if not words.startswith("--from")]
    names = {name for words in copied for name in words}
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {each.rstrip("*") for each in rooms["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert names == packages | {"pyproject.toml", "constraints.txt", rooms["project"]["readme"]}
    assert all((ROOT / name).exists() for name in names)
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == names
    assert instructions("USER") == ["freshet"]
    assert "--constraint constraints.txt" in DOCKERFILE
    versions = {re.fullmatch(r"python:3\.(\d+)-slim.*", each) for each in instructions("FROM")}
    assert all(version and int(version[1]) >= 11 for version in versions)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """Promtool finds nothing wrong with the configuration and its rules, laid out as in the container."""
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    shutil.copytree(ROOT / "grafana" / "alerts", tmp_path / "alerts")
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout
