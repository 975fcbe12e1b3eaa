/** Output of a real gluster (glusterfs 10.3), as it was saved in test/fixtures/gluster. */
import { readFileSync } from 'node:fs';
import { type GlusterReply, readReply } from '../../src/programs/gluster.ts';

export function savedOutput(file: string): string {
  return readFileSync(new URL(`../fixtures/gluster/${file}`, import.meta.url), 'utf8');
}

/**
 * @param name - without `.xml`
 * @param args - what was run, without the options before it
 */
export function savedReply(name: string, args: readonly string[] = []): GlusterReply {
  const command = ['gluster', '--mode=script', '--xml', ...args];
  return readReply(command, { exitCode: 0, stdout: savedOutput(`${name}.xml`), stderr: '' });
}
