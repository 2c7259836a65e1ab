"""docs/settings.md is what people configure by, so it must say what streams/settings.py does."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from streams.errors import ConfigurationError
from streams.settings import Settings, Source, load_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
NOT_READ = "Nothing reads it yet."


def documented() -> dict[str, dict[str, str]]:
    """Return the rows of the page's tables: setting -> column -> cell."""
    rows: dict[str, dict[str, str]] = {}
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        header, _, *lines = [
            [cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()
        ]
        for cells in lines:
            row = dict(zip(header, cells, strict=True))
            name = row["setting"].strip("`")
            assert name not in rows, f"{name} is documented twice"
            rows[name] = row
    return rows


def settings_of(struct: type, prefix: str = "") -> Iterator[tuple[str, inspect.Field]]:
    """Walk a struct of settings: (dotted name, field) of everything that can be set."""
    information = inspect.type_info(struct)
    assert isinstance(information, inspect.StructType)
    for field in information.fields:
        name = f"{prefix}{field.name}"
        inner = field.type
        if isinstance(inner, inspect.StructType):
            yield from settings_of(inner.cls, f"{name}.")
        elif name == "sources":
            yield from settings_of(Source, f"{name}.NAME.")
        else:
            yield name, field


FIELDS = dict(settings_of(Settings))


def described_default(field: inspect.Field) -> object:
    """Return a field's default."""
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def described_range(kind: inspect.Type) -> str:
    """Say in words what a type allows."""
    match kind:
        case inspect.LiteralType():
            # msgspec sorts what a Literal allows; the page has an order of its own.
            return " | ".join(sorted(f'`"{value}"`' for value in kind.values))
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.DictType():
            return f"words to {described_range(kind.value_type)}"
        case inspect.IntType() if kind.le is None:
            return f"{kind.ge} or more"
        case inspect.IntType():
            return f"{kind.ge} to {kind.le}"
        case inspect.FloatType() if kind.gt is not None:
            return f"more than {kind.gt:.0f}, to {kind.le:.0f}"
        case inspect.FloatType():
            return f"{kind.ge:.0f} to {kind.le:.0f}"
        case inspect.StrType() if kind.pattern:
            counts = re.fullmatch(r"\^\[A-Za-z0-9\._-\]\{(\d+),(\d+)\}\$", kind.pattern)
            assert counts, f"how is {kind.pattern} said in words?"
            return f"{counts[1]} to {counts[2]} letters, digits, `.`, `_`, `-`"
        case inspect.StrType():
            return "text, not empty" if kind.min_length else "text"
    raise AssertionError(f"how is {kind} said in words?")


def in_one_order(cell: str) -> str:
    """Return a range's words with its choices sorted."""
    before, choices = re.fullmatch(r"(words to |)(.*)", cell).groups()  # type: ignore[union-attr]
    return before + (" | ".join(sorted(choices.split(", "))) if choices.startswith('`"') else choices)


def read_names() -> set[str]:
    """Return every attribute that the code outside of the settings' own file reads."""
    files = [file for room in ("streams", "models", "state") for file in (ROOT / room).rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files if file.name != "settings.py"]
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_setting_is_documented_and_nothing_else() -> None:
    """The tables name all settings, each once, and none that does not exist."""
    assert set(documented()) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_documented_default_and_range_are_real(name: str) -> None:
    """A setting's row has the default and the range that the code has, and says what it is for."""
    row, field = documented()[name], FIELDS[name]
    default = tomllib.loads(f"it = {row['default'].strip('`')}")["it"]
    assert default == described_default(field)
    assert type(default) is type(described_default(field))
    assert in_one_order(row["range"]) == described_range(field.type)
    assert row["what it is for"].endswith(".")


@pytest.mark.parametrize("name", [name for name, row in documented().items() if "environment" in row])
def test_the_documented_variable_sets_it(name: str) -> None:
    """The variable reaches its setting: the default changes nothing, what is invalid is refused by name."""
    row = documented()[name]
    variable = row["environment"].strip("`")
    assert load_settings(environment={variable: row["default"].strip('`"')}) == Settings()
    with pytest.raises(ConfigurationError, match=re.escape(name)):
        load_settings(environment={variable: ""})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("interest_learning.optimizer", "lion", "adagrad, adamw, sgd"),
        ("interest_learning.item_optimizer", "", "adagrad, adamw, sgd"),
        ("interest_learning.learning_rate", "0", "> 0.0"),
        ("interest_learning.item_learning_rate", "1.5", "<= 1.0"),
        ("interest_learning.l2", "nan", ">= 0.0"),
        ("interest_learning.longest_gradient", "inf", "<= 1000000.0"),
        ("sources.clicks.action", "look", "cart, click, favorite, purchase"),
        ("sources.clicks.actions.view", "look", "cart, click, favorite, purchase"),
        ("interest", "maybe", "auto, off, on"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(name: str, value: str, allowed: str) -> None:
    """An error names the setting and what it may be."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings(environment={}, overrides=[f"{name}={value}"])
    assert name.partition(".")[0] in str(refused.value)
    assert allowed in str(refused.value)


def test_what_nothing_reads_says_so() -> None:
    """A setting is documented as unread exactly where no code reads it."""
    read = read_names()
    unread = {name for name in FIELDS if name.rpartition(".")[2] not in read}
    fields = {name for name in FIELDS if name.startswith("sources.NAME.fields.")}  # read by their names
    assert {
        name for name, row in documented().items() if NOT_READ in row["what it is for"]
    } == unread - fields


def test_the_file_of_the_page_is_what_holds_without_a_file(tmp_path: Path) -> None:
    """The documented file is complete, and says nothing but the defaults."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "freshet.toml"
    file.write_text(block, encoding="utf-8")
    assert load_settings(file, environment={}) == Settings()
    said = tomllib.loads(block)
    assert set(said) == set(Settings.__struct_fields__)
    for section in ("interest_learning", "topics"):
        of_section = {name.removeprefix(f"{section}.") for name in FIELDS if name.startswith(f"{section}.")}
        assert set(said[section]) == of_section


def test_later_words_win_as_the_page_says(tmp_path: Path) -> None:
    """File, environment, --set: the later wins, in sections as well; naming one source leaves no other."""
    file = tmp_path / "freshet.toml"
    sections = '[topics]\nitems = "a"\n[interest_learning]\nl2 = 0.1\noptimizer = "sgd"\n'
    file.write_text(f'group = "a"\n{sections}', encoding="utf-8")
    environment = {
        "FRESHET_GROUP": "b",
        "FRESHET_TOPICS_ITEMS": "products",
        "FRESHET_INTEREST_LEARNING_L2": "0.2",
    }
    settings = load_settings(file, environment, ["group=c", "sources.orders.weight=4"])
    assert (settings.group, settings.topics.items) == ("c", "products")
    assert (settings.interest_learning.optimizer, settings.interest_learning.l2) == ("sgd", 0.2)
    assert settings.sources == {"orders": Source(weight=4.0)}
