"""Waiting for what others do."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx


def wait_until(is_done: Callable[[], Any], complaint: str, seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < give_up, f"after {seconds} s: {complaint}"
        time.sleep(0.02)


async def until(
    is_done: Callable[[], Any], complaint: str = "nothing came", seconds: float = 30
) -> None:
    """Wait, and let the tasks of this loop go on meanwhile."""
    give_up = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < give_up, f"after {seconds} s: {complaint}"
        await asyncio.sleep(0.02)


def fetch(url: str) -> httpx.Response:
    """Get a page of this machine; reading its certificates would take longer than the answer."""
    return httpx.get(url, trust_env=False, verify=False, timeout=5)
