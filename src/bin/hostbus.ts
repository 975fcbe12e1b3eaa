#!/usr/bin/env node
import { keepCompiledCode } from '../lib/compile-cache.ts';

keepCompiledCode();
const { main } = await import('../cli/process.ts');
await main(process.argv.slice(2));
