/** Declarations of the commands that belong to no group. */
import { type CommandSpec, followOption, hostArgument, idOption } from './command-spec.ts';
import { eventKinds, eventWords } from './ids.ts';

export const generalCommands: readonly CommandSpec[] = [
  {
    path: ['call'],
    summary: "call a host's verb and print its result",
    details: `Parameters are key=value words, typed by the verb's own schema (force=false is a boolean, capacity=10G a number of bytes);
source.domainId=… sets a member of an object, a key given again adds to a list, key:=JSON gives a value as it is. Or one JSON
text instead of all of them; - reads it from standard input. What a verb takes: hostbus verbs HOST METHOD`,
    args: [
      hostArgument,
      { name: 'METHOD', description: 'the verb', kind: 'method' },
      {
        name: 'PARAMS',
        description: 'key=value …, or one JSON text, or -',
        required: false,
        rest: true,
        kind: 'params',
      },
    ],
    options: [
      idOption,
      followOption,
      { flags: '--notify', description: 'send it as a notification: it runs, and nothing is answered' },
    ],
    examples: [
      { line: 'hostbus call h1 ping', says: 'is h1 there?' },
      {
        line: 'hostbus call h1 listTasks states=running states=queued limit=10',
        says: 'a list, and a number',
      },
      {
        line: `hostbus call h1 listTasks '{"states": ["failed"]}' --json`,
        says: 'parameters and result as JSON',
      },
      {
        line: 'hostbus call h1 importImage domainId=6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11 imageId=0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a03 path=/srv/images/debian-12.qcow2 --id import-1 --follow',
        says: 'under an ID of your own, with a progress bar',
      },
    ],
    load: async () => (await import('./call.ts')).call,
  },
  {
    path: ['verbs'],
    summary: 'what verbs there are; what one takes and gives, with an example',
    details: `With HOST the host's own document is read (rpc.discover), else the one that came with this program. One word alone is a METHOD
if it has a capital letter or a dot, or is ping; else it is a HOST.`,
    args: [
      { name: 'HOST', description: 'ID of a host to ask', required: false, kind: 'host' },
      { name: 'METHOD', description: 'the verb to explain', required: false, kind: 'method' },
    ],
    options: [],
    examples: [
      { line: 'hostbus verbs', says: 'all verbs, in a line each' },
      { line: 'hostbus verbs copyImage', says: 'one verb, explained' },
      { line: 'hostbus verbs h1 createImage', says: 'as h1 serves it' },
    ],
    load: async () => (await import('./verbs.ts')).verbs,
  },
  {
    path: ['hosts'],
    summary: 'who is alive, from the heartbeats of hosts',
    args: [],
    options: [
      {
        flags: '--wait <SECONDS>',
        description: 'how long to listen (default: 6, one heartbeat and a second)',
      },
      { flags: '--watch', description: 'go on, until Ctrl-C' },
    ],
    examples: [
      { line: 'hostbus hosts', says: 'everyone who is heard within 6 seconds' },
      { line: 'hostbus hosts --json', says: 'for a program' },
      { line: 'hostbus hosts --watch', says: 'until Ctrl-C', endless: true },
    ],
    load: async () => (await import('./hosts.ts')).hosts,
  },
  {
    path: ['top'],
    summary: 'a live view of hosts, their tasks with progress, and events',
    details: `Fills the terminal until q or Ctrl-C. Keys: up and down scroll, s sorts the hosts by ID, load or running tasks. Fed by events; a
host is asked only when it is first heard of, and after a gap. Where standard output is no terminal it prints one table, as with --once.`,
    args: [{ ...hostArgument, required: false }],
    options: [
      { flags: '--all', description: 'all hosts that are heard, in place of one HOST' },
      { flags: '--once', description: 'print what there is as a table, and end' },
      {
        flags: '--wait <SECONDS>',
        description: 'with --once --all: how long to listen (default: 6, one heartbeat and a second)',
      },
    ],
    examples: [
      { line: 'hostbus top h1', says: 'one host' },
      { line: 'hostbus top --all --once', says: 'everyone who is heard within 6 seconds' },
      { line: 'hostbus top h1 --json --once', says: 'for a program' },
    ],
    load: async () => (await import('./top/top.ts')).top,
  },
  {
    path: ['events'],
    summary: 'print events as they happen',
    details: 'Ends at Ctrl-C, or after --count events. Each filter that is left out lets everything through.',
    args: [],
    options: [
      { flags: '--host <HOST>', description: 'only of this host', kind: 'host' },
      { flags: '--kind <KIND>', description: 'only of this kind', choices: eventKinds, open: true },
      { flags: '--event <EVENT>', description: 'only with this name', choices: eventWords, open: true },
      { flags: '--id <ID>', description: 'only of this object: a task ID, DOMAIN/IMAGE, domain or host ID' },
      { flags: '--count <N>', description: 'end after so many' },
    ],
    examples: [
      { line: 'hostbus events --host h1 --kind host --count 2', says: 'two signs of life of h1' },
      {
        line: 'hostbus events --kind task --event failed',
        says: 'every task that fails, anywhere',
        endless: true,
      },
      { line: 'hostbus events --id copy-42 --json', says: 'one task, as JSON lines', endless: true },
    ],
    load: async () => (await import('./events.ts')).events,
  },
  {
    path: ['doctor'],
    summary: 'check what hostbusd needs on this host, and say what to do',
    details: `Runs on the host itself: configuration, service, user, limits, programs, clock, storage, broker, permissions, and whether a
daemon answers. Changes nothing, and disturbs no daemon that runs. Without --config it takes what HOSTBUS_CONFIG names, else
/etc/hostbus/hostbusd.toml; hostbusd.env beside it counts as the environment. With HOSTBUS_URL or --url the daemon is pinged as that
user, and clocks are compared with those of other hosts.`,
    args: [],
    options: [
      { flags: '--config <FILE>', description: "hostbusd's configuration, TOML", kind: 'file' },
      { flags: '--user <NAME>', description: "look as this user, as root (default: the unit's user)" },
    ],
    examples: [
      { line: 'hostbus doctor --config /etc/hostbus/hostbusd.toml', says: 'everything, on the host itself' },
      { line: 'hostbus doctor --config /etc/hostbus/hostbusd.toml --json', says: 'for a program' },
    ],
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    path: ['completion'],
    summary: 'print a completion script for bash or zsh',
    args: [{ name: 'SHELL', description: 'bash or zsh', kind: 'shell' }],
    options: [],
    examples: [
      { line: 'source <(hostbus completion bash)', says: 'bash, this session; put it into ~/.bashrc' },
      { line: 'hostbus completion zsh > _hostbus', says: 'zsh: into a directory of $fpath, before compinit' },
    ],
    load: async () => (await import('./completion.ts')).completion,
  },
];
