/** Compiled code, kept between runs: programs start sooner, and from sources in less memory. */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * To be called first of all. The place is the user's own: Node's default is in the directory for temporary files, where
 * anybody could have put code that we would then run. Where it cannot be written, nothing is kept, and nothing fails.
 */
export function keepCompiledCode(): void {
  const fromSources = import.meta.url.endsWith('.ts');
  enableCompileCache(
    fromSources
      ? fileURLToPath(new URL('../../node_modules/.cache/hostbus', import.meta.url))
      : join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hostbus'),
  );
}
