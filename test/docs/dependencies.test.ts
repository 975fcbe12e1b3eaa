/** What is installed is what was chosen: exact versions, each with its checksum, each with its reason. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(`${root}${name}`, 'utf8');
const manifest = JSON.parse(read('package.json')) as Record<
  'dependencies' | 'devDependencies',
  Record<string, string>
>;
interface Locked {
  version: string;
  integrity?: string;
  resolved?: string;
  /** Of another platform, perhaps: npm knows the checksum of those that it installed when it wrote the lock. */
  optional?: boolean;
}
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };

test('Dependencies have exact versions, and the lock has the same.', () => {
  const chosen = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  for (const [name, version] of chosen) {
    assert.match(
      version,
      /^\d+\.\d+\.\d+$/,
      `${name}: ${version} is no exact version (npm install --save-exact)`,
    );
    assert.equal(lock.packages[`node_modules/${name}`]?.version, version, name);
  }
});

test('The lock has a checksum of each package, and names no registry.', () => {
  for (const [path, { integrity, resolved, optional }] of Object.entries(lock.packages)) {
    if (path === '') continue;
    if (optional !== true) assert.match(integrity ?? '', /^sha512-/, `${path} has no checksum`);
    assert.equal(resolved, undefined, `${path} names a registry`);
  }
});

test('Each dependency has its reason in docs/dependencies.md.', () => {
  const reasons = read('docs/dependencies.md');
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }))
    assert.ok(reasons.includes(name), name);
});

test('.ci/dependencies writes the bill of materials, and says whether it could ask for weaknesses.', () => {
  const said = execFileSync('bash', ['-c', '.ci/dependencies 2>&1'], { cwd: root, encoding: 'utf8' });
  assert.match(said, /bill of materials: \d+ packages/);
  assert.match(said, /nothing known|NOT AUDITED/);
  const bill = JSON.parse(read('.tmp/sbom.json')) as { bomFormat: string; components: { name: string }[] };
  assert.equal(bill.bomFormat, 'CycloneDX');
  const names = new Set(bill.components.map(({ name }) => name));
  for (const name of Object.keys(manifest.dependencies)) assert.ok(names.has(name), name);
});
