"""The table of docs/quality.md: every log, variant, effort and seed, beside the best heuristic.

python -m benchmarks.quality LOGS [--out FILE] [--against FOLDER] [--logs NAME ...] [--ties NAME ...]
    [--variants all new] [--efforts full low] [--seeds 0 1 2] [--workers 1] [--late 100] [--limit 200000]

LOGS is a folder with a folder for each log, `events.csv.gz` in it. One `freshet evaluate` follows another, in
processes of their own with one thread each. What is done is kept in FILE, one JSON object a line, and is not
done again while the code of streams, models and state is the same. `--against` is a folder of other results:
NAME.json (NAME-200k.json under a limit that cuts, NAME-200k-ties.json with ties), an object of
"variant|part|name" -> [hit@10, ndcg@10, mrr@10, mrr].
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

PARTS = ("full", "last15", "last10")
ROOT = Path(__file__).parents[1]
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Run(NamedTuple):
    """One run of `evaluate`: what is asked of it, but for the seed."""

    log: str
    variant: str
    ties: bool
    effort: str
    workers: int
    late: int
    limit: int

    def options(self) -> list[str]:
        """Return the options of the command."""
        options = ["--variant", self.variant, "--effort", self.effort, "--limit", str(self.limit)]
        if self.workers > 1:
            options += ["--workers", str(self.workers), "--late", str(self.late)]
        return options + (["--batch-ties"] if self.ties else [])

    def title(self) -> str:
        """Return the words that a reader knows it by."""
        told = [self.log, *(["by instants"] if self.ties else [])]
        if self.workers > 1:
            told.append(f"{self.workers} workers {self.late} late")
        return ", ".join(told)


def main() -> None:
    """Run what is missing, then print the table and what is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"))
    parser.add_argument("--against", type=Path)
    parser.add_argument("--logs", nargs="*", help="all that are in the folder if not given")
    parser.add_argument("--ties", nargs="*", default=[], help="logs to be evaluated by instants, too")
    parser.add_argument("--variants", nargs="*", default=["all", "new"])
    parser.add_argument("--efforts", nargs="*", default=["full"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", nargs="*", type=int, default=[1])
    parser.add_argument("--late", nargs="*", type=int, default=[100])
    parser.add_argument("--limit", type=int, default=200_000)
    parser.add_argument("--only-print", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    runs = list(wanted(arguments))
    code = code_digest()
    done = finished(arguments.out, code)
    for seed in arguments.seeds:  # a whole table of the first seed first
        for run in runs:
            if (run, seed) not in done and not arguments.only_print:
                done[run, seed] = report = evaluate(arguments.folder.resolve(), run, seed)
                if code_digest() != code:
                    raise SystemExit("the code was changed meanwhile: this run is not kept; start again")
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"run": run, "seed": seed, "code": code, "report": report}) + "\n")
    rows = [
        Row(run, reports, bars(arguments.against, run, reports[0]))
        for run in runs
        if (reports := [done[run, seed] for seed in arguments.seeds if (run, seed) in done])
    ]
    print_table(rows)
    print_findings(rows)


def wanted(arguments: argparse.Namespace) -> Iterator[Run]:
    """Yield what the arguments ask for; how late is of no meaning where there is one worker."""
    logs = arguments.logs or sorted(path.parent.name for path in arguments.folder.glob("*/events.csv.gz"))
    for log in logs:
        for ties in (False, True) if log in arguments.ties else (False,):
            for variant in arguments.variants:
                for effort in arguments.efforts:
                    for workers in arguments.workers:
                        for late in arguments.late if workers > 1 else (0,):
                            yield Run(log, variant, ties, effort, workers, late, arguments.limit)


