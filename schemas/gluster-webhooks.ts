/** Gluster: where its event daemons post events to. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
import { glusterChange, glusterErrors, glusterQuery } from './gluster-common.ts';
import { defineVerb } from './verb.ts';

const url = Type.String({
  maxLength: 2048,
  pattern: '^https?://[^\\s\\u0000-\\u001f\\u007f@/?#]+([/?#][^\\s\\u0000-\\u001f\\u007f]*)?$',
  description:
    'Where events are posted to, as JSON. It has no user or password: tasks and events show it; give `token` or `secret`',
});
const secretPattern = '^[\\u0021-\\u007e]+$';
const token = Type.Optional(
  Type.String({
    maxLength: 4096,
    pattern: secretPattern,
    description:
      'Sent as bearer token. While the verb runs, users of the host can see it in the list of processes; Gluster keeps it in a file that all of them may read',
  }),
);
const secret = Type.Optional(
  Type.String({
    maxLength: 4096,
    pattern: secretPattern,
    description: 'Signs a JSON Web Token of its own for each event, in place of `token`. Seen as `token` is',
  }),
);
const nodes = Type.Array(
  OpenObject({
    host: Type.String({
      description: 'First name that Gluster knows it by; `localhost` for the host itself',
    }),
    connected: Type.Boolean({ description: 'It could be asked' }),
    synced: Type.Boolean({ description: "It has this host's webhooks now" }),
    message: Type.Optional(Type.String({ description: 'Why not' })),
  }),
  { description: 'The hosts of the pool. One that is not `synced` needs `gluster.syncWebhooks` later' },
);
const Synced = OpenObject({ nodes });

const change = { ...glusterChange, result: Synced } as const;
const subject = (webhook: { url: string }) => ({ kind: 'webhook', id: webhook.url }) as const;

export const Webhook = OpenObject(
  {
    url: Type.String({ description: 'Where events are posted to' }),
    hasToken: Type.Boolean({ description: 'A bearer token is sent' }),
    hasSecret: Type.Boolean({ description: 'Events are signed' }),
  },
  { description: 'A URL that Gluster posts its events to. What is secret is not told' },
);
export type Webhook = Type.Static<typeof Webhook>;

export const listWebhooks = defineVerb({
  ...glusterQuery,
  name: 'gluster.listWebhooks',
  doc: "Lists where this host's Gluster posts its events to; the same on all hosts of the pool, once synced.",
  params: NoParams,
  result: OpenObject({ webhooks: Type.Array(Webhook) }),
  errors: glusterErrors,
  example: {},
});

export const addWebhook = defineVerb({
  ...change,
  name: 'gluster.addWebhook',
  doc: 'Has all hosts of the pool post their events to a URL, each the events that it sees itself.',
  params: StrictObject({ url, token, secret }),
  errors: [...glusterErrors, 'WebhookExists'],
  subject,
  example: { url: 'http://engine.example:8080/gluster-events' },
});

export const updateWebhook = defineVerb({
  ...change,
  name: 'gluster.updateWebhook',
  doc: 'Gives a webhook another token, another secret, or both. What is absent stays; to take one away, delete the webhook and add it anew.',
  params: StrictObject({ url, token, secret }),
  errors: [...glusterErrors, 'WebhookNotFound'],
  subject,
  example: { url: 'http://engine.example:8080/gluster-events', token: 'second-token' },
});

export const deleteWebhook = defineVerb({
  ...change,
  name: 'gluster.deleteWebhook',
  doc: 'Ends the posting of events to a URL, on all hosts of the pool.',
  params: StrictObject({ url }),
  errors: [...glusterErrors, 'WebhookNotFound'],
  subject,
  example: { url: 'http://engine.example:8080/gluster-events' },
});

export const syncWebhooks = defineVerb({
  ...change,
  name: 'gluster.syncWebhooks',
  doc: "Gives all hosts of the pool this host's webhooks, in place of their own, and has this host's event daemon read them. Those of the other hosts may go on with what they had until they are asked themselves: Gluster's way of telling them is broken in glusterfs 10.",
  params: NoParams,
  errors: glusterErrors,
  example: {},
});

export const webhookVerbs = [listWebhooks, addWebhook, updateWebhook, deleteWebhook, syncWebhooks] as const;
