/** Names on the broker: exchanges, queues, routing keys. The wire contract fixes them. */
import { createHash } from 'node:crypto';

export const rpcExchange = 'hostbus.rpc';
export const eventsExchange = 'hostbus.events';

/** The queue in which a host's requests wait; it lives as long as the host's connection. */
export function requestQueue(hostId: string): string {
  return `${rpcExchange}.${hostId}`;
}

/** Longest `<id>` word of a routing key, in bytes: the whole key has to fit 255. */
const maxIdBytes = 160;

/**
 * An object's ID as the fourth word of a routing key: `. * # %` and blanks percent-encoded; longer than 160 bytes after that:
 * `~` and the SHA-256 of the ID's own UTF-8 bytes in base64url.
 */
export function encodeKeyWord(id: string): string {
  const word = id.replaceAll(/[.*#%\s]/g, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
  if (Buffer.byteLength(word) <= maxIdBytes) return word;
  return `~${createHash('sha256').update(id).digest('base64url')}`;
}

/** Routing key of an event: four words. */
export function eventKey(hostId: string, kind: string, event: string, id: string): string {
  return `${hostId}.${kind}.${event}.${encodeKeyWord(id)}`;
}

/** Binding key for a subscription; a word that is left out matches anything. */
export function eventPattern(filter: { host?: string; kind?: string; event?: string; id?: string }): string {
  const { host = '*', kind = '*', event = '*', id } = filter;
  return `${host}.${kind}.${event}.${id === undefined ? '*' : encodeKeyWord(id)}`;
}
