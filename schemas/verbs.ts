/** The verbs, all of them: what a host serves, what the client's types know, what the OpenRPC document lists. */
import * as domain from './domain.ts';
import { glusterVerbs } from './gluster-verbs.ts';
import * as host from './host.ts';
import * as image from './image.ts';
import * as task from './task.ts';
import type { ParamsOf, ResultOf, Verb } from './verb.ts';

export const verbs = [
  host.ping,
  host.getHostInfo,
  host.getHostStats,
  host.discover,
  task.getTaskStatus,
  task.listTasks,
  task.waitTask,
  task.cancelTask,
  domain.createStorageDomain,
  domain.connectStorageDomain,
  domain.disconnectStorageDomain,
  domain.listStorageDomains,
  domain.getStorageDomainStatus,
  image.createImage,
  image.importImage,
  image.copyImage,
  image.continueImageCopy,
  image.convertImage,
  image.checkImage,
  image.getImageStatus,
  image.listImages,
  image.deleteImage,
  ...glusterVerbs,
] as const satisfies readonly Verb[];

type Declared = (typeof verbs)[number];

export type VerbName = Declared['name'];

/** Params and result of each verb, by method. */
export type VerbTypes = {
  [V in Declared as V['name']]: { params: ParamsOf<V>; result: ResultOf<V> };
};
