/** The figures as Markdown. */
import type { Step } from './step.ts';

const mebibyte = 2 ** 20;

export function printSteps(steps: readonly Step[]): void {
  print(
    'On the broker, all hosts idle',
    [
      'hosts',
      'connections',
      'channels',
      'queues',
      'Erlang processes',
      'open files',
      'RSS, MiB',
      'RSS, KiB a host',
    ],
    steps.map(({ hosts, before, idle }) => [
      hosts,
      idle.connections,
      idle.channels,
      idle.queues,
      idle.processes,
      idle.openFiles,
      round(idle.rssBytes / mebibyte),
      round((idle.rssBytes - before.rssBytes) / hosts / 1024),
    ]),
  );
  const categories = [...new Set(steps.flatMap(({ idle }) => Object.keys(idle.memory)))].filter((category) =>
    steps.some((step) => grown(step, category) / step.hosts > 1024),
  );
  print(
    "Memory of a host, by RabbitMQ's categories, KiB",
    ['hosts', ...categories],
    steps.map((step) => [step.hosts, ...categories.map((c) => round(grown(step, c) / step.hosts / 1024))]),
  );
  print(
    'Events: heartbeats of all hosts',
    [
      'hosts',
      'subscribers',
      'published/s',
      'delivered/s',
      'broker, cores',
      'hosts, cores',
      'subscribers, cores',
      'late, median ms',
      'longest ms',
    ],
    steps.flatMap(({ hosts, events }) =>
      events.map((load) => [
        hosts,
        load.subscribers,
        round(load.published),
        round(load.delivered),
        load.brokerCpu.toFixed(2),
        load.hostsCpu.toFixed(2),
        load.subscribersCpu.toFixed(2),
        round(load.medianLateMs),
        round(load.longestLateMs),
      ]),
    ),
  );
  print(
    'An engine calls every host once; rounds in order',
    [
      'hosts',
      'round',
      'calls/s',
      'median ms',
      'p99 ms',
      'longest ms',
      'broker CPU ms/call',
      'hosts',
      'engine',
    ],
    steps.flatMap(({ hosts, calls }) =>
      calls.map((call, i) => [
        hosts,
        i + 1,
        round(call.perSecond),
        round(call.medianMs),
        round(call.p99Ms),
        round(call.longestMs),
        call.brokerCpuMs.toFixed(2),
        call.hostsCpuMs.toFixed(2),
        call.engineCpuMs.toFixed(2),
      ]),
    ),
  );
  print(
    'All hosts lose the broker at once; seconds from the loss',
    ['hosts', 'what', 'broker serves', 'first back', 'half', 'all', 'failed attempts', 'broker CPU s'],
    steps.flatMap(({ hosts, reconnects }) =>
      reconnects.map(({ what, servingMs, firstMs, halfMs, allMs, failed, brokerCpu }) => [
        hosts,
        what,
        (servingMs / 1000).toFixed(1),
        (firstMs / 1000).toFixed(1),
        (halfMs / 1000).toFixed(1),
        (allMs / 1000).toFixed(1),
        [...failed].map(([reason, times]) => `${times} × ${reason}`).join(', ') || '0',
        brokerCpu.toFixed(1),
      ]),
    ),
  );
}

function grown({ before, idle }: Step, category: string): number {
  return (idle.memory[category] ?? 0) - (before.memory[category] ?? 0);
}

function round(value: number): string {
  return value.toFixed(value < 10 ? 1 : 0);
}

function print(
  title: string,
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): void {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |\n`;
  process.stdout.write(
    `\n${title}:\n\n${line(head)}${line(head.map(() => '---'))}${rows.map(line).join('')}`,
  );
}
