"""Progress of long work: a bar on a terminal, nothing in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def progress(what: str, total: float | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the block runs, if that is a terminal; yield what takes the count."""
    with stages() as tell:
        tell(what, 0, total)
        yield lambda count: tell(what, count, total)


@contextmanager
def stages() -> Iterator[Callable[[str, int, float | None], None]]:
    """Show such a bar for each stage of the work; yield what takes the stage, its count and its total."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _what, _count, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, count: int, total: float | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=count, total=total)

        yield tell
