/** Images, and the copies that make them. */
import Type from 'typebox';
import {
  AbsolutePath,
  Bytes,
  Cursor,
  DomainId,
  ImageId,
  OpenObject,
  PageLimit,
  StrictObject,
  TaskId,
  Timestamp,
  VolumeId,
} from './common.ts';
import { defineVerb } from './verb.ts';

export const imageStates = ['ok', 'copying', 'interrupted', 'broken'] as const;
export const imageFormats = ['raw', 'qcow2'] as const;
export type ImageFormat = (typeof imageFormats)[number];

/** What becomes of a chain of volumes when it is copied. */
export const chainTreatments = ['keep', 'flatten'] as const;

export const Holder = OpenObject(
  { hostId: Type.String(), bootId: Type.String(), taskId: Type.String() },
  { description: 'Who is writing the image' },
);
export type Holder = Type.Static<typeof Holder>;

export const ImageRef = StrictObject({ domainId: DomainId, imageId: ImageId });
export type ImageRef = Type.Static<typeof ImageRef>;

export const CopyState = OpenObject({
  source: Type.Union([
    OpenObject({ domainId: Type.String(), imageId: Type.String() }),
    OpenObject({ path: Type.String() }, { description: 'A file of the host (`importImage`)' }),
  ]),
  done: Type.Integer({ minimum: 0, description: 'Bytes that are done and on stable storage' }),
  total: Bytes,
  unit: Type.Literal('bytes'),
  holder: Type.Optional(Holder),
  updatedAt: Timestamp,
});

export const ImageStatus = OpenObject(
  {
    domainId: DomainId,
    imageId: ImageId,
    volumeId: VolumeId,
    status: Type.Enum([...imageStates], {
      description:
        '`ok`; `copying`: somebody holds the copy and is alive; `interrupted`: nobody does, it can be continued; `broken`: it cannot, and `message` says why',
    }),
    format: Type.Enum([...imageFormats]),
    capacity: Type.Integer({ minimum: 0, description: 'Bytes that a virtual machine sees' }),
    allocated: Type.Integer({ minimum: 0, description: 'Bytes that its files occupy' }),
    chain: Type.Optional(
      Type.Array(VolumeId, {
        description:
          'Of an image of several qcow2 volumes that build on each other: their IDs, the base first, `volumeId` last. Absent when there is one',
      }),
    ),
    generation: Type.Integer({ minimum: 0, maximum: 999, description: 'Raised when a copy completes' }),
    createdAt: Timestamp,
    copy: Type.Optional(CopyState),
    message: Type.Optional(Type.String()),
  },
  { description: 'An image, as its storage domain tells it' },
);
export type ImageStatus = Type.Static<typeof ImageStatus>;

export const CopyAnswer = OpenObject({ image: ImageStatus, taskId: TaskId });

const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const sourceId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01';
const targetId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a02';

const imageSubject = (ref: ImageRef) => ({ kind: 'image' as const, id: `${ref.domainId}/${ref.imageId}` });
const inItsDomain = (ref: { domainId: string }) => ref.domainId;

export const createImage = defineVerb({
  name: 'createImage',
  doc: 'Makes an empty image.',
  params: StrictObject({
    domainId: DomainId,
    imageId: ImageId,
    format: Type.Enum([...imageFormats]),
    capacity: Type.Integer({
      minimum: 512,
      maximum: 2 ** 50,
      multipleOf: 512,
      description: 'Bytes that a virtual machine sees; a multiple of 512',
    }),
    allocation: Type.Optional(
      Type.Enum(['sparse', 'preallocated'], {
        default: 'sparse',
        description: '`preallocated` reserves the space now',
      }),
    ),
  }),
  result: ImageStatus,
  errors: ['DomainNotFound', 'DomainUnavailable', 'ImageExists', 'NoSpace', 'InvalidImage'],
  access: 'write',
  lane: 'change',
  laneKey: inItsDomain,
  query: false,
  cancellable: false,
  subject: imageSubject,
  example: { domainId, imageId: sourceId, format: 'raw', capacity: 1_073_741_824 },
});

export const importImage = defineVerb({
  name: 'importImage',
  doc: 'Takes a disk image in from a file of the host. Answers once the image exists on stable storage; the task goes on copying.',
  params: StrictObject({
    domainId: DomainId,
    imageId: ImageId,
    path: AbsolutePath,
    format: Type.Optional(
      Type.Enum([...imageFormats], {
        description:
          'Of the file. When absent, it is detected, which for a raw disk means trusting what is written in its first blocks',
      }),
    ),
  }),
  result: CopyAnswer,
  errors: [
    'DomainNotFound',
    'DomainUnavailable',
    'ImageExists',
    'NoSpace',
    'InvalidImage',
    'InvalidPath',
    'CopyFailed',
  ],
  access: 'write',
  lane: 'copy',
  laneKey: inItsDomain,
  query: false,
  cancellable: true,
  subject: imageSubject,
  example: { domainId, imageId: sourceId, path: '/srv/images/debian-12.qcow2' },
});

