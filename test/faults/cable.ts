/** A network namespace that hangs on the machine by a cable of its own, which can be pulled: no FIN, no RST, nothing. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { succeed } from '../lab/command.ts';

/** Why there can be none here; undefined when there can. */
export function cableRefusal(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const tried = spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { encoding: 'utf8' });
  return tried.status === 0 ? undefined : `no network namespaces here: ${tried.stderr ?? 'no unshare'}`;
}

export class Cable implements AsyncDisposable {
  /** Of the machine, as seen from the namespace. */
  readonly address: string;
  /** The start of a command line that runs the rest in the namespace. */
  readonly enter: readonly string[];
  readonly #link: string;
  readonly #keeper: ChildProcess;

  private constructor(subnet: number, keeper: ChildProcess) {
    this.#keeper = keeper;
    this.#link = `hbfault${subnet}`;
    this.address = `10.86.${subnet}.254`;
    this.enter = ['nsenter', '--target', `${keeper.pid}`, '--net', '--'];
  }

  static async lay(): Promise<Cable> {
    for (let attempt = 1; ; attempt += 1) {
      const subnet = randomInt(1, 250);
      // It ends with us, and the namespace and its cable with it.
      const keeper = spawn('unshare', ['--net', 'sh', '-c', 'echo && exec cat'], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await once(keeper.stdout ?? keeper, 'data');
      const cable = new Cable(subnet, keeper);
      try {
        await cable.#connect(subnet);
        return cable;
      } catch (error) {
        await cable[Symbol.asyncDispose]();
        // The subnet may be somebody else's.
        if (attempt === 5) throw error;
      }
    }
  }

  async pull(): Promise<void> {
    await succeed(['ip', 'link', 'set', this.#link, 'down']);
  }

  async plug(): Promise<void> {
    await succeed(['ip', 'link', 'set', this.#link, 'up']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keeper.exitCode !== null) return;
    this.#keeper.kill('SIGKILL');
    await once(this.#keeper, 'exit');
  }

  async #connect(subnet: number): Promise<void> {
    const peer = ['peer', 'name', 'eth0', 'netns', `${this.#keeper.pid}`];
    await succeed(['ip', 'link', 'add', 'name', this.#link, 'type', 'veth', ...peer]);
    await succeed(['ip', 'address', 'add', `${this.address}/24`, 'dev', this.#link]);
    await this.plug();
    const inside = (...args: string[]) => succeed([...this.enter, 'ip', ...args]);
    await inside('address', 'add', `10.86.${subnet}.1/24`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('route', 'add', 'default', 'via', this.address);
  }
}
