"""
The program at work: the chosen roles in one process, from start to clean stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Literal

from common import log
from common.avito.client import Avito
from common.errors import GatewayError
from common.garbage import rarely_collected
from common.queue.connection import Connections, connect
from common.queue.role import Role
from dispatcher.app import build as build_dispatcher
from forwarder.app import build as build_forwarder
from gateway import http_server
from gateway.banner import Banner, is_for_people
from gateway.embedded import EmbeddedServer
from gateway.http_server import HttpServer
from gateway.introduction import Introduction
from gateway.profile import SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, SANDBOX_USER_ID, Profile
from gateway.service import Manager
from gateway.signals import StopRequest
from gateway.watch import greet_redis, keep_alive
from ingress.app import create_app
from sandbox import Account as SandboxAccount
from sandbox import Options, Sandbox

RoleName = Literal["ingress", "dispatcher", "forwarder"]
ROLES: Final[tuple[RoleName, ...]] = ("ingress", "dispatcher", "forwarder")

_log = log.logger(__name__)


class Program:
    """
    One process of the gateway.
    """

    def __init__(self, profile: Profile, roles: Sequence[RoleName]) -> None:
        self._profile = profile
        self._settings = profile.settings
        self._roles = [role for role in ROLES if role in roles]
        self._banner = Banner(is_shown=is_for_people(profile.settings) or profile.is_sandbox)
        self._watches: list[asyncio.Task[Any]] = []
        self._manager = Manager()

    async def run(self) -> None:
        """
        Start, work until a signal, stop what runs within `SHUTDOWN_GRACE`.

        The order of the end: no new requests, workers done, connections closed, the embedded server last.

        Raises:

            SettingsError: an address, `DATA_DIR` or Redis cannot be used.

            GatewayError: a role ended by itself, or a second signal came.

        """
        stop = StopRequest()
        with stop.installed():
            try:
                async with AsyncExitStack() as stack:
                    await self._run(stack, stop)
            except asyncio.CancelledError:
                if not stop.insisted:
                    raise
                raise GatewayError("Stopped at once. What was being sent is looked up at the next start.") from None

    async def _run(self, stack: AsyncExitStack, stop: StopRequest) -> None:
        bound = http_server.bind(self._settings) if "ingress" in self._roles else None
        if bound is not None:
            stack.callback(bound.close)
        url, embedded = await self._redis(stack)
        sandbox = await self._sandbox(stack) if self._profile.is_sandbox else None
        connections = connect(url)
        stack.push_async_callback(connections.aclose)
        avito = Avito(self._settings, connections)
        stack.push_async_callback(avito.aclose)
        stack.push_async_callback(self._end_watches)
        self._watch(greet_redis(connections), "greet-redis")
        self._watch(self._manager.assure(), "watchdog")
        if embedded is not None:
            self._watch(keep_alive(embedded), "keep-alive")
        server = None
        if bound is not None:
            app = create_app(self._settings, connections, avito)
            server = HttpServer(app, bound, grace_s=self._settings.shutdown_grace)
        self._watch(self._introduce(server, sandbox, avito, connections), "introduction")
        roles = self._roles_with(server, connections, avito)
        with rarely_collected():
            await self._work(roles, stop)

    async def _redis(self, stack: AsyncExitStack) -> tuple[str, EmbeddedServer | None]:
        if self._settings.redis_url is not None:
            return self._settings.redis_url, None
        embedded = EmbeddedServer(self._settings.data_dir)
        stack.push_async_callback(asyncio.to_thread, embedded.leave)
        how = await asyncio.to_thread(embedded.join)
        _log.info("embedded_redis.joined", how=how, data_dir=str(embedded.data_dir))
        return embedded.url, embedded

    async def _sandbox(self, stack: AsyncExitStack) -> Sandbox:
        account = SandboxAccount(
            user_id=int(SANDBOX_USER_ID), client_id=SANDBOX_CLIENT_ID, client_secret=SANDBOX_CLIENT_SECRET
        )
        sandbox = await stack.enter_async_context(Sandbox.start(Options(accounts=(account,))))
        self._settings = self._profile.at(
            {"avito_base_url": sandbox.avito_url, "n8n_webhook_url": sandbox.n8n_webhook_url}
        )
        return sandbox

    def _roles_with(
        self, server: HttpServer | None, connections: Connections, avito: Avito
    ) -> dict[str, Role | HttpServer]:
        running: dict[str, Role | HttpServer] = {"ingress": server} if server is not None else {}
        if "dispatcher" in self._roles:
            running["dispatcher"] = build_dispatcher(connections, self._settings, avito)
        if "forwarder" in self._roles:
            running["forwarder"] = build_forwarder(connections, self._settings, avito)
        return running

    async def _work(self, running: dict[str, Role | HttpServer], stop: StopRequest) -> None:
        """
        Run the roles; when a signal comes, one of them ends or a watch fails, stop them all.
        """
        tasks = [asyncio.create_task(role.run(), name=name) for name, role in running.items()]
        asked = asyncio.create_task(stop.asked.wait(), name="signal")
        try:
            waiting: set[asyncio.Task[Any]] = {asked, *tasks, *self._watches}
            ended = False
            while not ended:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                # A watch may be over; a role may not.
                ended = any(task is asked or task in tasks or _failed(task) for task in done)
            self._manager.stopping()
            if asked.done():
                _log.info("program.stopping", grace_s=self._settings.shutdown_grace)
                self._banner.line("Stopping. Ctrl-C once more stops at once.")
            for role in running.values():
                role.stop()
            await asyncio.wait(tasks)
        finally:
            for task in (asked, *tasks):
                task.cancel()
            await asyncio.gather(asked, *tasks, return_exceptions=True)
        for task in (*tasks, *self._watches):
            if _failed(task):
                task.result()
        if not stop.asked.is_set():
            raise GatewayError("A role ended by itself. The log tells why.")
        _log.info("program.stopped")

    async def _introduce(
        self, server: HttpServer | None, sandbox: Sandbox | None, avito: Avito, connections: Connections
    ) -> None:
        """
        Say where everything is, once it is there. Nobody to read it is no reason to stop.
        """
        base_url = None
        if server is not None:
            # Asked first: a server that is stopped as soon as it is ready has closed its socket.
            base_url = http_server.base_url(server.bound)
            await server.ready.wait()
        self._manager.ready()
        introduction = Introduction(self._settings, self._roles, base_url, self._banner)
        try:
            if sandbox is None or base_url is None:
                introduction.tell()
            else:
                own_n8n = self._profile.settings.n8n_webhook_url is not None
                await introduction.tell_sandbox(sandbox, base_url, avito, connections, has_own_n8n=own_n8n)
        except Exception as error:  # noqa: BLE001 - the work goes on, whatever is wrong with the greeting
            _log.exception("introduction.failed", error_type=type(error).__name__)

    def _watch(self, work: Coroutine[Any, Any, object], name: str) -> None:
        self._watches.append(asyncio.create_task(work, name=name))

    async def _end_watches(self) -> None:
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
