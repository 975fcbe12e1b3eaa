/** A way to the broker that can be cut, as networks are. */

import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  /** The URL, with the proxy in the broker's place. */
  readonly url: string;
  /** Breaks every connection at once; new ones are refused until `mend`. */
  cut(): void;
  mend(): void;
  /** From now on what callers send is lost, and nobody notices. */
  swallow(): void;
}

export async function startTcpProxy(brokerUrl: string): Promise<TcpProxy> {
  const broker = new URL(brokerUrl);
  const sockets = new Set<Socket>();
  let whole = true;
  let swallowing = false;
  const server = createServer((near) => {
    if (!whole) return void near.destroy();
    const far = connectTcp(Number(broker.port), broker.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => {
        if (!(swallowing && from === near)) to.write(data);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = new URL(brokerUrl);
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0);
  const cut = () => {
    whole = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    cut,
    mend: () => {
      whole = true;
      swallowing = false;
    },
    swallow: () => {
      swallowing = true;
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
