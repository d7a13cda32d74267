"""
Reading the answer to a token call.
"""

from __future__ import annotations

import pytest

from common.avito.answers import Answer, Blocked, Limited, NoAnswer, NotSent, Refused, Result, Unsent
from common.avito.token import Failure, Token, token_of

NOW_MS = 1_764_610_200_000
NOW_S = NOW_MS / 1000


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            Answer(200, {"access_token": "abc", "expires_in": 86400, "token_type": "Bearer"}),
            Token(access_token="abc", expires_at=NOW_S + 86_400, refresh_at=NOW_S + 86_100),
        ),
        (
            Answer(200, {"access_token": "abc", "expires_in": 20}),
            Token(access_token="abc", expires_at=NOW_S + 20, refresh_at=NOW_S + 18),
        ),
        (
            Answer(200, {"access_token": "abc"}),
            Token(access_token="abc", expires_at=NOW_S + 86_400, refresh_at=NOW_S + 86_100),
        ),
        (
            Answer(200, {"error": "invalid_client", "error_description": "wrong secret"}),
            Refused(200, "wrong secret"),
        ),
        (Answer(401, {"error": "invalid_client"}), Refused(401, "invalid_client")),
        (Answer(403, None, "denied"), Refused(403, "denied")),
        (Answer(200, {"access_token": ""}), Refused(200, "status 200 without a message")),
        (Answer(200, {"access_token": "a b"}), Refused(200, "status 200 without a message")),
        (Answer(200, {"access_token": "a\nb"}), Refused(200, "status 200 without a message")),
        (Answer(200, ["odd"]), Refused(200, "status 200 without a message")),
        (Answer(404, {"message": "no Route matched"}), Refused(404, "no Route matched")),
        (Answer(429, {}, retry_after_s=3.0), Limited(3.0)),
        (Answer(402, {"error": {"code": 402, "message": "pay"}}), Blocked(402, "pay")),
        (Answer(502, None, "upstream"), Unsent("access token: HTTP 502: upstream")),
        (NoAnswer("late", aborted=True), Unsent("access token: late")),
        (NotSent("refused"), Unsent("access token: refused")),
    ],
)
def test_answers_to_a_token_call(result: Result, expected: Token | Failure) -> None:
    """
    Without `access_token` it is a failure whatever the status; an unknown outcome has sent no call.
    """
    assert expected == token_of(result, NOW_MS)


def test_a_token_is_shown_masked() -> None:
    """
    The whole token is in no repr; the masked form tells two apart.
    """
    token = Token(access_token="abcdefghijklmnopqrstuvwxyz", expires_at=1, refresh_at=1)
    short = Token(access_token="short", expires_at=1, refresh_at=1)

    assert (token.masked, short.masked) == ("abcd...wxyz", "***")
    assert "klm" not in repr(token)
