/**
 * `node bench/run.ts [peers|memory|outstanding|latency|start|copies|checkpoints|together|monitoring|gluster] [ROUNDS] [--write]`: the figures of
 * docs/performance.md; `fleet [HOSTS[,HOSTS…]]`: those of docs/scale.md. Without a name: all.
 */
const words = process.argv.slice(2);
const write = words.includes('--write');
const [name, rounds = '5'] = words.filter((word) => word !== '--write');

const benches: Readonly<Record<string, (rounds: number) => Promise<void>>> = {
  peers: async (n) => (await import('./peers.ts')).benchPeers(n, write),
  memory: async () => (await import('./memory.ts')).benchMemory(),
  outstanding: async (n) => (await import('./outstanding.ts')).benchOutstanding(n),
  latency: async () => (await import('./latency.ts')).benchLatency(),
  copies: async (n) => (await import('./copies.ts')).benchCopies(n),
  checkpoints: async (n) => (await import('./checkpoints.ts')).benchCheckpoints(n),
  together: async (n) => (await import('./together.ts')).benchTogether(n),
  monitoring: async (n) => (await import('./monitoring.ts')).benchMonitoring(n),
  start: async (n) => (await import('./start.ts')).benchStart(n),
  fleet: async () => (await import('./fleet.ts')).benchFleet(process.argv[3] ?? '200'),
  gluster: async (n) => (await import('./gluster.ts')).benchGluster(n),
};

const chosen = name === undefined ? Object.keys(benches) : [name];
for (const one of chosen) {
  const bench = benches[one];
  if (bench === undefined) {
    process.stderr.write(`There is no benchmark ${one}; there are: ${Object.keys(benches).join(', ')}\n`);
    process.exit(64);
  }
  await bench(Number(rounds));
}
