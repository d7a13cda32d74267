"""
What the web peers have in common: the secrets of the load, and uvicorn as the gateway runs it.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from redis.asyncio import Redis

# Those of `bench.samples`: this environment does not have the gateway's code.
SECRET = "bench-webhook-secret"
API_KEY = "bench-api-key"
KEPT_S = 72 * 3600


class Place:
    """
    Where requests are stored; `serve` fills it in.
    """

    redis: Redis
    stream: str


def serve(app: Any, place: Place) -> None:
    """
    Serve on the port, with the Redis and into the stream that the command line names, until SIGTERM.
    """
    port, url, place.stream = sys.argv[1:4]
    place.redis = Redis.from_url(url, decode_responses=True)
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")
