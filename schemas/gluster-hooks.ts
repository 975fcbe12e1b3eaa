/** Gluster: the scripts that glusterd runs before and after its commands, each host its own. */
import Type from 'typebox';
import { Bytes, NoParams, OpenObject, StrictObject, Timestamp } from './common.ts';
import { Done, glusterChange, glusterErrors, glusterQuery } from './gluster-common.ts';
import { defineVerb } from './verb.ts';

/** The most that a hook's content may have. Bytes. */
export const maxHookBytes = 262_144;

const command = Type.String({
  maxLength: 64,
  pattern: '^[a-z][a-z0-9-]*$',
  description: "Gluster's command that it is run for, as its folder is called: `start`, `add-brick`, …",
});
const stage = Type.Enum(['pre', 'post'], { description: 'Run before the command, or after it' });
const nameDescription = 'Name of the script without the `S` or `K` before it: `30samba-start.sh`';
const name = Type.String({
  maxLength: 200,
  pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]*$',
  description: nameDescription,
});
const content = Type.String({
  maxLength: Math.ceil(maxHookBytes / 3) * 4,
  description: `The script, at most ${maxHookBytes} bytes`,
});
const encoding = Type.Enum(['utf8', 'base64'], { description: 'How `content` is written' });
const key = { command, stage, name };

export const Hook = OpenObject(
  {
    command,
    stage,
    name: Type.String({ description: nameDescription }),
    enabled: Type.Boolean({ description: 'glusterd runs it: its file begins with `S`, not `K`' }),
    executable: Type.Boolean({ description: 'glusterd can run it' }),
    size: Bytes,
    checksum: Type.Optional(
      Type.String({
        description: `SHA-256 of the content, in hexadecimal; absent above ${maxHookBytes} bytes`,
      }),
    ),
    modifiedAt: Timestamp,
  },
  { description: 'A script that glusterd of this host runs with a command, as root' },
);
export type Hook = Type.Static<typeof Hook>;

const subject = (hook: { command: string; stage: string; name: string }) =>
  ({ kind: 'hook', id: `${hook.command}/${hook.stage}/${hook.name}` }) as const;
const example = { command: 'start', stage: 'post', name: '50notify.sh' } as const;
const change = { ...glusterChange, access: 'admin', subject } as const;

export const listHooks = defineVerb({
  ...glusterQuery,
  name: 'gluster.listHooks',
  doc: "Lists this host's hooks. What is in the folders under other names is left out: glusterd does not run it.",
  params: NoParams,
  result: OpenObject({ hooks: Type.Array(Hook) }),
  errors: glusterErrors,
  example: {},
});

export const readHook = defineVerb({
  ...glusterQuery,
  name: 'gluster.readHook',
  doc: "Tells a hook's content: as text where it is UTF-8, in base64 otherwise.",
  params: StrictObject(key),
  result: OpenObject({ hook: Hook, content, encoding }),
  errors: [...glusterErrors, 'HookNotFound'],
  example,
});

export const addHook = defineVerb({
  ...change,
  name: 'gluster.addHook',
  doc: 'Adds a hook to this host, executable, in one step. glusterd runs it as root.',
  params: StrictObject({
    ...key,
    content,
    encoding: Type.Optional(Type.Enum(['utf8', 'base64'], { ...encoding, default: 'utf8' })),
    enabled: Type.Optional(Type.Boolean({ default: false, description: 'Whether glusterd runs it' })),
  }),
  result: OpenObject({ hook: Hook }),
  errors: [...glusterErrors, 'HookExists'],
  example: { ...example, content: '#!/bin/sh\nlogger "volume started: $*"\n' },
});

export const updateHook = defineVerb({
  ...change,
  name: 'gluster.updateHook',
  doc: 'Replaces the content of a hook, in one step: the old content is lost. It stays enabled or disabled as it was.',
  params: StrictObject({
    ...key,
    content,
    encoding: Type.Optional(Type.Enum(['utf8', 'base64'], { ...encoding, default: 'utf8' })),
  }),
  result: OpenObject({ hook: Hook }),
  errors: [...glusterErrors, 'HookNotFound'],
  example: { ...example, content: '#!/bin/sh\nexit 0\n' },
});

export const enableHook = defineVerb({
  ...change,
  name: 'gluster.enableHook',
  doc: 'Makes glusterd of this host run a hook. One that is enabled already stays so.',
  params: StrictObject(key),
  result: OpenObject({ hook: Hook }),
  errors: [...glusterErrors, 'HookNotFound'],
  example,
});

export const disableHook = defineVerb({
  ...change,
  name: 'gluster.disableHook',
  doc: 'Keeps glusterd of this host from running a hook. One that is disabled already stays so.',
  params: StrictObject(key),
  result: OpenObject({ hook: Hook }),
  errors: [...glusterErrors, 'HookNotFound', 'HookExists'],
  example,
});

export const removeHook = defineVerb({
  ...change,
  name: 'gluster.removeHook',
  doc: 'Removes a hook from this host, enabled or not. Its content is lost.',
  params: StrictObject(key),
  result: Done,
  errors: [...glusterErrors, 'HookNotFound'],
  example,
});

export const hookVerbs = [
  listHooks,
  readHook,
  addHook,
  updateHook,
  enableHook,
  disableHook,
  removeHook,
] as const;
