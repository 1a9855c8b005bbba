"""Answers that come too late are told to whoever made the CALL, and to nobody else."""

from typing import Any

import pytest

from ingest.calls import CallFailed, Calls
from ingest.frames import CallError, CallResult


async def _nowhere(message_id: str, action: str, payload: dict[str, Any]) -> None:
    """Of a charge point that is silent."""


async def test_a_late_answer_is_told_once_and_only_the_last_few_are_waited_for() -> None:
    calls = Calls(_nowhere)
    told: list[tuple[int, CallResult | CallError]] = []
    for number in range(10):

        def on_late(frame: CallResult | CallError, number: int = number) -> None:
            told.append((number, frame))

        async with calls.turn:
            with pytest.raises(CallFailed, match="Timeout"):
                await calls.call(f"Action{number}", {}, 0.001, str(number), on_late)

    late = CallResult("9", {"status": "Accepted"})
    assert calls.answer(late) == "Action9"
    assert calls.answer(late) is None
    assert calls.answer(CallResult("1", {})) is None
    assert calls.answer(CallResult("2", {})) == "Action2"
    assert told == [(9, late), (2, CallResult("2", {}))]
