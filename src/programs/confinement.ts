/**
 * How a program is kept within bounds, by two programs of util-linux that set the bounds and then become the program: the
 * process ID stays the same, and nothing is left beside it.
 */

/** What a program may use up; what is absent has no limit of its own. */
export interface ResourceLimits {
  /** Seconds of processor time; then it is killed. */
  cpuS?: number;
  /** Memory that it may map; beyond that it is given none, which ends most programs. */
  addressSpaceBytes?: number;
}

const threadStackBytes = 1024 ** 2;

/**
 * - `limits`: also none at all, which still keeps it from leaving a core dump
 * - the program dies with the daemon, whatever the daemon dies of: nobody goes on writing what a later start believes
 *   to be nobody's
 */
export function confinedCommand(
  program: string,
  args: readonly string[],
  limits: ResourceLimits,
): [string, ...string[]] {
  const bounds = ['--core=0'];
  if (limits.cpuS !== undefined) bounds.push(`--cpu=${limits.cpuS}`);
  if (limits.addressSpaceBytes !== undefined) {
    // Threads get stacks of this size, all of which count: qemu-img may start 64 of them.
    bounds.push(`--as=${limits.addressSpaceBytes}`, `--stack=${threadStackBytes}`);
  }
  return ['setpriv', '--pdeathsig', 'KILL', '--', 'prlimit', ...bounds, '--', program, ...args];
}

/** Which program could not be started, when one of the two says so; undefined for any other end. */
export function notStarted(
  command: readonly string[],
  end: { exitCode?: number | undefined; stderr: string },
): string | undefined {
  // As execvp(3)'s users do: 127 for "there is none", 126 for "it may not be started".
  if (end.exitCode !== 127 && end.exitCode !== 126) return undefined;
  const said = /^(?:setpriv|prlimit): failed to execute (.+?): /m.exec(end.stderr)?.[1];
  return said !== undefined && command.includes(said) ? said : undefined;
}
