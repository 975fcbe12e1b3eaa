/** Declarations of `hostbus image …`. */
import { type ArgumentSpec, type CommandSpec, followOption, hostArgument, idOption } from './command-spec.ts';
import { imageFormats } from './ids.ts';

const imageArgument: ArgumentSpec = {
  name: 'DOMAIN/IMAGE',
  description: 'the image: UUIDs of its domain and itself',
};
const domain = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const image = `${domain}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01`;
const copy = `${domain}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a02`;
const interrupted = `${domain}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a04`;

export const imageCommands: readonly CommandSpec[] = [
  {
    path: ['image', 'list'],
    summary: 'the images of a storage domain',
    args: [hostArgument, { name: 'DOMAIN', description: 'UUID of the storage domain' }],
    options: [{ flags: '--limit <N>', description: 'at most so many (default: all)' }],
    examples: [{ line: `hostbus image list h1 ${domain}`, says: 'all of them' }],
    load: async () => (await import('./image.ts')).imageList,
  },
  {
    path: ['image', 'status'],
    summary: 'the state of an image, whichever host works on it',
    args: [hostArgument, imageArgument],
    options: [],
    examples: [
      { line: `hostbus image status h1 ${image}`, says: 'any host that has the domain can be asked' },
    ],
    load: async () => (await import('./image.ts')).imageStatus,
  },
  {
    path: ['image', 'copy'],
    summary: 'copy an image',
    details:
      'Answers once the target exists; the task goes on copying. With --follow the command stays until the copy is complete.',
    args: [
      hostArgument,
      { name: 'SOURCE', description: 'DOMAIN/IMAGE to copy from' },
      { name: 'TARGET', description: 'DOMAIN/IMAGE to make; DOMAIN/new makes up a UUID' },
    ],
    options: [
      idOption,
      followOption,
      {
        flags: '--flatten',
        description: 'make one volume of an image with snapshots, instead of copying all',
      },
    ],
    examples: [
      { line: `hostbus image copy h1 ${image} ${copy} --id copy-42 --follow`, says: 'with a progress bar' },
    ],
    load: async () => (await import('./image.ts')).imageCopy,
  },
  {
    path: ['image', 'continue'],
    summary: 'go on with a copy that was interrupted',
    details:
      'From what is on stable storage, on any host that has the storage, whoever began it. A conversion begins again. Answers once the task holds the copy; with --follow the command stays until it is complete.',
    args: [hostArgument, { ...imageArgument, description: 'the target of the copy' }],
    options: [idOption, followOption],
    examples: [
      { line: `hostbus image continue h1 ${interrupted} --follow`, says: 'where it left off, to the end' },
    ],
    load: async () => (await import('./image.ts')).imageContinue,
  },
  {
    path: ['image', 'convert'],
    summary: 'copy an image into another format',
    details:
      'Into the same format, it is made afresh: without what is no longer used. Answers once the target exists; the task goes on converting. With --follow the command stays until it is complete.',
    args: [
      hostArgument,
      { name: 'SOURCE', description: 'DOMAIN/IMAGE to read' },
      { name: 'TARGET', description: 'DOMAIN/IMAGE to make; DOMAIN/new makes up a UUID' },
    ],
    options: [
      { flags: '--format <FORMAT>', description: 'format of the target; required', choices: imageFormats },
      idOption,
      followOption,
    ],
    examples: [
      {
        line: `hostbus image convert h1 ${image} ${domain}/new --format qcow2 --follow`,
        says: 'under a new UUID, with a progress bar',
      },
    ],
    load: async () => (await import('./image.ts')).imageConvert,
  },
  {
    path: ['image', 'check'],
    summary: 'check that an image is whole, or the same as another',
    details: 'Changes nothing. It may last: --follow shows how far it is, and waits without a limit.',
    args: [hostArgument, imageArgument],
    options: [
      {
        flags: '--compare-with <DOMAIN/IMAGE>',
        description: 'also compare what a virtual machine would read with this image, whatever its format',
      },
      idOption,
      followOption,
    ],
    examples: [
      { line: `hostbus image check h1 ${image}`, says: 'status 8 if something is wrong with it' },
      { line: `hostbus image check h1 ${image} --compare-with ${image} --follow`, says: 'byte by byte' },
    ],
    load: async () => (await import('./image.ts')).imageCheck,
  },
  {
    path: ['image', 'import'],
    summary: 'make an image from a file of the host',
    args: [
      hostArgument,
      { ...imageArgument, description: 'the image to make; DOMAIN/new makes up a UUID' },
      { name: 'PATH', description: 'absolute path on the host, inside one of its storage roots' },
    ],
    options: [
      idOption,
      followOption,
      {
        flags: '--format <FORMAT>',
        description: 'format of the file (default: detected)',
        choices: imageFormats,
      },
    ],
    examples: [
      {
        line: `hostbus image import h1 ${domain}/new /srv/images/debian-12.qcow2 --format qcow2 --follow`,
        says: 'under a new UUID',
      },
    ],
    load: async () => (await import('./image.ts')).imageImport,
  },
  {
    path: ['image', 'create'],
    summary: 'make an empty image',
    args: [
      hostArgument,
      { ...imageArgument, description: 'the image to make; DOMAIN/new makes up a UUID' },
      { name: 'CAPACITY', description: 'bytes, or 10G, 512MiB (1024 each), 10GB (1000 each)' },
    ],
    options: [
      idOption,
      { flags: '--format <FORMAT>', description: 'raw (default) or qcow2', choices: imageFormats },
      { flags: '--preallocated', description: 'reserve the space now (default: sparse)' },
    ],
    examples: [
      { line: `hostbus image create h1 ${domain}/new 10G`, says: 'raw and sparse' },
      { line: `hostbus image create h1 ${domain}/new 512MiB --format qcow2`, says: 'qcow2' },
    ],
    load: async () => (await import('./image.ts')).imageCreate,
  },
  {
    path: ['image', 'delete'],
    summary: 'delete an image and its data, at once and for good',
    args: [hostArgument, imageArgument],
    options: [idOption],
    examples: [{ line: `hostbus image delete h1 ${copy}`, says: 'refused while a task uses it' }],
    load: async () => (await import('./image.ts')).imageDelete,
  },
];
