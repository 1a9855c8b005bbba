"""Frames as they are kept: byte for byte, but for secrets. Pure.

``told`` are secrets that left us on this socket: a charge point may repeat them in an answer.
"""

from collections.abc import Collection
from dataclasses import replace

from ingest.frames import Call, CallError, CallResult, call_text, result_text
from ingest.redaction import text_without_secrets, without_echo, without_secrets

_LONGEST_TEXT = 1000  # of an error; the standard allows 255 characters
# What they may hold is fixed by the standard, and no secrets: nearly all frames are of these.
_HARMLESS = {
    "Authorize",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}


def shown_call(call: Call, raw: str, told: Collection[str]) -> str:
    """Return the text of a charge point's CALL."""
    if call.action in _HARMLESS:
        return raw
    shown = without_secrets(call.payload)
    if shown is not call.payload:
        raw = call_text(call.message_id, call.action, shown)
    return without_echo(raw, told)


def shown_result(result: CallResult, raw: str, told: Collection[str]) -> str:
    """Return the text of an answer."""
    shown = without_secrets(result.payload)
    if shown is not result.payload:
        raw = result_text(result.message_id, shown)
    return without_echo(raw, told)


def shown_error(error: CallError, told: Collection[str]) -> CallError:
    """Return a CALLERROR, for the log and for whoever asked."""
    return replace(
        error,
        code=shown_text(error.code[:_LONGEST_TEXT], told),
        description=shown_text(error.description[:_LONGEST_TEXT], told),
        details=without_secrets(error.details),
    )


def shown_text(raw: str, told: Collection[str]) -> str:
    """Return a text of any form."""
    return without_echo(text_without_secrets(raw), told)
