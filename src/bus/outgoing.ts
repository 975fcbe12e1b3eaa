/**
 * Messages and acknowledgements on their way out: all of one turn of the event loop leave in one buffer, in one write.
 *
 * System calls and small buffers are what a call costs most (docs/performance.md). amqplib makes five buffers of each message and
 * leads them through two streams; so what leaves by the thousand is written here, and everything else by amqplib.
 */
import type { Duplex } from 'node:stream';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { ackBytes, frameOverheadBytes, type Message, messageRoom, writeAck, writeMessage } from './frames.ts';

const slabBytes = 64 * 1024;

/** Fields of amqplib that its types do not show. */
interface Connection {
  readonly stream: Duplex;
  readonly frameMax: number;
  sendBytes(bytes: Buffer): void;
}

export class Outgoing {
  readonly #connection: Connection;
  readonly #maxBodyFrameBytes: number;
  #slab = Buffer.alloc(0);
  /** What lies between begin and end has not been written yet; what lies before may still be on its way. */
  #begin = 0;
  #end = 0;
  #scheduled = false;
  readonly #flushLater = () => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(model: ChannelModel) {
    this.#connection = connectionOf(model);
    this.#maxBodyFrameBytes = this.#connection.frameMax - frameOverheadBytes;
  }

  publish(channel: number, message: Message): void {
    const bodyBytes = Buffer.byteLength(message.body);
    this.#makeRoom(messageRoom(message, bodyBytes, this.#maxBodyFrameBytes));
    this.#end = writeMessage(this.#slab, this.#end, channel, message, bodyBytes, this.#maxBodyFrameBytes);
    this.#schedule();
  }

  acknowledge(channel: number, deliveryTag: number): void {
    this.#makeRoom(ackBytes);
    this.#end = writeAck(this.#slab, this.#end, channel, deliveryTag);
    this.#schedule();
  }

  /** Hands over what has gathered. */
  flush(): void {
    if (this.#begin === this.#end) return;
    const bytes = this.#slab.subarray(this.#begin, this.#end);
    this.#begin = this.#end;
    if (this.#connection.stream.writable) this.#connection.sendBytes(bytes);
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return;
    this.flush();
    // The socket may still read from the old one.
    this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes));
    this.#begin = 0;
    this.#end = 0;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushLater);
  }
}

/** One channel's way out. Nothing else may publish on the channel: a message's frames have to follow each other. */
export class OutgoingChannel {
  readonly #outgoing: Outgoing;
  readonly #number: number;
  #open = true;

  constructor(outgoing: Outgoing, channel: Channel) {
    const { ch } = channel as unknown as { ch: unknown };
    if (typeof ch !== 'number') throw new TypeError('this version of amqplib hides the number of a channel');
    this.#outgoing = outgoing;
    this.#number = ch;
    const close = () => {
      this.#open = false;
    };
    channel.on('error', close);
    channel.on('close', close);
  }

  get open(): boolean {
    return this.#open;
  }

  /** @throws Error when the channel is closed, TypeError when a text is too long for its field; nothing leaves then */
  publish(message: Message): void {
    this.#check();
    this.#outgoing.publish(this.#number, message);
  }

  /** Acknowledges this one and all before it. @throws Error when the channel is closed */
  acknowledge(message: ConsumeMessage): void {
    this.#check();
    this.#outgoing.acknowledge(this.#number, message.fields.deliveryTag);
  }

  #check(): void {
    if (!this.#open) throw new Error('the channel is closed');
  }
}

/** The connection's socket. */
export function socketOf(model: ChannelModel): Duplex {
  return connectionOf(model).stream;
}

function connectionOf(model: ChannelModel): Connection {
  const connection = model.connection as unknown as Connection;
  if (typeof connection.sendBytes !== 'function' || typeof connection.frameMax !== 'number') {
    throw new TypeError('this version of amqplib hides the connection that hostbus writes to');
  }
  return connection;
}
