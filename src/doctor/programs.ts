/** Programs that the daemon starts: are they there, and which versions? */
import { isInstalled } from '../programs/find-program.ts';
import { run } from '../programs/run.ts';
import { type Finding, findingsOf } from './finding.ts';
import { silentLog } from './host.ts';

const { ok, warning, failed, skipped } = findingsOf('programs');

/** @param gluster - `gluster.program` of the configuration */
export async function examinePrograms(gluster: string): Promise<Finding[]> {
  return Promise.all([
    examine('qemu-img', '--version', (why) =>
      failed(
        `${why}: images are copied, but not converted, checked, or made as qcow2`,
        'apt install qemu-utils',
      ),
    ),
    ...['setpriv', 'prlimit'].map((name) =>
      examine(name, '--version', (why) =>
        failed(`${why}: qemu-img is not run without its bounds`, 'apt install util-linux'),
      ),
    ),
    examine(gluster, '--version', (why) =>
      gluster === 'gluster'
        ? skipped(`${why}: only gluster.* verbs need it`)
        : warning(`${why}: gluster.* verbs answer GlusterUnavailable`, 'Correct gluster.program'),
    ),
  ]);
}

async function examine(program: string, option: string, missing: (why: string) => Finding): Promise<Finding> {
  if (!isInstalled(program)) {
    const where = program.includes('/') ? 'is not there' : `is not in PATH (${process.env.PATH ?? ''})`;
    return missing(`${program} ${where}`);
  }
  try {
    const { stdout } = await run(program, [option], { log: silentLog, timeoutMs: 10_000 });
    const [first = ''] = stdout.split('\n');
    return ok(first.startsWith(program) ? first : `${program}: ${first}`);
  } catch (error) {
    return failed(`${(error as Error).message}`, `Run it by hand: ${program} ${option}`);
  }
}
