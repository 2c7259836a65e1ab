"""One frozen Settings, from freshet.toml, then FRESHET_* in the environment, then flags."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct, inspect

from streams.errors import ConfigurationError

ENVIRONMENT_PREFIX = "FRESHET_"
DEFAULT_FILE = Path("freshet.toml")
DEFAULT_BOOTSTRAP_SERVERS = "localhost:9092"

ActionName = Literal["click", "cart", "favorite", "purchase"]
Exclude = Literal["nothing", "purchased", "seen"]
Republish = Literal["on action", "on removal"]
TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Optimizer = Literal["sgd", "adagrad", "adamw"]
Rate = Annotated[float, Meta(gt=0, le=1)]


class SourceFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a source's own events keep what Freshet needs: a dotted path, `[]` for the lines of an order."""

    user_id: str = "user_id"
    item_id: str = "item_id"
    timestamp: str = "timestamp"
    value: str = "value"
    action: str = "action"
    event_id: str = "event_id"
    retract: str = "retract"


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """A topic of interactions."""

    action: ActionName = "click"
    weight: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    fields: SourceFields = SourceFields()
    actions: dict[str, ActionName] = {}
    timestamp_unit: Literal["auto", "seconds", "milliseconds"] = "auto"


class Topics(Struct, frozen=True, forbid_unknown_fields=True):
    """Names and safety of the topics that Freshet writes."""

    recommendations: TopicName = "recommendations"
    items: TopicName = "items"
    dead_letters: TopicName = "dead-letters"
    erasures: TopicName = "erasures"
    erasure_receipts: TopicName = "erasure-receipts"
    partitions: Positive = 4
    replication_factor: Positive = 1
    min_insync_replicas: Positive = 1
    examples_retention_days: Positive = 7


class InterestLearning(Struct, frozen=True, forbid_unknown_fields=True):
    """How the interest model goes down its loss."""

    optimizer: Optimizer = "adagrad"
    item_optimizer: Optimizer = "adagrad"
    learning_rate: Rate = 0.02
    item_learning_rate: Rate = 0.05
    l2: Annotated[float, Meta(ge=0, le=1)] = 0.0
    longest_gradient: Annotated[float, Meta(gt=0, le=1e6)] = 10.0
    may_rest: bool = True


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be configured; docs/settings.md says what each one is for."""

    bootstrap_servers: Annotated[str, Meta(min_length=1)] = DEFAULT_BOOTSTRAP_SERVERS
    data_directory: Annotated[str, Meta(min_length=1)] = "freshet-data"
    group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,200}$")] = "freshet"
    list_length: Annotated[int, Meta(ge=1, le=1000)] = 10
    exclude: Exclude = "nothing"
    republish: Republish = "on action"
    history_length: Annotated[int, Meta(ge=1, le=1000)] = 50
    metrics_port: Port = 8787
    metrics_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    checkpoint_seconds: Positive = 60
    device: Literal["auto", "cpu", "cuda"] = "auto"
    effort: Literal["auto", "full", "half", "low"] = "auto"
    batch_ties: bool = False
    content: bool = True
    interest: Literal["auto", "on", "off"] = "auto"
    graph: Literal["sage", "gcn", "gat", "off"] = "sage"
    encoder: Annotated[str, Meta(min_length=1)] = "auto"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    interest_learning: InterestLearning = InterestLearning()
    topics: Topics = Topics()
    sources: dict[TopicName, Source] = msgspec.field(
        default_factory=lambda: {
            "clicks": Source(action="click", weight=1.0),
            "purchases": Source(action="purchase", weight=4.0),
        }
    )

    @property
    def broker_is_configured(self) -> bool:
        """Whether somebody named a broker: the default address counts as not configured."""
        return self.bootstrap_servers != DEFAULT_BOOTSTRAP_SERVERS

    @property
    def users_topic(self) -> str:
        """The changelog of the users' state."""
        return f"{self.group}-users"

    @property
    def examples_topic(self) -> str:
        """What every event taught, for the counters of all workers."""
        return f"{self.group}-examples"

    @property
    def item_ids_topic(self) -> str:
        """The compacted topic that tells every worker the id of an item key."""
        return f"{self.group}-item-ids"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics whose partitions a worker is assigned: the erasures, which go first, and the sources."""
        return self.topics.erasures, *self.sources

    def source_of(self, action: ActionName) -> str:
        """Return the topic whose section has this action, or the first source where none has."""
        for name, source in self.sources.items():
            if source.action == action:
                return name
        return next(iter(self.sources))

    @property
    def targets(self) -> list[ActionName]:
        """The actions that lists are to predict: those of some weight, each sent where `source_of` says."""
        actions: tuple[ActionName, ...] = get_args(ActionName)
        return [action for action in actions if self.weight_of(action, self.source_of(action)) > 0]

    def weight_of(self, action: ActionName, topic: str) -> float:
        """Return what an interaction counts: as its action's own section says, else as its topic's.

        0: it is no target. It is neither tested nor learned from, but counted as what came before others.
        """
        own = self.sources[topic]
        if own.action == action:
            return own.weight
        return next((s.weight for s in self.sources.values() if s.action == action), own.weight)


_SECTIONS: dict[str, Any] = {"interest_learning": InterestLearning, "topics": Topics}


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
) -> Settings:
    """Read the settings; later words win: file, environment, overrides ("name=value", dots for sections).

    Raises ConfigurationError, which names the setting, for one that is unknown or invalid.
    """
    environment = os.environ if environment is None else environment
    tree = _read_file(file)
    for source, path, value in _texts(environment, overrides):
        _check_path(path, f"{source}: ")
        section = tree
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1]] = value
    for path in _paths(tree):
        _check_path(path, f"{file or DEFAULT_FILE}: ")
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"setting {_readable(str(error))}; docs/settings.md lists them all"
        ) from None
    _check_together(settings)
    return settings


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None and not DEFAULT_FILE.exists():
        return {}
    try:
        return tomllib.loads((file or DEFAULT_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; check --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file or DEFAULT_FILE} is not TOML: {error}") from None


def _texts(
    environment: Mapping[str, str], overrides: Iterable[str]
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield (where it was said, path, value) of what was said outside the file."""
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            setting = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            section = next((each for each in _SECTIONS if f"{setting}_".startswith(f"{each}_")), None)
            path = (setting,) if section is None else (section, setting[len(section) + 1 :])
            yield name, path, value
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {override}: expected NAME=VALUE, as in --set group=shop")
        yield "--set", tuple(name.strip().split(".")), value


