import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadMetadata } from '../../../src/storage/key-value-text.ts';
import {
  decodeVolumeMetadata,
  encodeVolumeMetadata,
  nextGeneration,
  type VolumeMetadata,
  zeroUuid,
} from '../../../src/storage/volume-metadata.ts';

const volume: VolumeMetadata = {
  domainId: '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11',
  imageId: '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01',
  capacityBytes: 1073741824,
  createdAtS: 1700000000,
  description: '',
  diskType: 'DATA',
  format: 'raw',
  generation: 0,
  sequence: 0,
  legal: true,
  allocation: 'sparse',
  parentId: zeroUuid,
  volumeType: 'LEAF',
  unknown: new Map(),
};

// As VDSM writes it.
const fromTheField = `CAP=1073741824
CTIME=1700000000
DESCRIPTION={"DiskAlias":"vm_Disk1","DiskDescription":""}
DISKTYPE=DATA
DOMAIN=6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11
FORMAT=COW
GEN=3
IMAGE=0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01
LEGALITY=LEGAL
PUUID=00000000-0000-0000-0000-000000000000
SEQ=1
TYPE=SPARSE
VOLTYPE=LEAF
EOF
`;

test("a file of VDSM's is read, and written back as it was", () => {
  const decoded = decodeVolumeMetadata(fromTheField);
  assert.equal(decoded.format, 'qcow2');
  assert.equal(decoded.generation, 3);
  assert.equal(encodeVolumeMetadata(decoded), fromTheField);
});

test('a missing GEN or SEQ reads as 0', () => {
  const decoded = decodeVolumeMetadata(fromTheField.replace(/^(GEN|SEQ)=.*\n/gm, ''));
  assert.equal(decoded.generation, 0);
  assert.equal(decoded.sequence, 0);
});

test('the generation after 999 is 0', () => {
  assert.equal(nextGeneration(0), 1);
  assert.equal(nextGeneration(998), 999);
  assert.equal(nextGeneration(999), 0);
});

test('padding behind EOF is ignored, a missing EOF is a torn file', () => {
  assert.equal(decodeVolumeMetadata(fromTheField.padEnd(512, '\0')).sequence, 1);
  for (let length = 0; length < fromTheField.length - 1; length += 7) {
    assert.throws(() => decodeVolumeMetadata(fromTheField.slice(0, length)), BadMetadata);
  }
});

test('what would not fit into 512 bytes is refused before it is written', () => {
  const description = 'é'.repeat(210);
  assert.throws(() => encodeVolumeMetadata({ ...volume, description }), /at most 512 fit/);
});

test('a description is cut at 210 characters', () => {
  const text = encodeVolumeMetadata({ ...volume, description: 'x'.repeat(300), domainId: 'd', imageId: 'i' });
  assert.equal(decodeVolumeMetadata(text).description.length, 210);
});

test('values outside of what is allowed are refused', () => {
  for (const [from, to] of [
    ['GEN=3', 'GEN=1000'],
    ['GEN=3', 'GEN=-1'],
    ['CAP=1073741824', 'CAP=1e9'],
    ['CAP=1073741824', 'CAP=99999999999999999999'],
    ['FORMAT=COW', 'FORMAT=VMDK'],
    ['LEGALITY=LEGAL', 'LEGALITY=FAKE'],
    ['SEQ=1', 'SEQ=1\nSEQ=2'],
  ] as const) {
    assert.throws(() => decodeVolumeMetadata(fromTheField.replace(from, to)), BadMetadata, to);
  }
});

test('what is encoded decodes to the same', () => {
  const word = fc.stringMatching(/^[!-~]{0,20}$/);
  const arbitrary = fc.record({
    domainId: fc.uuid(),
    imageId: fc.uuid(),
    capacityBytes: fc.nat({ max: 2 ** 50 }),
    createdAtS: fc.nat(),
    description: word,
    diskType: fc.constantFrom('DATA', 'OVFS', 'MEMD'),
    format: fc.constantFrom('raw' as const, 'qcow2' as const),
    generation: fc.nat(999),
    sequence: fc.nat(),
    legal: fc.boolean(),
    allocation: fc.constantFrom('sparse' as const, 'preallocated' as const),
    parentId: fc.uuid(),
    volumeType: fc.constantFrom('LEAF' as const, 'INTERNAL' as const, 'SHARED' as const),
    unknown: fc
      .dictionary(fc.stringMatching(/^X[A-Z]{1,8}$/), word, { maxKeys: 2 })
      .map((extra) => new Map(Object.entries(extra).sort())),
  });
  fc.assert(
    fc.property(arbitrary, (metadata) => {
      const text = encodeVolumeMetadata(metadata);
      assert.ok(Buffer.byteLength(text) <= 512);
      assert.deepEqual(decodeVolumeMetadata(text), { ...metadata });
    }),
  );
});
