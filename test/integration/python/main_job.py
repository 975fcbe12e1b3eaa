#!/usr/bin/python3
"""Takes a disk image in and copies it on a host, from Python with pika.

Usage: main_job.py AMQP_URL HOST_ID STORAGE_PATH IMAGE_FILE
Prints one JSON object a line: what happens, and at last the status of the copy.
"""
import json
import sys
import uuid

import pika


class Host:
    """Calls one host. Each call is a task, and its ID is the caller's to choose."""

    def __init__(self, connection, host_id):
        self.connection, self.host_id, self.answers = connection, host_id, {}
        self.channel = connection.channel()
        self.channel.basic_consume("amq.rabbitmq.reply-to", self.answered, auto_ack=True)

    def answered(self, channel, method, properties, body):
        self.answers[properties.correlation_id] = json.loads(body)

    def call(self, method, params, task_id=None):
        correlation_id = str(uuid.uuid4())
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": task_id or correlation_id}
        self.channel.basic_publish(
            "hostbus.rpc", self.host_id, json.dumps(request),
            pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=correlation_id),
        )
        while correlation_id not in self.answers:
            self.connection.process_data_events(time_limit=1)
        answer = self.answers.pop(correlation_id)
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["name"], answer["error"])
        return answer["result"]


def say(what, value):
    print(json.dumps({"what": what, "value": value}), flush=True)


def main(url, host_id, storage_path, image_file):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    host = Host(connection, host_id)

    # Everything that happens to the task copy-42, on whatever host, comes to a queue of our own.
    events = connection.channel()
    queue = events.queue_declare("", exclusive=True).method.queue
    events.queue_bind(queue, "hostbus.events", "*.task.*.copy-42")

    domain_id, source_id, target_id = (str(uuid.uuid4()) for _ in range(3))
    say("domain", host.call("createStorageDomain", {"domainId": domain_id, "path": storage_path}))

    # importImage answers once the image exists on disk; its task goes on copying, and can be waited for.
    source = {"domainId": domain_id, "imageId": source_id}
    host.call("importImage", {**source, "path": image_file, "format": "raw"}, "import-41")
    say("import", host.call("waitTask", {"taskId": "import-41"}))

    target = {"domainId": domain_id, "imageId": target_id}
    say("copy", host.call("copyImage", {"source": source, "target": target}, "copy-42"))
    say("task", host.call("getTaskStatus", {"taskId": "copy-42"}))

    for method, properties, body in events.consume(queue, auto_ack=True, inactivity_timeout=30):
        if method is None:
            raise RuntimeError("no event for 30 seconds")
        event = json.loads(body)
        say("event", event)
        if event["type"] in ("hostbus.task.succeeded", "hostbus.task.failed", "hostbus.task.cancelled"):
            break

    say("image", host.call("getImageStatus", target))
    try:
        host.call("copyImage", {"source": source, "target": target}, "copy-42")
    except RuntimeError as error:  # the ID is free again, but the target is there
        say("refused", error.args[0])
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
