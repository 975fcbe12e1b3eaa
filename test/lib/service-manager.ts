/** The socket of a service manager (sd_notify(3)), which hears what a daemon tells it. Node has no sockets of that kind: Python does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export class ServiceManagerSocket implements AsyncDisposable {
  /** Each assignment so far, such as `READY=1`. */
  readonly heard: string[] = [];
  /** `performance.now()` of the last `WATCHDOG=1`, and of the opening until one has come. */
  lastWatchdogMs = performance.now();
  readonly #dir: string;
  readonly #receiver: ChildProcess;

  private constructor(dir: string, receiver: ChildProcess) {
    this.#dir = dir;
    this.#receiver = receiver;
  }

  static async open(): Promise<ServiceManagerSocket> {
    const dir = mkdtempSync(join(tmpdir(), 'hostbus-notify-'));
    const receiver = spawn('/usr/bin/python3', ['-u', '-c', script, join(dir, 'notify')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: receiver.stdout });
    const socket = new ServiceManagerSocket(dir, receiver);
    await once(lines, 'line');
    lines.on('line', (line) => {
      socket.heard.push(line);
      if (line === 'WATCHDOG=1') socket.lastWatchdogMs = performance.now();
    });
    return socket;
  }

  /** What a service manager that wants to hear of a daemon so often starts it with. */
  env(watchdogMs: number): Record<string, string> {
    return { NOTIFY_SOCKET: join(this.#dir, 'notify'), WATCHDOG_USEC: `${watchdogMs * 1000}` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#receiver.kill('SIGKILL');
    await once(this.#receiver, 'exit');
    rmSync(this.#dir, { recursive: true });
  }
}

const script = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening')
while True:
    print(s.recv(4096).decode())
`;
