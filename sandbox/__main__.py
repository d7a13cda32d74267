"""
The sandbox as a process of its own: `python -m sandbox`. Prints one JSON line with its addresses when ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

from uvicorn import Config

from sandbox.behaviour import Behaviour, Limit
from sandbox.chats import Account
from sandbox.n8n import Reply
from sandbox.options import Options
from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence


def _limit(text: str) -> Limit:
    requests, _, window_s = text.partition("/")
    try:
        return Limit(requests=int(requests), window_s=float(window_s))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not REQUESTS/SECONDS, such as 100/60") from None


def parser() -> argparse.ArgumentParser:
    """
    Return the command line's grammar.
    """
    line = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    line.add_argument("--host", default="127.0.0.1")
    line.add_argument("--port", type=int, default=0, help="Avito's port; 0 = any free one")
    line.add_argument("--n8n-port", type=int, default=0)
    line.add_argument("--control-port", type=int, default=0)
    line.add_argument("--user-id", type=int, default=Account().user_id)
    line.add_argument("--client-id", default=Account().client_id)
    line.add_argument("--client-secret", default=Account().client_secret)
    line.add_argument("--chats", type=int, default=3, help="how many demo chats to create")
    line.add_argument("--seed", type=int, default=0, help="of the faults' chances")
    line.add_argument("--limit", type=_limit, help="answer 429 above REQUESTS/SECONDS")
    line.add_argument("--subscribe", metavar="URL", action="append", default=[], help="deliver webhooks there")
    line.add_argument("--gateway-url", help="let n8n answer each text through this gateway")
    line.add_argument("--api-key", help="the gateway's API key")
    return line


async def run(arguments: argparse.Namespace) -> None:
    """
    Serve until SIGTERM or SIGINT.
    """
    account = Account(user_id=arguments.user_id, client_id=arguments.client_id, client_secret=arguments.client_secret)
    options = Options(
        host=arguments.host,
        avito_port=arguments.port,
        n8n_port=arguments.n8n_port,
        control_port=arguments.control_port,
        accounts=(account,),
        behaviour=Behaviour(limit=arguments.limit),
        chats=arguments.chats,
        seed=arguments.seed,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Sandbox.start(options) as sandbox:
        for url in arguments.subscribe:
            sandbox.avito.webhooks.subscribe(account.user_id, url)
        if arguments.gateway_url:
            sandbox.n8n.reply = Reply(gateway_url=arguments.gateway_url, api_key=arguments.api_key)
        sys.stdout.write(json.dumps(sandbox.addresses()) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main(line: Sequence[str] | None = None) -> None:
    """
    Run from a command line, on the fastest event loop there is.
    """
    arguments = parser().parse_args(line)
    with asyncio.Runner(loop_factory=Config(app="").get_loop_factory()) as runner:
        runner.run(run(arguments))


if __name__ == "__main__":
    main()
