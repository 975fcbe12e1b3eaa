/** `hostbus call`: any verb, with parameters typed by the host's own document. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Host } from '../client/types.ts';
import { ask } from './ask.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import type { Invocation } from './invocation.ts';
import { committedVerbs, readVerbs, type VerbDoc } from './openrpc.ts';
import { printValue } from './print-value.ts';
import { send } from './send.ts';
import { nearest } from './suggest.ts';
import { paramsFromWords } from './values.ts';

export async function call(context: Context, given: Invocation): Promise<void> {
  const words = await withStandardInput(context, given.words('PARAMS'));
  const [hostId, method, taskId] = [given.word('HOST'), given.word('METHOD'), given.taskId()];
  const notify = given.flag('notify');
  if (notify && (given.flag('follow') || taskId !== undefined))
    throw new UsageError('--notify goes without --follow and --id', [
      'A notification is not answered, and its task gets an ID from the host',
    ]);
  await context.withClient(async (client) => {
    const host = client.host(hostId);
    const verb = await verbOf(context, host, method);
    const params = paramsFromWords(verb, words, hostId);
    if (notify) return await sendNotification(context, host, method, params);
    const sent = await send(context, host, {
      method,
      params,
      taskId,
      follow: given.flag('follow'),
      query: verb.query,
    });
    const result = sent.kind === 'answer' ? sent.answer : sent.task.result;
    // with --follow --json the task's last line was its end already
    if (!context.options.json) printValue(context, result ?? {}, verb.result);
    else if (sent.kind === 'answer') context.json(sent.answer);
  });
}

async function sendNotification(
  context: Context,
  host: Host,
  method: string,
  params: unknown,
): Promise<void> {
  // the types list the verbs of this version; the host may have more, and has just said that it has this one
  const notify: (method: never, params: never) => Promise<void> = host.notify.bind(host);
  await context.untilStopped(notify(method as never, params as never));
  context.note(`Sent to ${host.hostId}; it will not be answered.`);
}

/** The verb as the host describes it; as this version knows it where the host refuses to say. */
async function verbOf(context: Context, host: Host, method: string): Promise<VerbDoc> {
  const verbs = await verbsOf(context, host);
  context.doing.method = method;
  const verb = verbs.find(({ name }) => name === method);
  if (verb) return verb;
  const meant = nearest(
    method,
    verbs.map(({ name }) => name),
  );
  throw new UsageError(
    `${host.hostId} has no verb ${method}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
    [`What it has: hostbus verbs ${host.hostId}`],
  );
}

/** What the host serves, by its own word. */
export async function verbsOf(context: Context, host: Host): Promise<VerbDoc[]> {
  try {
    return readVerbs(await ask(context, host, 'rpc.discover', {}));
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'NotAllowed') return committedVerbs();
    throw error;
  }
}

/** `-` in place of the parameters: they come from standard input, as one JSON text. */
async function withStandardInput(context: Context, words: readonly string[]): Promise<readonly string[]> {
  if (words.length !== 1 || words[0] !== '-') return words;
  const chunks: Buffer[] = [];
  for await (const chunk of context.io.stdin) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString('utf8').trim();
  if (!/^[{[]/.test(text)) throw new UsageError('standard input holds no JSON object or array');
  return [text];
}
