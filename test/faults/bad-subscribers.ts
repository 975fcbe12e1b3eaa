/** Subscribers that harm nobody but themselves: they do not read, and their queues fill up. */
import { type ChannelModel, connect, type Options } from 'amqplib';
import { socketOf } from '../../src/bus/outgoing.ts';
import { Witness } from './witness.ts';

const queueLength = 50;
/** Far from full when it has one message more than the broker hands out. */
const prefetch = 10;

export class BadSubscribers {
  readonly #connections: ChannelModel[] = [];
  #dropping = '';
  #url = '';

  /**
   * One acknowledges nothing, and the broker drops the oldest events of its queue; of another one's queue it refuses
   * events; a third does not even read its socket.
   */
  static async start(url: string): Promise<BadSubscribers> {
    const subscribers = new BadSubscribers();
    subscribers.#url = url;
    subscribers.#dropping = await subscribers.#consume({ 'x-max-length': queueLength }, false);
    await subscribers.#consume({ 'x-max-length': queueLength, 'x-overflow': 'reject-publish' });
    await subscribers.#consume({ 'x-max-length': queueLength });
    const [, , deaf] = subscribers.#connections;
    if (deaf !== undefined) socketOf(deaf).pause();
    return subscribers;
  }

  /** What the first one sees when it reads at last, in the order in which it comes. */
  async readAtLast(): Promise<Witness> {
    const witness = new Witness('the subscriber that did not read');
    witness.mayMiss = true;
    // What was handed out to it goes back to the head of its queue when its connection ends.
    await this.#connections.shift()?.close();
    const connection = await connect(this.#url);
    const channel = await connection.createChannel();
    await channel.unbindQueue(this.#dropping, 'hostbus.events', '#');
    for (;;) {
      const message = await channel.get(this.#dropping, { noAck: true });
      if (message === false) break;
      const body = JSON.parse(message.content.toString()) as Record<string, string>;
      const [, kind = '', event = ''] = String(body.type).split('.');
      witness.take({
        hostId: String(body.source),
        kind,
        event,
        id: String(body.subject),
        bootId: String(body.bootid),
        sequence: Number(body.sequence),
        time: String(body.time),
        data: undefined,
      });
    }
    await channel.deleteQueue(this.#dropping);
    await connection.close();
    return witness;
  }

  stop(): void {
    // With an error: only then amqplib stops its heartbeats.
    for (const connection of this.#connections) socketOf(connection).destroy(new Error('stopped'));
  }

  async #consume(queueArguments: Options.AssertQueue['arguments'], autoDelete = true): Promise<string> {
    const connection = await connect(this.#url);
    connection.on('error', () => {});
    this.#connections.push(connection);
    const channel = await connection.createChannel();
    await channel.prefetch(prefetch);
    const options = { autoDelete, durable: false, arguments: queueArguments };
    const { queue } = await channel.assertQueue('', options);
    await channel.bindQueue(queue, 'hostbus.events', '#');
    await channel.consume(queue, () => {});
    return queue;
  }
}
