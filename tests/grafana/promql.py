"""What labels the result of a PromQL query has, given the labels of the series that exist.

It follows a query from its selectors outwards, as Prometheus matches labels: a series or a label that does
not exist, a `by` that names a label that is no longer there, and an operator between vectors whose labels
never match are all found without a Prometheus. It knows the part of PromQL that Freshet's queries use.
"""

import re
from collections.abc import Mapping, Set
from itertools import pairwise

Labels = frozenset[str]
Series = Mapping[str, Mapping[str, Set[str]]]  # name -> label -> its values; no values: any

SCALAR = None
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"]*")
    |(?P<range>\[(?:\d+[smhdw]|\$\w+)\])
    |(?P<duration>\d+[smhdw])
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>=~|!~|==|!=|<=|>=|[-+*/<>=(){},]))""",
    re.VERBOSE,
)
_AGGREGATIONS = {"sum", "min", "max", "avg", "count"}
_OF_RANGES = {"rate", "increase"}
_OF_VECTORS = {"abs"}
_SET_OPERATORS = {"and", "unless"}
_PRECEDENCE = [{"or"}, {"and", "unless"}, {"==", "!=", "<", ">", "<=", ">="}, {"+", "-"}, {"*", "/"}]


class QueryError(Exception):
    """A query that would not work, or that this module does not understand."""


def labels_of(query: str, series: Series) -> Labels | None:
    """Return the labels that the query's result has, None for a scalar; raises QueryError."""
    reader = _Reader(query, series)
    labels = reader.expression()
    reader.end()
    return labels


def series_of(query: str) -> set[str]:
    """Return the names of Freshet's series that a query mentions."""
    return set(re.findall(r"\bfreshet_\w+", query))


class _Reader:
    def __init__(self, query: str, series: Series) -> None:
        self._query = query
        self._series = series
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while query[at:].strip():
            match = _TOKEN.match(query, at)
            if not match:
                raise self._wrong(f"cannot read {query[at:]!r}")
            self._tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
            at = match.end()
        self._at = 0

    def expression(self, level: int = 0) -> Labels | None:
        """Read operators of this precedence and above."""
        if level == len(_PRECEDENCE):
            return self._unary()
        left = self.expression(level + 1)
        while self._peek() in _PRECEDENCE[level]:
            operator = self._take()
            on = self._names_in_parentheses() if self._skip("on") else None
            left = self._joined(operator, left, self.expression(level + 1), on)
        return left

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._at < len(self._tokens):
            raise self._wrong(f"does not end before {self._peek()!r}")

    def _joined(
        self, operator: str, left: Labels | None, right: Labels | None, on: Labels | None
    ) -> Labels | None:
        if left is SCALAR or right is SCALAR:
            return right if left is SCALAR else left
        if on is not None and (operator not in _SET_OPERATORS or on - left or on - right):
            raise self._wrong(f"{operator} on {sorted(on)} between {sorted(left)} and {sorted(right)}")
        if on is None and left != right:
            raise self._wrong(f"{operator} never matches {sorted(left)} with {sorted(right)}")
        return left

    def _unary(self) -> Labels | None:
        kind, text = self._next()
        if text == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if kind == "number":
            return SCALAR
        if kind != "name":
            raise self._wrong(f"unexpected {text!r}")
        if text in _AGGREGATIONS:
            return self._aggregation()
        if self._peek() == "(":
            return self._call(text)
        if text == "Inf":
            return SCALAR
        return self._selector(text)

    def _aggregation(self) -> Labels:
        by = self._names_in_parentheses() if self._skip("by") else frozenset[str]()
        self._expect("(")
        inner = self.expression()
        self._expect(")")
        if inner is SCALAR or by - inner:
            raise self._wrong(f"aggregates by {sorted(by)} what has {sorted(inner or ())}")
        return by

    def _call(self, function: str) -> Labels | None:
        self._expect("(")
        if function == "histogram_quantile":
            self._next()
            self._expect(",")
        first = self._at
        inner = self.expression()
        inside = self._tokens[first : self._at]
        self._expect(")")
        if function == "vector" and inner is SCALAR:
            return frozenset()
        if inner is SCALAR:
            raise self._wrong(f"{function} of a scalar")
        if function == "absent":  # knows no labels but those that its selector asks for
            return frozenset(label for (_, label), (_, sign) in pairwise(inside) if sign == "=")
        if function == "histogram_quantile" and "le" in inner:
            return inner - {"le"}
        if function in _OF_VECTORS or (function in _OF_RANGES and inside[-1][0] == "range"):
            return inner
        raise self._wrong(f"{function} is not for this, or not known here")

    def _selector(self, name: str) -> Labels:
        if name not in self._series:
            raise self._wrong(f"there is no series {name!r}")
        values = self._series[name]
        if self._skip("{"):
            while not self._skip("}"):
                label, _, value = self._take(), self._take(), self._take().strip('"')
                if label not in values:
                    raise self._wrong(f"{name} has no label {label!r}")
                if values[label] and value not in values[label]:
                    raise self._wrong(f"{label} of {name} is never {value!r}")
                self._skip(",")
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "range":
            self._at += 1
        if self._skip("offset"):
            self._next()
        return frozenset(values)

    def _names_in_parentheses(self) -> Labels:
        self._expect("(")
        names = []
        while not self._skip(")"):
            names.append(self._take())
            self._skip(",")
        return frozenset(names)

    def _peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._wrong("ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self) -> str:
        return self._next()[1]

    def _skip(self, text: str) -> bool:
        found = self._peek() == text
        self._at += found
        return found

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise self._wrong(f"expected {text!r} before {self._peek()!r}")

    def _wrong(self, what: str) -> QueryError:
        return QueryError(f"{what}, in: {self._query}")