def _paths(tree: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in tree.items():
        yield (*at, name)
        # The keys of `actions` are the user's own words.
        if isinstance(value, Mapping) and name != "actions":
            yield from _paths(value, (*at, name))


def _check_path(path: tuple[str, ...], where: str) -> None:
    """Refuse an unknown setting by its name, with the nearest valid one."""
    structs: list[Any] = [Settings]
    if path[0] in _SECTIONS:
        structs.append(_SECTIONS[path[0]])
    elif path[0] == "sources":
        structs += [None, Source, *([SourceFields] if path[2:3] == ("fields",) else [])]
    for name, struct in zip(path, structs, strict=False):
        if struct is None or name in struct.__struct_fields__:
            continue
        near = difflib.get_close_matches(name, struct.__struct_fields__, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(struct.__struct_fields__)}"
        raise ConfigurationError(f"{where}unknown setting {'.'.join(path)!r}; {advice}")


def _check_together(settings: Settings) -> None:
    """Refuse what is valid alone but not together."""
    if not settings.sources:
        raise ConfigurationError("setting 'sources' is empty; name at least one topic: [sources.clicks]")
    if not any(source.weight for source in settings.sources.values()):
        raise ConfigurationError(
            "setting 'weight' is 0 in every section of 'sources', so that there is nothing to predict; "
            "give what lists should predict a weight: --set sources.NAME.weight=1"
        )
    topics = settings.topics
    if topics.min_insync_replicas > topics.replication_factor:
        raise ConfigurationError(
            f"setting 'topics.min_insync_replicas' = {topics.min_insync_replicas} is more than "
            f"'topics.replication_factor' = {topics.replication_factor}; no write would ever succeed"
        )
    written = [topics.recommendations, topics.items, topics.dead_letters]
    written += [topics.erasures, topics.erasure_receipts]
    internal = [settings.users_topic, settings.examples_topic, settings.item_ids_topic]
    names = [*settings.sources, *written, *internal]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(f"two settings name the topic {min(twice)!r}; give each a name of its own")


def _readable(message: str) -> str:
    """Turn msgspec's "Expected `int` - at `$.topics.x`" into "'topics.x': expected `int`"."""
    match = re.fullmatch(r"(.*) - at `(?:key in )?\$?\.?(.*)`", message)
    if not match:
        return message
    complaint, path = match.groups()
    if complaint.startswith("Invalid enum value"):
        complaint += f"; valid are {', '.join(_choices(path))}"
    return f"{path!r}: {complaint[0].lower()}{complaint[1:]}"


def _choices(path: str) -> list[str]:
    """Return the words that a setting allows; in its path `[...]` stands for a name of the user's own."""
    kind: Any = inspect.type_info(Settings)
    for name in path.replace("[...]", ".*").split("."):
        if name == "*":
            kind = kind.value_type
        else:
            kind = next(field.type for field in kind.fields if field.name == name)
    return sorted(kind.values)
