/**
 * What every peer's program does: `node PEER.ts server|client URL`. It says `{"ready":true}` on standard output, then answers each line of
 * standard input by one of its own, JSON both; at the end of the input it ends.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface PeerServer {
  /** Publishes so many events, and resolves once the broker has them. */
  publish?(count: number): Promise<void>;
}

export interface PeerClient {
  echo(text: string): Promise<unknown>;
  /** Asks for something that lasts so long. */
  sleep(ms: number): Promise<unknown>;
  /** One more subscriber, with a queue of its own. */
  subscribe?(onEvent: () => void): Promise<void>;
}

export interface Peer {
  serve(url: string): Promise<PeerServer>;
  connect(url: string): Promise<PeerClient>;
}

/** What a program is asked; each is answered with `{ seconds }`. */
export interface Asked {
  /** Echoes, or things that last `sleepMs`, with so many in flight. */
  calls?: { count: number; inFlight: number; sleepMs?: number };
  publish?: number;
  subscribers?: number;
  /** Waits until so many events have come to all subscribers together. */
  received?: number;
}

export async function runPeer(peer: Peer): Promise<void> {
  const [role, url = ''] = process.argv.slice(2);
  const does = role === 'server' ? serverOf(await peer.serve(url)) : clientOf(await peer.connect(url));
  say({ ready: true });
  for await (const line of createInterface(process.stdin)) {
    const beganMs = performance.now();
    await does(JSON.parse(line) as Asked);
    say({ seconds: (performance.now() - beganMs) / 1000 });
  }
  process.exit();
}

function say(words: object): void {
  process.stdout.write(`${JSON.stringify(words)}\n`);
}

function serverOf(server: PeerServer): (asked: Asked) => Promise<void> {
  return async ({ publish = 0 }) => server.publish?.(publish);
}

function clientOf(client: PeerClient): (asked: Asked) => Promise<void> {
  const events = new EventTarget();
  let subscribers = 0;
  let received = 0;
  let wanted = Number.POSITIVE_INFINITY;
  const onEvent = () => {
    received += 1;
    if (received >= wanted) events.dispatchEvent(new Event('all'));
  };
  return async (asked) => {
    if (asked.calls !== undefined) {
      const { count, inFlight, sleepMs } = asked.calls;
      const call = sleepMs === undefined ? () => client.echo('hello') : () => client.sleep(sleepMs);
      await keepInFlight(call, count, inFlight);
    }
    for (; subscribers < (asked.subscribers ?? 0); subscribers += 1) await client.subscribe?.(onEvent);
    if (asked.received !== undefined) {
      wanted = asked.received;
      if (received < wanted) await once(events, 'all');
      received = 0;
      wanted = Number.POSITIVE_INFINITY;
    }
  };
}

async function keepInFlight(call: () => Promise<unknown>, count: number, inFlight: number): Promise<void> {
  let left = count;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
}

/** What the peers publish: a task's record as an event of hostbus has it, under four words. */
export const eventKey = 'bench.task.succeeded.V1StGXR8_Z5jdHi6B-myT';
export const eventsExchange = 'bench.events';
export const eventData = {
  taskId: 'V1StGXR8_Z5jdHi6B-myT',
  method: 'copyImage',
  state: 'succeeded',
  answered: true,
  createdAt: '2026-01-01T00:00:00.000Z',
  cancelling: false,
  hostId: 'bench',
  bootId: 'Uakgb_J5m9g-0JDMbcJqL',
  startedAt: '2026-01-01T00:00:00.001Z',
  finishedAt: '2026-01-01T00:00:10.000Z',
  result: { taskId: 'V1StGXR8_Z5jdHi6B-myT' },
  user: 'engine',
};
