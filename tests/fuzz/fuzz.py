"""The long search: atheris leads changed bytes into every decoder, by what they reach. `make fuzz MINUTES=5`.

python -m tests.fuzz.fuzz [FILE] [libFuzzer's options]

An input is a byte that chooses the decoder, one that chooses whether what follows is sealed, and the bytes.
What is found is written to build/fuzz/crash-*, and done again by naming that FILE. What reached something new
is kept in build/fuzz/corpus for the next search.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["state", "streams.events", "streams.examples", "streams.logs", "models"]
):
    from tests.fuzz.targets import Target, all_targets

DIRECTORY = Path("build/fuzz")
AS_IT_IS, SEALED = 0, 1
HANGS_SECONDS = 20
MEMORY_MEBIBYTES = 1500
LARGEST_BYTES = 8192


def seed_corpus(targets: Sequence[Target], directory: Path) -> int:
    """Write what is valid as inputs to begin with; return how many those are."""
    seeds = {
        f"{target.name.replace(' ', '-')}-{number}-{mode}": bytes([place, mode]) + data
        for place, target in enumerate(targets)
        for mode, valid in ((SEALED, target.seeds), (AS_IT_IS, target.valid()))
        for number, data in enumerate(valid)
    }
    for name, data in seeds.items():
        (directory / name).write_bytes(data)
    return len(seeds)


def check(targets: Sequence[Target], data: bytes) -> None:
    """Let the decoder that the first byte chooses take the rest; raises what is neither value nor refusal."""
    if len(data) < 2:
        return
    target, inner = targets[data[0] % len(targets)], data[2:]
    target.check(target.seal(inner) if data[1] % 2 == SEALED else inner)


def main() -> None:
    """Search until libFuzzer's options, or somebody, say that it is enough."""
    logging.disable()
    targets = all_targets()
    files = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    for found in files:
        check(targets, Path(found).read_bytes())
    if files:
        return
    corpus = DIRECTORY / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    print(f"{seed_corpus(targets, corpus)} valid inputs for {len(targets)} decoders")  # noqa: T201
    limits = [f"-timeout={HANGS_SECONDS}", f"-rss_limit_mb={MEMORY_MEBIBYTES}", f"-max_len={LARGEST_BYTES}"]
    options = [*limits, f"-artifact_prefix={DIRECTORY}/", *sys.argv[1:], str(corpus)]
    atheris.Setup([sys.argv[0], *options], lambda data: check(targets, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
