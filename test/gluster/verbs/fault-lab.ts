/** Hosts on which every verb of Gluster's can be done again and again, and what is done to a daemon that does one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { VerbName, VerbTypes } from '../../../schemas/verbs.ts';
import { HostbusError } from '../../../src/client/client.ts';
import { cleanEnvironment } from '../../lab/command.ts';
import type { Lab, LabHost } from '../../lab/lab.ts';
import type { LabDaemon } from '../../lab/lab-daemon.ts';
import { isAsked, whileHung } from '../../lib/gluster-faults.ts';
import { type GlusterHosts, startGlusterHosts } from '../../lib/gluster-hosts.ts';
import { until } from '../../lib/until.ts';

export type GlusterVerb = Extract<VerbName, `gluster.${string}`> extends `gluster.${infer V}` ? V : never;
type Types<V extends GlusterVerb> = VerbTypes[`gluster.${V}`];

/** When a daemon dies: before or after a command line that holds these words; at its nth system call of this name. */
export type Moment =
  | { readonly when: 'before' | 'after'; readonly words: string }
  | { readonly systemCall: string; readonly nth: number };

const callTimeoutMs = 60_000;
/** Looks for operations take locks, by which the moments are told. */
const rarely = {
  HOSTBUS_GLUSTER_OPERATION_INTERVAL: '3600',
  HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '3600',
};
/** One thread for files, so that its system calls come in one order. */
const stoppable = { ...rarely, PATH: `/root/bin:${cleanEnvironment.PATH}`, UV_THREADPOOL_SIZE: '1' };
const stopping = new URL('../stopping-program.sh', import.meta.url);
const stoppingPrograms = [
  'gluster',
  'gluster-eventsapi',
  'gluster-mountbroker',
  'find',
  'groupadd',
  'mkfs.xfs',
  'mount',
];
stoppingPrograms.push('sleep', 'useradd', 'wipefs');

export class FaultLab implements AsyncDisposable {
  readonly #hosts: GlusterHosts;
  /** On h1; it is killed and started again. */
  #daemon: LabDaemon;
  /** On h1, too: it waits for Gluster for a second only. */
  readonly impatient: LabDaemon;

  private constructor(hosts: GlusterHosts, daemon: LabDaemon, impatient: LabDaemon) {
    this.#hosts = hosts;
    this.#daemon = daemon;
    this.impatient = impatient;
  }

  static async start(hosts: number, geoReplication = false): Promise<FaultLab> {
    const started = await startGlusterHosts(hosts, rarely, geoReplication);
    const h1 = started.lab.host(1);
    await h1.succeed(
      [
        'sh',
        '-ec',
        `mkdir /root/bin; cd /root/bin; cat >stopping; chmod +x stopping; for p in ${stoppingPrograms.join(' ')}; do ln stopping $p; done`,
      ],
      { input: readFileSync(stopping, 'utf8') },
    );
    await started.daemons[0]?.stop();
    const [daemon, impatient] = await Promise.all([
      h1.startDaemon({ env: stoppable }),
      h1.startDaemon({ hostId: 'impatient', env: { ...rarely, HOSTBUS_GLUSTER_TIMEOUT: '1' } }),
    ]);
    return new FaultLab(started, daemon, impatient);
  }

  get lab(): Lab {
    return this.#hosts.lab;
  }

