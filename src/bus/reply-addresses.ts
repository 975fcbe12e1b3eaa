/**
 * Which addresses of direct reply-to the broker can deliver to.
 *
 * RabbitMQ puts the genuine address in place when a caller names `amq.rabbitmq.reply-to`; but a caller may write any address
 * itself, and at one that it cannot decode the broker ends the connection of the host that answers. So the first answer to
 * an unknown broker node is tried on a connection that nobody needs, with a key that no caller has: nobody gets that message.
 */
import { connect } from 'amqplib';
import type { Session } from './broker-link.ts';

const prefix = 'amq.rabbitmq.reply-to.';
const probeKey = 'probe';
/** Callers that are remembered; beyond that all are looked at anew. */
const maxRemembered = 10_000;

/** External term format: a process ID, whose first part is the name of its node, an atom with two or one bytes for its length. */
const termVersion = 131;
const newPid = 88;
const atom = 118;
const smallAtom = 119;
const pidNumbersBytes = 12;

export function isDirectReplyTo(queue: string): boolean {
  return queue.startsWith(prefix);
}

export class ReplyAddresses {
  readonly #session: Session;
  /** By the part of the address that names the caller's channel. */
  readonly #remembered = new Map<string, boolean>();
  readonly #goodNodes = new Set<string>();
  /** One probe at a time: whoever floods a host with forged addresses waits for himself. */
  #probing: Promise<unknown> = Promise.resolve();

  constructor(session: Session) {
    this.#session = session;
  }

  /** Whether the broker can deliver there, where that is known already. */
  known(address: string): boolean | undefined {
    const caller = callerOf(address);
    const remembered = this.#remembered.get(caller);
    if (remembered !== undefined) return remembered;
    const node = nodeOf(caller);
    if (node === undefined || !this.#goodNodes.has(node)) return undefined;
    this.#remember(caller, true);
    return true;
  }

  /** Finds out. */
  find(address: string): Promise<boolean> {
    const found = this.#probing.then(async () => {
      const known = this.known(address);
      if (known !== undefined) return known;
      const caller = callerOf(address);
      const good = await this.#probe(`${caller}.${probeKey}`);
      const node = nodeOf(caller);
      if (good && node !== undefined) this.#goodNodes.add(node);
      this.#remember(caller, good);
      return good;
    });
    this.#probing = found.catch(() => {});
    return found;
  }

  /** @throws where it cannot be tried */
  async #probe(address: string): Promise<boolean> {
    const connection = await connect(this.#session.url, this.#session.connectOptions);
    let broken = false;
    connection.on('error', () => {
      broken = true;
    });
    try {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      channel.publish('', address, Buffer.alloc(0));
      // The broker works in order: when it has answered this, it has borne the other.
      await channel.checkExchange('amq.direct');
      return true;
    } catch {
      return false;
    } finally {
      if (!broken) await connection.close().catch(() => {});
    }
  }

  #remember(caller: string, good: boolean): void {
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#remembered.set(caller, good);
  }
}

/** All but the key, which the broker only compares. */
function callerOf(address: string): string {
  const end = address.lastIndexOf('.');
  return end < prefix.length ? address : address.slice(0, end);
}

/** Name of the broker node in a caller's part, or undefined where it has another form. */
function nodeOf(caller: string): string | undefined {
  const text = caller.slice(prefix.length);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) return undefined;
  if (bytes[0] !== termVersion || bytes[1] !== newPid || bytes.length < 5) return undefined;
  const form = bytes[2];
  if (form !== atom && form !== smallAtom) return undefined;
  const begin = form === atom ? 5 : 4;
  const end = begin + (form === atom ? bytes.readUInt16BE(3) : bytes.readUInt8(3));
  return bytes.length === end + pidNumbersBytes ? bytes.toString('utf8', begin, end) : undefined;
}
