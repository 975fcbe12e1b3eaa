/** What the demo shows on a terminal: steps, requests, answers, events, and a bar that stays below them. */
import { styleText } from 'node:util';
import { RateMeter, renderProgressBar, renderProgressText } from '../src/cli/progress-bar.ts';
import type { HostEvent, Task } from '../src/client/client.ts';

const onTerminal = process.stdout.isTTY === true;
const width = onTerminal ? (process.stdout.columns ?? 80) : 80;
let bar = '';
let steps = 0;
const meter = new RateMeter();

function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return onTerminal ? styleText(style, text) : text;
}

function line(text: string): void {
  process.stdout.write(`${bar === '' ? '' : '\r\x1b[K'}${text}\n${bar}`);
}

/** A heading, and what the step is to show. */
export function step(title: string, meaning: string): void {
  steps += 1;
  line('');
  line(paint('bold', `${steps}. ${title}`));
  for (const part of wrap(meaning)) line(`   ${part}`);
}

export function say(text: string): void {
  line(`   ${text}`);
}

export function request(host: string, method: string, params: object, id: string): void {
  const body = { jsonrpc: '2.0', id, method, params };
  block(paint('cyan', `→ ${host}`), JSON.stringify(body));
}

export function answer(host: string, what: unknown): void {
  block(paint('green', `← ${host}`), JSON.stringify(what));
}

/** A JSON text whole, over as many lines as it needs. */
function block(head: string, text: string): void {
  const room = Math.max(40, Math.min(width, 120) - 9);
  const parts = text.match(new RegExp(`.{1,${room}}`, 'gu')) ?? [];
  for (const [i, part] of parts.entries()) line(i === 0 ? `   ${head}  ${part}` : `         ${part}`);
}

export function refusal(host: string, error: { code: number; name: string; message: string }): void {
  line(`   ${paint('red', `← ${host}`)}  error ${error.code} ${error.name}: ${error.message}`);
}

export function event({ hostId, kind, event: name, id, sequence, data }: HostEvent): void {
  if (kind === 'task' && name === 'progress') {
    showProgress(data as Task);
    return;
  }
  if (kind === 'task' && (name === 'succeeded' || name === 'failed')) clearBar();
  const key = `${hostId}.${kind}.${name}`;
  line(
    `   ${paint('yellow', '* event')} ${String(sequence).padStart(3)}  ${key.padEnd(20)}  ${fit(id, Math.max(40, width - 42))}`,
  );
}

function showProgress({ taskId, phase, progress }: Task): void {
  if (progress === undefined) return;
  meter.add(performance.now(), progress.done);
  const view = {
    label: phase === undefined ? taskId : `${taskId} ${phase}`,
    ...progress,
    rate: meter.perSecond,
  };
  if (onTerminal) {
    bar = renderProgressBar(view, width - 1);
    process.stdout.write(`\r\x1b[K${bar}`);
  } else {
    line(`   ${renderProgressText(view)}`);
  }
}

function clearBar(): void {
  if (bar !== '') process.stdout.write('\r\x1b[K');
  bar = '';
}

function fit(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    if (current.length + word.length + 1 > Math.min(width, 100) - 3) {
      lines.push(current);
      current = '';
    }
    current += current === '' ? word : ` ${word}`;
  }
  return [...lines, current];
}
