/**
 * Telling the service manager (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET` names. Node has no such sockets, so
 * libc sends them.
 */
import koffi from 'koffi';

export interface ServiceManager {
  /** Sends one assignment such as `READY=1`. A service manager that is gone is not an error. */
  notify(state: string): void;
  close(): void;
}

const afUnix = 1;
const sockDgramCloexec = 2 | 0o2000000;
const pathOffset = 2;

/**
 * @param address - value of `NOTIFY_SOCKET`: a path, or `@name` for an abstract socket
 * @throws Error when the address is none of these or too long
 */
export function openServiceManager(address: string): ServiceManager {
  const name = address.startsWith('@') ? `\0${address.slice(1)}` : address;
  const bytes = Buffer.from(name);
  if (!/^[/@]/.test(address) || bytes.length > 107)
    throw new Error('NOTIFY_SOCKET is not the address of a Unix socket');
  const target = Buffer.alloc(pathOffset + bytes.length);
  target.writeUInt16LE(afUnix, 0);
  bytes.copy(target, pathOffset);

  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func(
    'int64_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)',
  );
  const close = libc.func('int close(int fd)');
  const fd: number = socket(afUnix, sockDgramCloexec, 0);
  if (fd < 0) throw new Error(`socket: errno ${koffi.errno()}`);
  return {
    notify(state) {
      const data = Buffer.from(state);
      const dontWaitNoSignal = 0x40 | 0x4000;
      sendto(fd, data, data.length, dontWaitNoSignal, target, target.length);
    },
    close() {
      close(fd);
    },
  };
}
