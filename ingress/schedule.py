"""
When a command may go out, and when it is likely to.
"""

from __future__ import annotations

import math

import msgspec

from ingress.bodies import Options, unix_s


class Schedule(msgspec.Struct, frozen=True):
    """
    The times of a command, unix ms; None means at once, and for ever.
    """

    not_before_ms: int | None
    expires_at_ms: int | None


def schedule(options: Options, now_ms: int) -> Schedule:
    """
    Work out the times; a `send_at` that has passed means at once, `expires_in` counts from then on.
    """
    start_ms = now_ms if options.send_at is None else max(now_ms, round(unix_s(options.send_at) * 1000))
    return Schedule(
        not_before_ms=start_ms if start_ms > now_ms else None,
        expires_at_ms=None if options.expires_in is None else start_ms + math.ceil(options.expires_in * 1000),
    )


def eta_s(ahead: int, requests: int, window_s: float, not_before_ms: int | None, now_ms: int) -> float:
    """
    Estimate the seconds until a command is sent: the queue before it at the full rate, or its own time if later.

    The estimate knows nothing of retries, of pauses, or of tokens that are free right now.
    """
    queued_s = ahead * window_s / requests
    waiting_s = 0.0 if not_before_ms is None else (not_before_ms - now_ms) / 1000
    return round(max(queued_s, waiting_s), 1)
