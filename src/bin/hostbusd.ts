#!/usr/bin/env node
import { keepCompiledCode } from '../lib/compile-cache.ts';

// Copies and looks at storage wait in libuv's threads: four, its default, would let a few slow ones hold up all others. A domain that
// begins to hang at its busiest moment holds about 40 of them; one that does nothing costs 10 KB.
process.env.UV_THREADPOOL_SIZE ??= '256';
keepCompiledCode();
const { main } = await import('../daemon/main.ts');
await main(process.argv.slice(2));
