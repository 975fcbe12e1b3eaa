#!/usr/bin/env node
import { keepCompiledCode } from '../lib/compile-cache.ts';

// Copies and looks at storage wait in libuv's threads: four, its default, would let a few slow ones hold up all others. A domain that
// hangs holds up to 28 of them (the lanes of one domain) and one for the look at it; a thread that does nothing costs 10 KB.
process.env.UV_THREADPOOL_SIZE ??= '256';
keepCompiledCode();
const { main } = await import('../daemon/main.ts');
await main(process.argv.slice(2));
