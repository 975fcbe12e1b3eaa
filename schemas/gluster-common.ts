/**
 * Types that the Gluster verbs share. What goes onto Gluster's command line is held to patterns here: nothing that begins like an option,
 * and no blank or control character, ever reaches it.
 */
import Type from 'typebox';
import { OpenObject } from './common.ts';

const hostPattern = '[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,254}';

export const VolumeName = Type.String({
  maxLength: 255,
  // "all" means every volume to several of Gluster's commands.
  pattern: '^(?!all$)[A-Za-z0-9_][A-Za-z0-9_-]*$',
  description: 'Name of a Gluster volume: letters, digits, - and _; not beginning with -, and not "all"',
});
export const PeerHost = Type.String({
  pattern: `^${hostPattern}$`,
  description: 'Host name or IP address by which Gluster knows a host, or is to know it',
});
export const GlusterUuid = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  description: "Gluster's own UUID, in lower case",
});
export const Brick = Type.String({
  maxLength: 4096,
  pattern: `^${hostPattern}:/[^\\s\\u0000-\\u001f\\u007f]*$`,
  description: 'A brick: `host:/path`',
});
export const Force = Type.Optional(
  Type.Boolean({ default: false, description: "Gluster's own `force`: does it though Gluster warns" }),
);
/** The result of a verb that has nothing to tell but that it is done. */
export const Done = OpenObject({});

/** Errors that any Gluster verb can end with. */
export const glusterErrors = ['GlusterUnavailable', 'GlusterBusy', 'GlusterTimeout', 'GlusterError'] as const;

/** What all Gluster verbs that only look have in common: they wait for each other's room, never for a change. */
export const glusterQuery = {
  access: 'read',
  lane: 'read',
  laneKey: () => 'gluster',
  query: true,
  cancellable: false,
} as const;

/** What all Gluster verbs that change something have in common. Gluster cannot be called back, so none can be stopped. */
export const glusterChange = {
  access: 'write',
  lane: 'gluster',
  query: false,
  cancellable: false,
} as const;