  /** The host that is asked. */
  get h1(): LabHost {
    return this.lab.host(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hosts[Symbol.asyncDispose]();
  }

  call<V extends GlusterVerb>(verb: V, params: Types<V>['params'], hostId = 'h1') {
    const call = this.#hosts.client
      .host(hostId)
      .callUntyped(`gluster.${verb}`, params, { timeout: callTimeoutMs });
    return call as Promise<Types<V>['result']>;
  }

  /** Of h1 and h2, each with a file system for bricks; h3 has one, too. */
  async makePool(): Promise<void> {
    await Promise.all(this.lab.hosts.map((host) => host.makeBrick('b')));
    await this.gluster('peer', 'probe', 'h2');
    await until('h1 and h2 are a pool', async () => {
      const { peers } = await this.call('listPeers', {});
      return peers.length === 2 && peers.every(({ connected, state }) => connected && state === 'inCluster');
    });
  }

  /** As by hand, on h1. Tried again while another transaction holds Gluster's lock. */
  async gluster(...args: string[]): Promise<string> {
    return until(`gluster ${args.join(' ')}`, () =>
      this.h1.gluster(...args).catch((error: unknown) => {
        if (/another transaction|please try again/i.test(String(error))) return undefined;
        throw error;
      }),
    );
  }

  /** A shell's lines, on a host. */
  sh(lines: string, host: LabHost = this.h1): Promise<string> {
    return host.succeed(['sh', '-ec', lines]);
  }

  /** Kills the daemon at a moment of a call, and starts it again. */
  async killAt(moment: Moment, call: () => Promise<unknown>): Promise<void> {
    if ('systemCall' in moment) await this.#killAtSystemCall(moment, call);
    else await this.#killAtCommand(moment, call);
    await this.#restart();
  }

  /** Kills the daemon while glusterd of h1 waits for that of another host, and starts it again. A call that asks no other host ends before. */
  async killAtPeers(peer: LabHost, call: () => Promise<unknown>): Promise<void> {
    await whileHung(peer, async () => {
      let ended = false;
      void unheard(call()).finally(() => {
        ended = true;
      });
      await until('the other host is asked', () => ended || isAsked(peer, this.h1));
      await this.#daemon.kill();
    });
    await this.#restart();
  }

  async #killAtCommand(
    { when, words }: { when: string; words: string },
    call: () => Promise<unknown>,
  ): Promise<void> {
    await this.h1.succeed(['tee', '/root/bin/stop-at'], { input: `${when} ${words}\n` });
    const stopped = `/proc/${this.#daemon.pid}/root/root/bin/stopped`;
    let early: unknown;
    call().then(
      (result) => {
        early = new Error(`the call has ended before it: ${JSON.stringify(result)}`);
      },
      (error: unknown) => {
        early = error;
      },
    );
    const pid = await until(`the moment ${when} ${words}`, async () => {
      const found = existsSync(stopped) && readFileSync(stopped, 'utf8').trim();
      if (found === false && early !== undefined) throw early;
      return found;
    });
    await this.#daemon.kill();
    // Some programs outlive the daemon.
    await this.h1.exec(['sh', '-c', `kill -9 ${pid}; rm /root/bin/stopped`]);
  }

  async #killAtSystemCall(
    { systemCall, nth }: { systemCall: string; nth: number },
    call: () => Promise<unknown>,
  ): Promise<void> {
    const inject = `inject=${systemCall}:signal=KILL:when=${nth}`;
    const options = ['-f', '-q', '-o', '/dev/null', '-e', `trace=${systemCall}`, '-e', inject];
    const tracer = spawn('strace', [...options, '-p', String(this.#daemon.pid)], { stdio: 'ignore' });
    const ended = once(tracer, 'exit');
    await until('all threads are traced', () => isTraced(this.#daemon.pid));
    const early = call().then(
      (result) => assert.fail(`not killed at ${systemCall} ${nth}: ${JSON.stringify(result)}`),
      (error: unknown) => {
        // Told when the daemon is back; anything else is a refusal.
        if (error instanceof HostbusError) throw error;
      },
    );
    early.catch(() => {});
    try {
      await Promise.race([this.#daemon.exited, early]);
    } finally {
      tracer.kill('SIGKILL');
      await ended;
    }
    await this.#daemon.kill();
  }

  async #restart(): Promise<void> {
    this.#daemon = await this.h1.startDaemon({ env: stoppable });
  }
}

/** A call whose end nobody waits for: its daemon dies. */
function unheard(call: Promise<unknown>): Promise<unknown> {
  return call.catch(() => undefined);
}

function isTraced(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every(
    (thread) => !/^TracerPid:\s*0$/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')),
  );
}
