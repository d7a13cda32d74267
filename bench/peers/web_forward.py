"""
A route that hands each webhook on to n8n and answers when n8n has: `python web_forward.py PORT N8N_URL`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from web import SECRET
from web_fastapi import Envelope

port, n8n_url = sys.argv[1:3]


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[None]:
    """
    Share one client for as long as the application runs.
    """
    async with httpx.AsyncClient(timeout=30.0) as app.state.client:
        yield


app = FastAPI(lifespan=client)


@app.get("/health/live")
async def live() -> dict[str, bool]:
    """
    Answer once it runs.
    """
    return {"ok": True}


@app.post("/webhook/avito/{secret}")
async def webhook(secret: str, envelope: Envelope, request: Request) -> dict[str, bool]:
    """
    Forward a webhook.
    """
    if secret != SECRET:
        raise HTTPException(404)
    try:
        answer = await request.app.state.client.post(n8n_url, json=envelope.model_dump())
        answer.raise_for_status()
    except httpx.HTTPError:
        raise HTTPException(502) from None
    return {"ok": True}


if __name__ == "__main__":
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")
