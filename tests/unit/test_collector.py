"""What a web process has loaded when it starts is not looked through again while people and agents wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import asyncio, gc, json

from config.asgi import application

async def start_and_answer():
    async def receive():
        return {"type": "lifespan.startup"} if not told else await asyncio.get_running_loop().create_future()

    async def send(message):
        told.append(message["type"])

    told = []
    serving = asyncio.ensure_future(application({"type": "lifespan"}, receive, send))
    while not told:
        await asyncio.sleep(0.01)
    permanent, others = gc.get_freeze_count(), len(gc.get_objects())

    scope = {
        "type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b"",
        "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http", "root_path": "",
        "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }
    sent = []

    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def body():
        return asked.pop() if asked else await asyncio.get_running_loop().create_future()

    async def answer(message):
        sent.append(message)

    await application(scope, body, answer)

    print(json.dumps([told, permanent, others, sent[0]["status"], len(gc.get_objects())]))
    serving.cancel()

asyncio.run(start_and_answer())
"""


def test_what_was_there_at_the_start_is_not_looked_at_again() -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "ALLOWED_HOSTS": "localhost"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **nowhere}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told, permanent, others, status, after = json.loads(done.stdout.splitlines()[-1])
    assert (told, status) == (["lifespan.startup.complete"], 200)
    assert permanent > 100_000  # Django, its applications and the addresses
    assert others < 1_000
    assert after < 5_000  # the first answer has loaded nothing that is looked at from then on
