"""oslo.messaging's RPC over RabbitMQ, as OpenStack's services use it: executor `threading`, a thread for each call under way."""

import logging
import os
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg

from program import event_data, run_client, run_server

logging.disable(logging.CRITICAL)
THREADS = 1000
LONG_SECONDS = 600


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def echo(self, context, text):
        return {"text": text}

    def sleep(self, context, ms):
        time.sleep(ms / 1000)


class Subscriber:
    target = oslo_messaging.Target(version="1.0", namespace="events")

    def __init__(self, on_event):
        self._on_event = on_event

    def event(self, context, data):
        self._on_event()


def transport_of(url):
    # Its metrics register their options in the global configuration only.
    conf = cfg.CONF
    conf([], project="bench")
    # The transport takes rabbit: for amqp:, and its virtual host as written.
    transport = oslo_messaging.get_rpc_transport(conf, url=url.replace("amqp://", "rabbit://") + "/")
    conf.set_override("heartbeat_timeout_threshold", 0, group="oslo_messaging_rabbit")
    return transport


def serve(transport):
    target = oslo_messaging.Target(topic="bench", server="server")
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
    transport.conf.set_override("executor_thread_pool_size", THREADS)
    server.start()
    fanout = oslo_messaging.Target(topic="bench-events", fanout=True, version="1.0", namespace="events")
    events = oslo_messaging.get_rpc_client(transport, fanout)

    def publish(count):
        for _ in range(count):
            events.cast({}, "event", data=event_data)

    run_server(publish)


def connect(transport):
    target = oslo_messaging.Target(topic="bench", server="server", version="1.0")
    client = oslo_messaging.get_rpc_client(transport, target, timeout=LONG_SECONDS)

    def call(count, in_flight, sleep_ms):
        left = iter(range(count))
        lock = threading.Lock()

        def caller():
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                if sleep_ms is None:
                    client.call({}, "echo", text="hello")
                else:
                    client.call({}, "sleep", ms=sleep_ms)

        threads = [threading.Thread(target=caller, daemon=True) for _ in range(in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    subscribers = []

    def subscribe(on_event):
        name = f"subscriber{len(subscribers)}"
        own = oslo_messaging.Target(topic="bench-events", server=name)
        server = oslo_messaging.get_rpc_server(transport, own, [Subscriber(on_event)], executor="threading")
        server.start()
        subscribers.append(server)

    client.call({}, "echo", text="hello")
    run_client(call, subscribe)


role, url = sys.argv[1:3]
(serve if role == "server" else connect)(transport_of(url))
sys.stdout.flush()
os._exit(0)
