"""Celery with its RPC backend and a pool of threads. It has no events for others to subscribe to."""

import collections
import ctypes
import logging
import os
import signal
import sys
import time
import warnings

import celery

from program import run_client, say

logging.disable(logging.CRITICAL)
# It warns of a worker that runs as root.
warnings.simplefilter("ignore")
THREADS = 1000
PR_SET_PDEATHSIG = 1

role, url = sys.argv[1:3]

app = celery.Celery("bench", broker=url, backend="rpc://")
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_default_delivery_mode="transient",
    result_persistent=False,
    task_ignore_result=False,
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
)


@app.task(name="echo")
def echo(text):
    return {"text": text}


@app.task(name="sleep")
def sleep(ms):
    time.sleep(ms / 1000)


def serve():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    say({"ready": True})
    # A lasting task needs a thread; the pool starts them as they are needed.
    app.Worker(pool="threads", concurrency=THREADS, quiet=True, without_gossip=True, without_mingle=True,
               without_heartbeat=True).start()


def send(sleep_ms):
    result = echo.delay("hello") if sleep_ms is None else sleep.delay(sleep_ms)
    # Otherwise get() waits for one more message although the result is there: up to a second.
    result.then(lambda _: None)
    return result


def call(count, in_flight, sleep_ms):
    waiting = collections.deque()
    for _ in range(count):
        if len(waiting) == in_flight:
            waiting.popleft().get()
        waiting.append(send(sleep_ms))
    while waiting:
        waiting.popleft().get()


if role == "server":
    serve()
else:
    echo.delay("hello").get()
    run_client(call)
os._exit(0)
