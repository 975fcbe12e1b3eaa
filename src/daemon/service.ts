/** Under systemd: says when it is ready, and that it lives; a wedged daemon stops saying so and is started afresh. */
import type { Logger } from 'pino';
import { openServiceManager } from '../lib/sd-notify.ts';

/** Does nothing where no service manager listens (`NOTIFY_SOCKET`). */
export function watchService(log: Logger): void {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: watchdog, WATCHDOG_PID: watchdogPid } = process.env;
  if (address === undefined || address === '') return;
  let manager: ReturnType<typeof openServiceManager>;
  try {
    manager = openServiceManager(address);
  } catch (error) {
    log.warn({ err: error }, 'the service manager cannot be told');
    return;
  }
  // The broker may be away for long: that is no reason to be started afresh, so being ready does not wait for it.
  manager.notify('READY=1\nSTATUS=serving');
  process.on('SIGTERM', () => manager.notify('STOPPING=1'));
  const periodUs = Number(watchdog);
  if (!(periodUs > 0) || (watchdogPid !== undefined && Number(watchdogPid) !== process.pid)) return;
  // From the event loop: when that stands still, so does this.
  setInterval(() => manager.notify('WATCHDOG=1'), periodUs / 2000).unref();
  manager.notify('WATCHDOG=1');
}
