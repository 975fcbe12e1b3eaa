/** The rooms of the house: imports point one way. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What each room may import beside itself. */
const allowed: Record<string, readonly string[]> = {
  'src/lib': [],
  schemas: [],
  'src/programs': ['schemas', 'src/lib'],
  'src/tasks': ['schemas', 'src/lib'],
  'src/bus': ['schemas', 'src/lib'],
  'src/rpc': ['src/tasks', 'schemas', 'src/lib'],
  'src/storage': ['src/tasks', 'src/programs', 'schemas', 'src/lib'],
  'src/gluster': ['src/tasks', 'src/programs', 'schemas', 'src/lib'],
  'src/monitoring': ['src/rpc', 'schemas', 'src/lib'],
  'src/client': ['src/bus', 'schemas', 'src/lib'],
  'src/cli': ['src/client', 'src/doctor', 'schemas', 'src/lib'],
  'src/doctor': ['src/daemon', 'src/client', 'src/bus', 'src/storage', 'src/programs', 'schemas', 'src/lib'],
  'src/daemon': [
    'src/bus',
    'src/rpc',
    'src/tasks',
    'src/storage',
    'src/gluster',
    'src/monitoring',
    'src/programs',
    'schemas',
    'src/lib',
  ],
  'src/bin': ['src/daemon', 'src/cli', 'src/lib'],
};
/** The script that writes the generated files is no part of the contract. */
const scripts = new Set(['schemas/generate.ts']);

const roomOf = (file: string) =>
  file.startsWith('src/') ? file.split('/').slice(0, 2).join('/') : (file.split('/')[0] ?? '');
const files = globSync('{src,schemas}/**/*.ts', { cwd: root }).filter((file) => !scripts.has(file));

interface Import {
  target: string;
  typeOnly: boolean;
  /** By `import()`: loaded when it is needed. */
  late: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const early = [
    ...text.matchAll(/^(?:import|export)\s(type\s)?[^;]*?from\s'([^']+)'/gms),
    ...text.matchAll(/^import()\s'([^']+)'/gm),
  ].map(([, type, target]) => ({ target, typeOnly: Boolean(type), late: false }));
  const late = [...text.matchAll(/import\('([^']+)'\)/g)].map(([, target]) => ({
    target,
    typeOnly: false,
    late: true,
  }));
  return [...early, ...late].map(({ target = '', ...rest }) => ({
    ...rest,
    target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
  }));
}

describe('imports', () => {
  test('Every file stands in a room that is known here.', () => {
    assert.deepEqual(
      [...new Set(files.map(roomOf))].filter((room) => !(room in allowed)),
      [],
    );
  });

  for (const [room, others] of Object.entries(allowed)) {
    test(`${room} imports only ${others.length === 0 ? 'itself' : others.join(', ')}.`, () => {
      const wrong = files
        .filter((file) => roomOf(file) === room)
        .flatMap((file) =>
          importsOf(file)
            .filter(({ target }) => target.startsWith('src/') || target.startsWith('schemas/'))
            .filter(({ target }) => ![room, ...others].includes(roomOf(target)))
            .map(({ target }) => `${file} → ${target}`),
        );
      assert.deepEqual(wrong, []);
    });
  }

  test('No file imports itself, by whatever way, types aside.', () => {
    const done = new Set<string>();
    const walk = (file: string, way: readonly string[]): void => {
      assert.ok(!way.includes(file), [...way, file].join(' → '));
      if (done.has(file)) return;
      for (const { target, typeOnly } of importsOf(file))
        if (!typeOnly && target.startsWith('s') && target.endsWith('.ts')) walk(target, [...way, file]);
      done.add(file);
    };
    for (const file of files) walk(file, []);
    assert.ok(done.size >= files.length);
  });

  for (const [name, onlyIn] of [
    ['amqplib', ['src/bus', 'src/client']],
    ['execa', ['src/programs']],
    ['json-rpc-2.0', ['src/rpc']],
    ['p-queue', ['src/tasks']],
    ['prom-client', ['src/monitoring']],
    ['sax', ['src/lib']],
  ] as const) {
    test(`Only ${onlyIn.join(' and ')} know ${name}.`, () => {
      const users = files.filter((file) => importsOf(file).some(({ target }) => target === name));
      assert.deepEqual(
        [...new Set(users.map(roomOf))].filter((room) => !(onlyIn as readonly string[]).includes(room)),
        [],
      );
    });
  }

  /** What is loaded when a program starts: each way to it, from the program's main file. */
  function loadedBy(main: string): Map<string, string> {
    const ways = new Map<string, string>();
    const walk = (file: string, way: string): void => {
      if (ways.has(file)) return;
      ways.set(file, way);
      if (!file.endsWith('.ts')) return;
      for (const { target, typeOnly, late } of importsOf(file))
        if (!typeOnly && !late) walk(target, `${way} → ${target}`);
    };
    walk(main, main);
    return ways;
  }

  for (const [program, main, notLoaded] of [
    ['command line', 'src/cli/main.ts', /^typebox/],
    ['daemon', 'src/daemon/main.ts', /^(node:http$|prom-client|@opentelemetry\/)/],
  ] as const) {
    test(`The ${program} loads nothing like ${notLoaded.source} when it starts.`, () => {
      const ways = loadedBy(main);
      assert.deepEqual(
        [...ways].filter(([target]) => notLoaded.test(target)).map(([, way]) => way),
        [],
      );
      assert.ok(ways.size > 5, 'it was followed');
    });
  }
});
