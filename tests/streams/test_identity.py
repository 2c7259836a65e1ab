"""Whose a data directory is."""

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from streams.errors import ConfigurationError
from streams.identity import (
    ADDRESS_FILE,
    IDENTITY_FILE,
    Address,
    announce,
    claim,
    forget_address,
    read_address,
)


def hold(directory: str, told: Connection) -> None:
    """Claim a directory in a process of its own, until told to end."""
    with claim(Path(directory), "g") as identity:
        told.send(identity.worker_id)
        told.recv()


def test_a_new_directory_gets_an_identity_and_keeps_it(tmp_path: Path) -> None:
    """The worker of a directory is the same after a restart, and another one in another directory."""
    with claim(tmp_path / "deep" / "a", "g") as first:
        pass
    with claim(tmp_path / "deep" / "a", "g") as again, claim(tmp_path / "b", "g") as other:
        assert again == first
        assert other.worker_id != first.worker_id


def test_a_directory_has_one_worker_at_a_time(tmp_path: Path) -> None:
    """A second process is refused while the first one lives, and let in when it is gone."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(str(tmp_path), there))
    process.start()
    worker_id = here.recv()
    with pytest.raises(ConfigurationError, match="another worker is running"), claim(tmp_path, "g"):
        pass
    process.kill()
    process.join()
    with claim(tmp_path, "g") as identity:
        assert identity.worker_id == worker_id


def test_a_directory_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    """Another group's, a newer version's, a damaged or a foreign one is refused, and nothing is written."""
    for content in (
        b'{"version": 1, "group": "others", "worker_id": "a"}',
        b'{"version": 99, "group": "g", "worker_id": "a"}',
        b'{"version": 1, "gro',
        None,
    ):
        directory = tmp_path / str(hash(content))
        directory.mkdir()
        (directory / (IDENTITY_FILE if content else "thesis.txt")).write_bytes(content or b"precious")
        before = {path.name: path.read_bytes() for path in directory.iterdir()}
        with pytest.raises(ConfigurationError, match=str(directory)), claim(directory, "g"):
            pass
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_claim_that_failed_half_way_does_not_lock_us_out(tmp_path: Path) -> None:
    """What a full disk left of a first claim is not taken for somebody's files."""
    (tmp_path / "lock").touch()
    (tmp_path / "identity.part").write_bytes(b'{"ver')
    with claim(tmp_path, "g") as identity:
        assert identity.group == "g"


def test_what_is_no_directory_is_refused_in_a_line(tmp_path: Path) -> None:
    """A file in the place of the directory, or of its parent, is a configuration error."""
    file = tmp_path / "file"
    file.touch()
    for directory in (file, file / "below"):
        with (
            pytest.raises(ConfigurationError, match="Not a directory"),
            claim(directory, "g"),
        ):
            pass


def test_the_address_is_there_as_long_as_somebody_answers(tmp_path: Path) -> None:
    """It is written when the worker answers and gone when it does not; what is damaged is none."""
    assert read_address(tmp_path) is None
    with announce(tmp_path, "127.0.0.1", 8787):
        assert read_address(tmp_path) == Address("127.0.0.1", 8787, os.getpid())
    assert read_address(tmp_path) is None
    (tmp_path / ADDRESS_FILE).write_bytes(msgspec.json.encode({"host": "h"}))
    assert read_address(tmp_path) is None
    forget_address(tmp_path)
    forget_address(tmp_path)
    assert not (tmp_path / ADDRESS_FILE).exists()
