"""`freshet erase`: forgets users, and waits until it is done."""

import click
from rich.console import Console

from streams.commands.options import configured, json_option, print_json
from streams.erasing import erase_users
from streams.errors import FreshetError
from streams.settings import Settings


@click.command(short_help="Forget users.", epilog="Example: freshet erase u1 u2 --request-id 'ticket 4711'")
@click.argument("users", nargs=-1, required=True)
@click.option("--request-id", help="Comes back in the receipts.")
@click.option(
    "--wait-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="How long to wait for the receipts; 0 waits for none.",
)
@json_option
@configured
def erase(
    settings: Settings, users: tuple[str, ...], request_id: str | None, wait_seconds: float, as_json: bool
) -> None:
    """Forget USERS: their sequences, exclusions and lists go, everywhere; receipts say that it was done.

    docs/privacy.md says what remains where, and for how long.
    """
    receipts = erase_users(settings, users, request_id, wait_seconds)
    if as_json:
        print_json({"users": list(users), "receipts": receipts})
    else:
        console = Console()
        for user_id in users:
            receipt = receipts.get(user_id)
            known = "" if receipt is None or receipt["was_known"] else ", nothing was known of them"
            console.print(f"{user_id}: {'asked for' if receipt is None else 'erased'}{known}", markup=False)
    missing = [user_id for user_id in users if user_id not in receipts]
    if wait_seconds and missing:
        raise FreshetError(
            f"no receipt for {missing[0]!r}{f' and {len(missing) - 1} others' if missing[1:] else ''} within "
            f"{wait_seconds:g} s; the erasure is in {settings.topics.erasures} and is done when a worker runs"
        )
