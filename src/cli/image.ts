/** `hostbus image …`: disk images of storage domains. */
import type { ImageFormat, ImageStatus } from '../../schemas/image.ts';
import { formatBytes } from '../lib/units.ts';
import { allPages, ask } from './ask.ts';
import type { Context } from './context.ts';
import { ImageDefective, UsageError } from './errors.ts';
import { imageFormats } from './ids.ts';
import type { ImageRef, Invocation } from './invocation.ts';
import { isObject, listMember, member } from './json.ts';
import { percentOf } from './progress-bar.ts';
import { type Sent, send } from './send.ts';

const imageArgument = 'DOMAIN/IMAGE';

export async function imageList(context: Context, given: Invocation): Promise<void> {
  const [domainId, limit] = [given.domainId('DOMAIN'), given.count('limit')];
  const images = await context.withClient((client) => {
    const host = client.host(given.word('HOST'));
    return allPages<ImageStatus>(limit, async (page) => {
      const answer = await ask(context, host, 'listImages', { domainId, ...page });
      return { items: answer.images, nextCursor: answer.nextCursor };
    });
  });
  if (context.options.json) {
    context.json({ images });
    return;
  }
  context.table(
    [
      { title: 'IMAGE' },
      { title: 'STATUS' },
      { title: 'FORMAT' },
      { title: 'CAPACITY', align: 'right' },
      { title: 'ALLOCATED', align: 'right' },
      { title: 'COPY' },
    ],
    images.map((image) => [
      image.imageId,
      image.status,
      image.format,
      formatBytes(image.capacity),
      formatBytes(image.allocated),
      image.message ?? copyOf(image),
    ]),
    'There is no image in this domain.',
  );
}

export async function imageStatus(context: Context, given: Invocation): Promise<void> {
  const ref = given.image(imageArgument);
  const image = await context.withClient((client) =>
    ask(context, client.host(given.word('HOST')), 'getImageStatus', ref),
  );
  if (context.options.json) context.json(image);
  else printImage(context, image);
}

export async function imageCopy(context: Context, given: Invocation): Promise<void> {
  const params = {
    source: given.image('SOURCE'),
    target: given.newImage('TARGET'),
    ...(given.flag('flatten') && { chain: 'flatten' }),
  };
  await change(context, given, 'copyImage', params);
}

export async function imageContinue(context: Context, given: Invocation): Promise<void> {
  await change(context, given, 'continueImageCopy', given.image(imageArgument));
}

export async function imageConvert(context: Context, given: Invocation): Promise<void> {
  const [source, target, { format }] = [given.image('SOURCE'), given.newImage('TARGET'), formatOf(given)];
  if (format === undefined)
    throw new UsageError(`--format is missing: the format to convert to, ${imageFormats.join(' or ')}`);
  await change(context, given, 'convertImage', { source, target, format });
}

/** @throws ImageDefective, once what was found has been printed */
export async function imageCheck(context: Context, given: Invocation): Promise<void> {
  const image = given.image(imageArgument);
  const compareWith = given.optionalImage('compareWith', '--compare-with');
  const params = { ...image, ...(compareWith && { compareWith }) };
  const sent = await change(context, given, 'checkImage', params, 'quietly');
  const result = sent.kind === 'answer' ? sent.answer : sent.task.result;
  const [ok, errors] = [member(result, 'ok') === true, listMember(result, 'errors').map(String)];
  const name = nameOf(image);
  if (!context.options.json) {
    const sound = compareWith === undefined ? 'whole' : `whole, and the same as ${nameOf(compareWith)}`;
    context.pairs([
      ['image', name],
      ['result', ok ? sound : 'not in order'],
      ...errors.map((error, index) => [`error ${index + 1}`, error] as const),
    ]);
  }
  if (!ok) throw new ImageDefective(name, errors.length);
}

export async function imageImport(context: Context, given: Invocation): Promise<void> {
  const params = { ...given.newImage(imageArgument), path: given.word('PATH'), ...formatOf(given) };
  await change(context, given, 'importImage', params);
}

export async function imageCreate(context: Context, given: Invocation): Promise<void> {
  const params = {
    ...given.newImage(imageArgument),
    format: 'raw',
    ...formatOf(given),
    capacity: given.sizeBytes('CAPACITY'),
    ...(given.flag('preallocated') && { allocation: 'preallocated' }),
  };
  await change(context, given, 'createImage', params);
}

export async function imageDelete(context: Context, given: Invocation): Promise<void> {
  const ref: ImageRef = given.image(imageArgument);
  await change(context, given, 'deleteImage', ref, 'quietly');
  context.note(`Image ${nameOf(ref)} is deleted.`);
}

async function change(
  context: Context,
  given: Invocation,
  method: string,
  params: object,
  how: 'printed' | 'quietly' = 'printed',
): Promise<Sent> {
  const [taskId, follow] = [given.taskId(), given.flag('follow')];
  const sent = await context.withClient((client) =>
    send(context, client.host(given.word('HOST')), { method, params, taskId, follow, query: false }),
  );
  if (context.options.json) {
    if (sent.kind === 'answer') context.json(sent.answer);
  } else if (how === 'printed') printChange(context, given, sent);
  return sent;
}

function printChange(context: Context, given: Invocation, sent: Sent): void {
  const result = sent.kind === 'answer' ? sent.answer : sent.task.result;
  const image = member(result, 'image') ?? result;
  if (isImage(image)) printImage(context, image);
  const taskId = member(result, 'taskId');
  if (sent.kind === 'answer' && typeof taskId === 'string')
    context.note(`Task ${taskId} goes on. Watch it: hostbus task wait ${given.word('HOST')} ${taskId}`);
}

function isImage(value: unknown): value is ImageStatus {
  return isObject(value) && typeof value.imageId === 'string' && typeof value.capacity === 'number';
}

function printImage(context: Context, image: ImageStatus): void {
  const pairs: [string, string][] = [
    ['image', nameOf(image)],
    ['status', image.status],
    ['format', image.format],
    ['capacity', `${formatBytes(image.capacity)} (${image.capacity} bytes)`],
    ['allocated', formatBytes(image.allocated)],
    ...(image.chain === undefined ? [] : [['volumes', String(image.chain.length)] as [string, string]]),
    ['generation', String(image.generation)],
    ['created', image.createdAt],
  ];
  if (image.copy) pairs.push(['copy', copyOf(image)], ['copied from', sourceOf(image.copy.source)]);
  if (image.message !== undefined) pairs.push(['message', image.message]);
  context.pairs(pairs);
}

function sourceOf(source: NonNullable<ImageStatus['copy']>['source']): string {
  return 'path' in source ? source.path : nameOf(source);
}

function nameOf({ domainId, imageId }: ImageRef): string {
  return `${domainId}/${imageId}`;
}

/** `45 % by copy-42 at h1`. */
function copyOf({ copy }: ImageStatus): string {
  if (!copy) return '';
  const percent = percentOf(copy.done, copy.total);
  const share = percent === undefined ? formatBytes(copy.done) : `${percent} % of ${formatBytes(copy.total)}`;
  return copy.holder ? `${share}, by ${copy.holder.taskId} at ${copy.holder.hostId}` : share;
}

function formatOf(given: Invocation): { format?: ImageFormat } {
  const format = imageFormats.find((known) => known === given.text('format'));
  return format === undefined ? {} : { format };
}
