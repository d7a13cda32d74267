"""
What bounds each row, in words: written by hand after profiling (py-spy, cProfile, INFO commandstats, SLOWLOG). By the
row's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BOUNDS: Final[Mapping[str, str]] = {
    "webhooks": """\
The ingress process. About a quarter of its time is our own work (secret, parsing, dedupe, record), a sixth the group
commit, a tenth Litestar's routing; the rest is uvicorn and the write of an answer to the socket, which the ceiling pays
as well.""",
    "webhooks-paced": """\
At this rate nothing is busy: a webhook waits for the group commit under way, then for its own, and each wakes the other
process. The plain XADD of the others is one such wait.""",
    "sends": """\
The ingress process, some five times as busy with a send as the server. Litestar's routing, parameters and dependencies
are two fifths of it, uvicorn and the write of the answer to the socket a third. The rest is checking the body, the
record, and the hand-over to the group commit. A plain ASGI route, as the webhook's, would be faster, and lose
parameters, checks and documentation that come from one place.""",
    "sends-with-key": """\
As without a key: the key is looked up and kept by the same script, and the request is hashed.""",
    "bulk": """\
The server: XADD, HSET of ten fields, XADD to the index of messages, GET and SET of the key, all called from a script,
are about twice what a message costs the ingress. The two work side by side: the next 512 are made ready while 256 at a
time are stored. A pipeline of bare XADDs needs neither record nor index nor key, and is what the others do.""",
    "drained": """\
The server first. Settling an entry writes its record (HSET, PEXPIRE, PUBLISH), and a call from a script costs more than
such a command itself; lane, gate and owner check go in batches. Our own Python takes nearly as long, beside the server:
while that settles 32 the next are made ready.""",
    "latency": """\
Three trips to the server, one after the other: accept, the end of XREAD, take. Each wakes a process. A plain consumer
group needs two, and hands a message to whoever asks, whatever else of its chat is under way.""",
    "forwarded": """\
httpx: of the forwarder's time for an event four fifths are one request through httpx, httpcore, h11 and anyio; the
take, the chat's name, the signature and the settling are the rest. aiohttp, which parses in C, needs a fraction; it
would be a second HTTP library beside the one that the guard against private addresses is made for.""",
    "end-to-end": """\
Accept, wake, take, one request, and all three roles share a process, a core and its Python. The route has no queue to
go through, and loses what it has when n8n is away.""",
    "limiter": """\
The rule, not the machine: a request is counted from its start until a window after its end, since it may arrive at any
moment between. That is what keeps every window, and what costs the time of a request in each.""",
    "idle": """\
A heartbeat and a look at who is alive each few seconds, and the ends of blocking reads.""",
    "memory": """\
The entry and the record of a command each hold its chat and times, readable by redis-cli.""",
    "backlog": """\
A take looks at the head of the stream, whatever lies behind. Only a chat with very many messages differs: each
follower is read once to wait for its turn (about 10 us, the most of it XREADGROUP), some 64 of them a take, so the
first takes of such a chat are about twice as long. Fewer a take would cost those behind the chat more trips.""",
    "accounts": """\
Each account has its own streams and gate, so its own take and settle: with 200 accounts a call carries a few messages
where one account's carries 64.""",
    "processes": """\
The two cores: Redis, the sink and the load share them with the forwarders.""",
}
