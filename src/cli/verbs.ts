/** `hostbus verbs`: what a verb takes and gives, in words. */
import { verbsOf } from './call.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import { checkHostId } from './ids.ts';
import type { Invocation } from './invocation.ts';
import { isObject, listMember, member, textMember } from './json.ts';
import { committedVerbs, type Schema, type VerbDoc } from './openrpc.ts';
import { alternatives, leaves } from './schema.ts';
import { nearest } from './suggest.ts';
import { printable } from './text.ts';
import { wordsFromParams } from './values.ts';

export async function verbs(context: Context, given: Invocation): Promise<void> {
  const committed = await committedVerbs();
  const { hostId, method } = whichOf(given.optionalWord('HOST'), given.optionalWord('METHOD'), committed);
  if (hostId !== undefined) checkHostId(hostId);
  const known =
    hostId === undefined
      ? committed
      : await context.withClient((client) => verbsOf(context, client.host(hostId)));
  if (method === undefined) {
    listVerbs(context, known, hostId);
    return;
  }
  const verb = known.find(({ name }) => name === method);
  if (!verb) throw unknownVerb(method, known, hostId);
  if (context.options.json) context.json(asDocument(verb));
  else explain(context, verb, hostId ?? 'h1');
}

/** Host IDs have no capital letters and no dots, verbs (but for ping) have one or the other. */
export function whichOf(
  first: string | undefined,
  second: string | undefined,
  known: readonly VerbDoc[],
): { hostId?: string; method?: string } {
  if (first === undefined) return {};
  if (second !== undefined) return { hostId: first, method: second };
  if (/[A-Z.]/.test(first)) return { method: first };
  // a verb in small letters, or mistyped, is rather told than taken for a host that is not there
  const meant = nearest(
    first,
    known.map(({ name }) => name).filter((name) => name.length > 5 || name === first),
  );
  return meant === undefined ? { hostId: first } : { method: first };
}

function unknownVerb(method: string, known: readonly VerbDoc[], hostId: string | undefined): UsageError {
  const meant = nearest(
    method,
    known.map(({ name }) => name),
  );
  const suggestion = meant === undefined ? '' : `; did you mean ${meant}?`;
  return new UsageError(`there is no verb ${method}${suggestion}`, [
    `Which there are: hostbus verbs${hostId === undefined ? '' : ` ${hostId}`}`,
  ]);
}

function listVerbs(context: Context, known: readonly VerbDoc[], hostId: string | undefined): void {
  if (context.options.json) {
    context.json({ verbs: known.map(asDocument) });
    return;
  }
  context.table(
    [{ title: 'VERB' }, { title: 'ACCESS' }, { title: 'WHAT IT DOES' }],
    known.map((verb) => [verb.name, verb.access ?? '', firstSentence(verb.doc)]),
    'This host serves no verb.',
  );
  context.note(`More about one: hostbus verbs ${hostId === undefined ? '' : `${hostId} `}METHOD`);
}

function firstSentence(text: string): string {
  return text.split(/(?<=\.) /)[0] ?? text;
}

function asDocument(verb: VerbDoc): object {
  const { name, doc, access, lane, query, cancellable, params, result, errors, example } = verb;
  return { name, doc, access, lane, query, cancellable, params, result, errors, example };
}

function explain(context: Context, verb: VerbDoc, hostId: string): void {
  context.line(context.paint('bold', printable(verb.name)));
  context.line(printable(verb.doc));
  section(context, 'Takes', describeMembers(verb.params), 'nothing');
  section(context, 'Gives', describeMembers(verb.result), describeType(verb.result));
  section(
    context,
    'Can fail with',
    verb.errors.map(({ name, code, message }) => [name, code === undefined ? '' : String(code), message]),
    'the errors that every verb has',
  );
  context.line('');
  context.line(`${context.paint('cyan', 'Access')}   ${verb.access ?? 'not said'}`);
  context.line(`${context.paint('cyan', 'Task')}     ${taskSentence(verb)}`);
  if (verb.example) {
    context.line(`${context.paint('cyan', 'Example')}  ${printable(exampleLine(verb, hostId))}`);
  }
}

function taskSentence({ query, cancellable }: VerbDoc): string {
  const record = query ? 'a query: it leaves no task behind' : 'leaves a task that can be asked about';
  return `${record}; ${cancellable ? 'can be stopped while it runs' : 'cannot be stopped while it runs'}`;
}

/** A command line that calls the verb with parameters that make sense. */
export function exampleLine(verb: VerbDoc, hostId: string): string {
  return ['hostbus call', hostId, verb.name, ...wordsFromParams(verb.example ?? {})].join(' ');
}

function section(context: Context, title: string, rows: readonly (readonly string[])[], empty: string): void {
  context.line('');
  context.line(context.paint('cyan', title));
  if (rows.length === 0) {
    context.line(`  ${printable(empty)}`);
    return;
  }
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const [name = '', kind = '', text = ''] = row.map(printable);
    context.line(`  ${name.padEnd(widths[0] ?? 0)}  ${kind.padEnd(widths[1] ?? 0)}  ${text}`.trimEnd());
  }
}

function describeMembers(schema: Schema): string[][] {
  return leaves(schema).map(({ path, schema: leaf, required }) => {
    const facts = [required ? '' : 'optional', textMember(leaf, 'description') ?? '', limitsOf(leaf)];
    return [path, describeType(leaf), facts.filter((fact) => fact !== '').join('; ')];
  });
}

/** `string`, `integer`, `raw|qcow2`, `list of objects`. */
export function describeType(schema: Schema): string {
  const choices = alternatives(schema);
  if (choices.length > 1) return [...new Set(choices.map(describeType))].join(' or ');
  const words = listMember(schema, 'enum');
  if (words.length > 0) return words.map(String).join('|');
  if ('const' in schema) return JSON.stringify(schema.const);
  const type = textMember(schema, 'type');
  if (type !== 'array') return type ?? 'anything';
  const items = member(schema, 'items');
  return `list of ${isObject(items) ? describeType(items) : 'anything'}`;
}

function limitsOf(schema: Schema): string {
  const { minimum, maximum, default: standard } = schema;
  const limits: string[] = [];
  if (typeof minimum === 'number' && typeof maximum === 'number') limits.push(`${minimum} to ${maximum}`);
  else if (typeof minimum === 'number' && minimum > 0) limits.push(`at least ${minimum}`);
  if (standard !== undefined) limits.push(`default ${String(standard)}`);
  return limits.join(', ');
}
