/** As whom the checks look at the host: what root may do says nothing about hostbusd. */
import { userInfo } from 'node:os';
import { type Finding, findingsOf } from './finding.ts';

const { ok, warning, failed } = findingsOf('user');

/** Node has it; its types do not. */
type InitGroups = NodeJS.Process & { initgroups(user: string, extraGroup: number): void };

/**
 * Becomes the user that hostbusd runs as, for the rest of this process, where root asks.
 * @param given - a name that was asked for
 * @param ofUnit - the user of the unit
 */
export function becomeUser(given: string | undefined, ofUnit: string | undefined): Finding {
  const wanted = given ?? ofUnit;
  const self = userInfo().username;
  if (wanted === undefined || wanted === self)
    return self === 'root' && given === undefined
      ? warning('root, who may do what hostbusd may not', 'Check as its user: hostbus doctor --user hostbus')
      : ok(self);
  if (process.getuid?.() !== 0)
    return given === undefined
      ? warning(`${self}, but hostbusd runs as ${wanted}`, 'Run the doctor as root, or as that user')
      : failed(`${self} cannot look as ${wanted}`, 'Run the doctor as root');
  try {
    process.seteuid?.(wanted);
    const { gid } = userInfo();
    process.seteuid?.(0);
    (process as InitGroups).initgroups(wanted, gid);
    process.setgid?.(gid);
    process.setuid?.(wanted);
    return ok(`${wanted}, from here on`);
  } catch (error) {
    return failed(
      `${wanted}: ${(error as Error).message}`,
      'systemd-sysusers makes the user of the Debian package',
    );
  }
}