export const copyImage = defineVerb({
  name: 'copyImage',
  doc: 'Copies an image. Answers once the target exists on stable storage; the task goes on copying.',
  params: StrictObject({
    source: ImageRef,
    target: ImageRef,
    chain: Type.Optional(
      Type.Enum([...chainTreatments], {
        default: 'keep',
        description:
          'Of an image of several volumes (`chain` of its state): `keep` copies them all, snapshots and all; `flatten` makes one volume, with what a virtual machine reads of them. An image of one volume is copied as it is',
      }),
    ),
  }),
  result: CopyAnswer,
  errors: [
    'DomainNotFound',
    'DomainUnavailable',
    'ImageNotFound',
    'ImageExists',
    'ImageBusy',
    'ImageNotReady',
    'NoSpace',
    'InvalidImage',
    'CopyFailed',
  ],
  access: 'write',
  lane: 'copy',
  laneKey: ({ target }) => target.domainId,
  query: false,
  cancellable: true,
  subject: ({ target }) => imageSubject(target),
  example: { source: { domainId, imageId: sourceId }, target: { domainId, imageId: targetId } },
});

export const convertImage = defineVerb({
  name: 'convertImage',
  doc: 'Copies an image into another format, or afresh into the same one, through qemu-img; of a chain of volumes it makes one. Answers once the target exists on stable storage; the task goes on converting. Interrupted, a conversion goes on from the beginning.',
  params: StrictObject({ source: ImageRef, target: ImageRef, format: Type.Enum([...imageFormats]) }),
  result: CopyAnswer,
  errors: [
    'DomainNotFound',
    'DomainUnavailable',
    'ImageNotFound',
    'ImageExists',
    'ImageBusy',
    'ImageNotReady',
    'NoSpace',
    'InvalidImage',
    'CopyFailed',
  ],
  access: 'write',
  lane: 'copy',
  laneKey: ({ target }) => target.domainId,
  query: false,
  cancellable: true,
  subject: ({ target }) => imageSubject(target),
  example: {
    source: { domainId, imageId: sourceId },
    target: { domainId, imageId: targetId },
    format: 'qcow2',
  },
});

// It only reads, yet it is no query: it may last for hours, and whoever lost its answer finds the result in the task's record.
export const checkImage = defineVerb({
  name: 'checkImage',
  doc: 'Checks that an image is whole, and compares what a virtual machine would read of it with another image. Of a raw image without another one only the size can be checked.',
  params: StrictObject({
    domainId: DomainId,
    imageId: ImageId,
    compareWith: Type.Optional(ImageRef),
  }),
  result: OpenObject({
    ok: Type.Boolean({ description: 'Whether `errors` is empty' }),
    errors: Type.Array(Type.String(), { description: 'What is wrong, or differs, in words for people' }),
  }),
  errors: ['DomainNotFound', 'DomainUnavailable', 'ImageNotFound', 'ImageBusy', 'ImageNotReady'],
  access: 'read',
  lane: 'copy',
  laneKey: inItsDomain,
  query: false,
  cancellable: true,
  subject: imageSubject,
  example: { domainId, imageId: targetId, compareWith: { domainId, imageId: sourceId } },
});

export const continueImageCopy = defineVerb({
  name: 'continueImageCopy',
  doc: 'Goes on with an interrupted copy, from what is on stable storage. Any host that has the storage can, whoever began it. Answers once this task holds the copy; the task goes on copying.',
  params: ImageRef,
  result: CopyAnswer,
  errors: [
    'DomainNotFound',
    'DomainUnavailable',
    'ImageNotFound',
    'ImageBusy',
    'ImageNotReady',
    'NoSpace',
    'InvalidPath',
    'CopyFailed',
  ],
  access: 'write',
  lane: 'copy',
  laneKey: inItsDomain,
  query: false,
  cancellable: true,
  subject: imageSubject,
  example: { domainId, imageId: targetId },
});

export const getImageStatus = defineVerb({
  name: 'getImageStatus',
  doc: 'Reads the state of an image from its storage domain, whichever host works on it.',
  params: ImageRef,
  result: ImageStatus,
  errors: ['DomainNotFound', 'DomainUnavailable', 'ImageNotFound'],
  access: 'read',
  lane: 'read',
  laneKey: inItsDomain,
  query: true,
  cancellable: false,
  example: { domainId, imageId: targetId },
});

export const listImages = defineVerb({
  name: 'listImages',
  doc: 'Lists the images of a storage domain, in the order of their IDs.',
  params: StrictObject({
    domainId: DomainId,
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: OpenObject({ images: Type.Array(ImageStatus), nextCursor: Type.Optional(Type.String()) }),
  errors: ['DomainNotFound', 'DomainUnavailable'],
  access: 'read',
  lane: 'read',
  laneKey: inItsDomain,
  query: true,
  cancellable: false,
  example: { domainId },
});

export const deleteImage = defineVerb({
  name: 'deleteImage',
  doc: 'Deletes an image and its data. Refused while a task uses it.',
  params: ImageRef,
  result: StrictObject({}),
  errors: ['DomainNotFound', 'DomainUnavailable', 'ImageNotFound', 'ImageBusy'],
  access: 'write',
  lane: 'change',
  laneKey: inItsDomain,
  query: false,
  cancellable: false,
  subject: imageSubject,
  example: { domainId, imageId: targetId },
});
