"""What program.ts is for the peers in Python: their programs say and answer the same lines."""

import json
import sys
import threading
import time


def say(words):
    print(json.dumps(words), flush=True)


def run_client(call, subscribe=None):
    """`call(count, in_flight, sleep_ms)` makes so many calls."""
    received = Received()
    subscribers = 0
    say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.monotonic()
        if "calls" in asked:
            calls = asked["calls"]
            call(calls["count"], calls["inFlight"], calls.get("sleepMs"))
        while subscribers < asked.get("subscribers", 0):
            subscribe(received.add)
            subscribers += 1
        if "received" in asked:
            received.wait_for(asked["received"])
        say({"seconds": time.monotonic() - began})


def run_server(publish=None):
    say({"ready": True})
    for line in sys.stdin:
        began = time.monotonic()
        publish(json.loads(line)["publish"])
        say({"seconds": time.monotonic() - began})


class Received:
    """Counts events of all subscribers together."""

    def __init__(self):
        self._changed = threading.Condition()
        self._count = 0
        self._wanted = None

    def add(self):
        with self._changed:
            self._count += 1
            if self._count == self._wanted:
                self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            self._wanted = count
            self._changed.wait_for(lambda: self._count >= count)
            self._count = 0
            self._wanted = None


# As eventData in program.ts.
event_data = {
    "taskId": "V1StGXR8_Z5jdHi6B-myT",
    "method": "copyImage",
    "state": "succeeded",
    "answered": True,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "cancelling": False,
    "hostId": "bench",
    "bootId": "Uakgb_J5m9g-0JDMbcJqL",
    "startedAt": "2026-01-01T00:00:00.001Z",
    "finishedAt": "2026-01-01T00:00:10.000Z",
    "result": {"taskId": "V1StGXR8_Z5jdHi6B-myT"},
    "user": "engine",
}
