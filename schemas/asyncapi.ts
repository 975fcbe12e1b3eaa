/** The AsyncAPI document of the events, made from their declarations. */

import { hostIdPattern } from './common.ts';
import { CloudEvent, type EventKind, eventData, eventNames } from './events.ts';

const kindDocs: Readonly<Record<EventKind, string>> = {
  task: 'Tasks other than queries. `data` is the Task.',
  host: 'The daemon itself. `data` is what getHostInfo returns (`started`), or getHostStats (`heartbeat`, `stopping`).',
  image: 'Images. `data` is the ImageStatus; of a deleted image, its IDs.',
  domain: 'Storage domains. `data` is the Domain.',
  operation:
    "Rebalances and removals of bricks, whoever started them; the ID is Gluster's own. `data` is the Operation.",
};

/**
 * @param version - version of the software
 * @returns a plain JSON value, valid AsyncAPI 3.0
 */
export function asyncApiDocument(version: string): Record<string, unknown> {
  const kinds = Object.keys(eventNames) as EventKind[];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'hostbus events',
      version,
      description:
        'What hosts broadcast: CloudEvents 1.0 in structured mode, on the topic exchange hostbus.events.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/cloudevents+json',
    channels: Object.fromEntries(kinds.map((kind) => [kind, channelOf(kind)])),
    operations: Object.fromEntries(
      kinds.map((kind) => [
        `publish-${kind}`,
        { action: 'send', channel: { $ref: `#/channels/${kind}` }, summary: kindDocs[kind] },
      ]),
    ),
  };
}

function channelOf(kind: EventKind): Record<string, unknown> {
  return {
    address: `{hostId}.${kind}.{event}.{id}`,
    description: kindDocs[kind],
    parameters: {
      hostId: { description: `The host: ${hostIdPattern}` },
      event: { description: 'What happened', enum: [...eventNames[kind]] },
      id: {
        description:
          'ID of the object. `. * # %` and blanks are percent-encoded; longer than 160 bytes after that: `~` and the SHA-256 of the ID in base64url',
      },
    },
    messages: Object.fromEntries(eventNames[kind].map((event) => [event, messageOf(kind, event)])),
    bindings: {
      amqp: {
        is: 'routingKey',
        exchange: { name: 'hostbus.events', type: 'topic', durable: true, autoDelete: false },
        bindingVersion: '0.3.0',
      },
    },
  };
}

function messageOf(kind: EventKind, event: string): Record<string, unknown> {
  return {
    name: `hostbus.${kind}.${event}`,
    contentType: 'application/cloudevents+json',
    payload: {
      ...CloudEvent,
      properties: {
        ...CloudEvent.properties,
        type: { type: 'string', const: `hostbus.${kind}.${event}` },
        data: dataOf(kind, event),
      },
    },
  };
}

function dataOf(kind: EventKind, event: string): object {
  if (kind === 'host') return eventData.host[event as keyof typeof eventData.host];
  if (kind === 'image' && event === 'deleted') return eventData.imageDeleted;
  return eventData[kind];
}