def evaluate(folder: Path, run: Run, seed: int) -> dict[str, Any]:
    """Run the command and return its report."""
    print(f"{run.title()}, {run.variant}, {run.effort}, seed {seed} ...", file=sys.stderr, flush=True)
    log = folder / run.log / "events.csv.gz"
    command = [sys.executable, "-m", "streams", "evaluate", str(log), *run.options(), "--json"]
    asked = subprocess.run(
        [*command, "--seed", str(seed)],
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    report: dict[str, Any] = json.loads(asked.stdout)
    print(
        f"  ndcg@10 {report['full']['ndcg@10']:.4f}, {report['ratio']['full']:.3f} of the best here, "
        f"{report['cpu_seconds']:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    return report


def finished(path: Path, code: str) -> dict[tuple[Run, int], dict[str, Any]]:
    """Return the reports that are there already, of this code."""
    done = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["code"] == code:
                done[Run(*entry["run"]), entry["seed"]] = entry["report"]
    return done


def code_digest() -> str:
    """Return a digest of all code that a run goes through."""
    files = sorted(file for room in ("streams", "models", "state") for file in (ROOT / room).rglob("*.py"))
    return blake2b(b"\0".join(file.read_bytes() for file in files), digest_size=8).hexdigest()


def bars(folder: Path | None, run: Run, report: dict[str, Any]) -> dict[str, float]:
    """Return part -> the highest NDCG@10 in the results of others; empty if there are none for this run."""
    is_cut = report["events"] == run.limit
    name = run.log + (f"-{run.limit // 1000}k" if is_cut else "") + ("-ties" if run.ties else "")
    if folder is None or not (file := folder / f"{name}.json").exists():
        return {}
    best: dict[str, float] = defaultdict(float)
    for key, values in json.loads(file.read_text(encoding="utf-8")).items():
        variant, part, name = key.split("|")
        if variant == run.variant and name != "n":
            best[part] = max(best[part], values[1])
    return best


class Row:
    """A run with all its seeds, and what others reach on it."""

    def __init__(self, run: Run, reports: list[dict[str, Any]], bars: dict[str, float]) -> None:
        self.run = run
        self.reports = reports
        self.bars = bars

    def ndcg(self, part: str) -> float:
        """Return the median NDCG@10 of the seeds."""
        return float(median(report[part]["ndcg@10"] for report in self.reports))

    def own_ratio(self, part: str) -> float:
        """Return the median ratio to the best heuristic of the same run."""
        return float(median(report["ratio"][part] or 1.0 for report in self.reports))

    def ratio(self, part: str) -> float | None:
        """Return the ratio to the best of others, None if there is none."""
        return self.ndcg(part) / self.bars[part] if part in self.bars else None

    def middle(self, name: str) -> float:
        """Return the median of a number of the reports."""
        return float(median(report[name] or 0.0 for report in self.reports))

    def valleys(self) -> dict[int, float]:
        """Return tenth -> median ratio to its best heuristic, of tenths that are valleys for most seeds."""
        ratios: dict[int, list[float]] = defaultdict(list)
        for report in self.reports:
            for valley in report["valleys"]:
                ratios[valley["tenth"]].append(valley["ratio"])
        usual = sorted(tenth for tenth, each in ratios.items() if 2 * len(each) > len(self.reports))
        return {tenth: median(ratios[tenth]) for tenth in usual}

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        each = sorted(report["full"]["ndcg@10"] for report in self.reports)
        return [
            self.run.title(),
            self.run.variant,
            self.run.effort,
            f"{median(report['full']['hit@10'] for report in self.reports):.4f}",
            f"**{self.ndcg('full'):.4f}** ({each[0]:.4f} to {each[-1]:.4f})",
            " / ".join(f"{self.own_ratio(part):.3f}" for part in PARTS),
            " / ".join("-" if (r := self.ratio(part)) is None else f"{r:.3f}" for part in PARTS),
            ", ".join(map(str, self.valleys())) or "none",
            f"{self.middle('cpu_microseconds_per_event'):.0f}",
            f"{self.middle('peak_rss_bytes') / 2**20:.0f}",
        ]

    def findings(self) -> list[str]:
        """Return what is not as it should be: a part, or a tenth, below the best heuristic."""
        what = f"{self.run.title()}, {self.run.variant}, {self.run.effort}"
        found = []
        for part in PARTS:
            for whose, ratio in (("of the same run", self.own_ratio(part)), ("elsewhere", self.ratio(part))):
                if ratio is not None and ratio < 1:
                    found.append(f"{what}: {part} is {ratio:.3f} of the best heuristic {whose}")
        found += [
            f"{what}: tenth {t} is {r:.3f} of the best heuristic there" for t, r in self.valleys().items()
        ]
        if not all(report.get("counters_equal", True) for report in self.reports):
            found.append(f"{what}: the workers' counters differ")
        return found


def print_table(rows: list[Row]) -> None:
    """Print the table as Markdown."""
    header = (
        "log",
        "variant",
        "effort",
        "hit@10",
        "NDCG@10, median of the seeds",
        "of the best here: whole / last 15 % / last 10 %",
        "of the best elsewhere",
        "tenths below .97",
        "us an event",
        "MiB",
    )
    for cells in (header, ["---"] * len(header), *(row.cells() for row in rows)):
        print(f"| {' | '.join(cells)} |")


def print_findings(rows: list[Row]) -> None:
    """Print what is below what."""
    found = [finding for row in rows for finding in row.findings()]
    print(f"\n{len(found)} findings" + "".join(f"\n- {finding}" for finding in found))


if __name__ == "__main__":
    main()
