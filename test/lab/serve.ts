/** `npm run lab -- serve`: a broker, and a hostbusd on each host that is on, until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, LabHost } from './lab.ts';

const lookEveryMs = 500;

/**
 * Serves until `signal` is aborted. A daemon that ends, since its host lost its power or somebody killed it, is started again as
 * soon as its host is on.
 *
 * @param say - told, in lines for people, where the broker is and what becomes of the daemons
 */
export async function serveLab(lab: Lab, signal: AbortSignal, say: (line: string) => void): Promise<void> {
  await using broker = await lab.broker();
  say(`export HOSTBUS_URL=${broker.url}`);
  await Promise.all(lab.hosts.map((host) => serveHost(host, signal, say)));
}

async function serveHost(host: LabHost, signal: AbortSignal, say: (line: string) => void): Promise<void> {
  while (!signal.aborted) {
    if (host.isOn) {
      try {
        await daemonOn(host, signal, say);
      } catch (error) {
        // Its host may have lost its power meanwhile.
        say(`${host.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
  }
}

async function daemonOn(host: LabHost, signal: AbortSignal, say: (line: string) => void): Promise<void> {
  const daemon = await host.startDaemon();
  say(`${host.name}: hostbusd serves`);
  const stop = () => daemon.signal('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  await daemon.exited;
  signal.removeEventListener('abort', stop);
  say(`${host.name}: hostbusd has ended`);
}
