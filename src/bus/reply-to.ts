/** Where an answer goes: `reply_to`, as a queue name or a STOMP-style destination. */
import { rpcExchange } from './names.ts';

export interface Destination {
  /** '' is the default exchange: the routing key is a queue's name. */
  readonly exchange: '' | 'amq.topic' | 'amq.direct';
  readonly routingKey: string;
}

/** Why a host will not answer there, in words for its log. */
export class BadDestination extends Error {
  override readonly name = 'BadDestination';
}

/**
 * Only queues, `amq.topic` and `amq.direct`: a host never publishes on a caller's behalf into its own exchanges or another
 * host's request queue.
 * @throws BadDestination
 */
export function parseReplyTo(replyTo: string): Destination {
  const destination = replyTo.startsWith('/')
    ? parseStomp(replyTo)
    : { exchange: '' as const, routingKey: replyTo };
  if (destination.exchange === '' && destination.routingKey.startsWith(`${rpcExchange}.`)) {
    throw new BadDestination('it is the request queue of a host');
  }
  return destination;
}

function parseStomp(replyTo: string): Destination {
  const [, kind, ...rest] = replyTo.split('/');
  const words = rest.map(decode);
  const [first, second] = words;
  if (first === undefined || words.includes('')) throw new BadDestination('a name in it is empty');
  switch (kind) {
    case 'queue':
    case 'reply-queue':
      return { exchange: '', routingKey: words.join('/') };
    case 'topic':
      return { exchange: 'amq.topic', routingKey: words.join('/') };
    case 'exchange':
      if (first !== 'amq.topic' && first !== 'amq.direct') {
        throw new BadDestination('of the exchanges, only amq.topic and amq.direct are written to');
      }
      if (second === undefined) throw new BadDestination('the routing key is missing');
      return { exchange: first, routingKey: words.slice(1).join('/') };
    default:
      throw new BadDestination('its kind is not queue, reply-queue, topic or exchange');
  }
}

function decode(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    throw new BadDestination('its percent-encoding is wrong');
  }
}
