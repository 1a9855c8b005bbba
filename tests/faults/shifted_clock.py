"""The central system on a machine whose clock jumps: ``python -m tests.faults.shifted_clock FILE``.

FILE holds by how many seconds the clock is wrong, as ``wind`` writes it; it may change at any time.
Each ``datetime.now`` of the room ``ingest`` sees it. Libraries and the log keep the machine's time,
the database has a machine of its own, and spans are measured by clocks that never jump.
"""

import datetime as machine
import mmap
import os
import pkgutil
import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import ingest

_Real = machine.datetime
_WRONG_BY = struct.Struct("d")


def wind(file: Path, wrong_by_s: float) -> None:
    """Set by how much the clock is wrong, from now on; written in one piece."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(descriptor, _WRONG_BY.pack(wrong_by_s), 0)
    finally:
        os.close(descriptor)


class _Jumping(type):
    """Is ``datetime`` in everything but what time it is: makes real ones, knows real ones."""

    wrong_by: mmap.mmap

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _Real(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Real)

    def __getattr__(cls, name: str) -> Any:
        return getattr(_Real, name)

    def now(cls, tz: machine.tzinfo | None = None) -> machine.datetime:
        (wrong_by_s,) = _WRONG_BY.unpack(cls.wrong_by)
        return _Real.now(tz) + machine.timedelta(seconds=wrong_by_s)


class _Datetime(metaclass=_Jumping):
    """Stands in the modules of the room in the place of ``datetime``."""


def _replace_clocks(file: Path) -> int:
    """Return in how many modules a clock was replaced."""
    with file.open("rb") as opened:
        _Jumping.wrong_by = mmap.mmap(opened.fileno(), _WRONG_BY.size, access=mmap.ACCESS_READ)
    count = 0
    for found in pkgutil.walk_packages(ingest.__path__, "ingest."):
        module = import_module(found.name)
        if getattr(module, "datetime", None) is _Real:
            setattr(module, "datetime", _Datetime)  # noqa: B010 - it is no attribute it declares
            count += 1
    return count


def main() -> int:
    assert _replace_clocks(Path(sys.argv[1])) > 5, "the room tells the time in another way now"
    return int(import_module("ingest.__main__").main())


if __name__ == "__main__":
    sys.exit(main())
