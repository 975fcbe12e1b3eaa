import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeDomainMetadata,
  encodeDomainMetadata,
  newDomainValues,
} from '../../../src/storage/domain-metadata.ts';
import { BadMetadata } from '../../../src/storage/key-value-text.ts';

const domain = {
  domainId: '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11',
  description: 'images',
  type: 'LOCALFS' as const,
  remotePath: '/srv/images',
};

test('a new domain has all keys of version 5, sorted, and its checksum last', () => {
  const lines = encodeDomainMetadata(newDomainValues(domain)).trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, 3), ['ALIGNMENT=1048576', 'BLOCK_SIZE=512', 'CLASS=Data']);
  assert.ok(lines.includes('VERSION=5') && lines.includes('POOL_UUID=') && lines.includes('ROLE=Regular'));
  const sealed = lines.slice(0, -1).join('');
  assert.equal(lines.at(-1), `_SHA_CKSUM=${createHash('sha1').update(sealed).digest('hex')}`);
  assert.deepEqual(lines.slice(0, -1), lines.slice(0, -1).toSorted());
});

test('the checksum takes non-ASCII characters as XML character references', () => {
  const text = encodeDomainMetadata(newDomainValues({ ...domain, description: 'Büro 💾' }));
  const lines = text.trimEnd().split('\n').slice(0, -1);
  const sealed = lines.join('').replace('ü', '&#252;').replace('💾', '&#128190;');
  assert.ok(text.endsWith(`_SHA_CKSUM=${createHash('sha1').update(sealed).digest('hex')}\n`));
  assert.equal(decodeDomainMetadata(text).description, 'Büro 💾');
});

test('a changed file is not believed, a file without checksum is', () => {
  const text = encodeDomainMetadata(newDomainValues(domain));
  assert.throws(() => decodeDomainMetadata(text.replace('images', 'others')), BadMetadata);
  assert.throws(() => decodeDomainMetadata(text.replace(/^ROLE=.*\n/m, '')), BadMetadata);
  const bare = text.replace(/^_SHA_CKSUM=.*\n/m, '');
  assert.equal(decodeDomainMetadata(bare).sealed, false);
  assert.equal(decodeDomainMetadata(text).sealed, true);
});

test('a newer version is refused by name', () => {
  const values = new Map(newDomainValues(domain)).set('VERSION', '6');
  assert.throws(() => decodeDomainMetadata(encodeDomainMetadata(values)), /version 6/);
});

test('a name cannot forge another key', () => {
  const values = newDomainValues({ ...domain, description: 'a\nROLE=Master' });
  assert.throws(() => encodeDomainMetadata(values), TypeError);
});

test('what is encoded decodes to the same, whatever the name and the unknown keys', () => {
  const name = fc
    .string({ unit: 'grapheme', maxLength: 210 })
    .map((text) => text.replace(/[\u0000-\u001f\u007f\u2028\u2029\u0085]/g, '').trim());
  const unknown = fc.dictionary(fc.stringMatching(/^X[A-Z]{1,8}$/), fc.stringMatching(/^[ -~]{0,20}$/));
  fc.assert(
    fc.property(name, unknown, (description, extra) => {
      const values = new Map(newDomainValues({ ...domain, description }));
      for (const [key, value] of Object.entries(extra)) values.set(key, value.trim());
      const decoded = decodeDomainMetadata(encodeDomainMetadata(values));
      assert.equal(decoded.description, description);
      assert.deepEqual(new Map([...decoded.values].sort()), new Map([...values].sort()));
    }),
  );
});

test('no text makes the reader fail otherwise than by BadMetadata', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
      assert.throws(() => decodeDomainMetadata(text), BadMetadata);
    }),
  );
});
