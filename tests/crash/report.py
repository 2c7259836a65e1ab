"""What a soak found, as text and as JSON."""

import json
from dataclasses import asdict, dataclass

from tests.crash.tormentor import Happened


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is worth knowing of a soak."""

    again: str  # the command
    seed: int
    seconds: float
    happened: list[Happened]
    longest_gap_seconds: float
    facts: dict[str, float]
    differences: list[str]
    deaths: list[str]
    deaths_without_broker: int
    directory: str

    @property
    def problems(self) -> list[str]:
        """Everything that must not be."""
        stuck = [f"not well in time: {each.what}" for each in self.happened if each.healed is False]
        ended = [each.what for each in self.happened if "IT ENDED WITH" in each.what]
        return [*self.differences, *self.deaths, *stuck, *ended]

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled, stuck, or ended by itself."""
        return not self.problems

    def as_json(self) -> str:
        """Return the report as one JSON object."""
        tree = asdict(self) | {
            "ok": self.is_good,
            "problems": self.problems,
            "faults": len(self.happened),
            "recovery": self.recovery(),
        }
        return json.dumps(tree, indent=1)

    def recovery(self) -> dict[str, dict[str, float]]:
        """Return for each kind of fault how often, and the seconds until back, ready, and fresh lists."""
        found: dict[str, dict[str, float]] = {}
        for kind in sorted({each.kind for each in self.happened}):
            of_kind = [each for each in self.happened if each.kind == kind]
            waited = [each for each in of_kind if each.healed]
            found[kind] = {
                "faults": len(of_kind),
                "measured": len(waited),
                **_spread("ready", [each.ready_seconds for each in waited]),
                **_spread("fresh", [each.fresh_seconds for each in waited]),
                **_spread("away", [each.away_seconds for each in waited]),
            }
        return found

    def as_text(self) -> str:
        """Return the report as it is shown."""
        lines = [f"seed {self.seed}, {self.seconds:.0f} s, {len(self.happened)} faults"]
        lines += [f"  {name}: {value:g}" for name, value in self.facts.items()]
        lines.append(f"  {'seconds from the fault until':30}{'fresh lists':>21}{'all ready':>21}{'back':>7}")
        lines.append(f"  {'':30}" + f"{'p50':>7}{'p99':>7}{'max':>7}" * 2 + f"{'max':>7}")
        for kind, found in self.recovery().items():
            numbers = "".join(f"{found[name]:7.1f}" for name in _COLUMNS if name in found)
            lines.append(f"  {kind:18}{found['faults']:3.0f}, measured{found['measured']:3.0f}{numbers}")
        lines.append(f"  longest time without fresh lists in a partition: {self.longest_gap_seconds:.1f} s")
        if self.deaths_without_broker:
            lines.append(f"  workers that gave up while no broker answered: {self.deaths_without_broker}")
        if self.is_good:
            lines.append("  nothing lost, nothing twice, nothing stuck")
        else:
            lines.append(f"  {len(self.problems)} THINGS ARE WRONG; logs in {self.directory}")
            lines += [f"    {problem}" for problem in self.problems[:50]]
            lines.append(f"  again: {self.again}")
        return "\n".join(lines)


_COLUMNS = [f"{what}_{at}" for what in ("fresh", "ready") for at in ("p50", "p99", "max")] + ["away_max"]


def _spread(what: str, seconds: list[float | None]) -> dict[str, float]:
    known = sorted(value for value in seconds if value is not None)
    if not known:
        return {}
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(known) - 1
    return {f"{what}_{name}": round(known[round(rank * last)], 2) for name, rank in ranks.items()}
