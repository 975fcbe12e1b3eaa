/** The commented example of the configuration file, made from the schema. */
import { stringify } from 'smol-toml';
import { type ConfigKey, configKeys } from './config-keys.ts';

const width = 100;

const examples: Readonly<Record<string, string>> = {
  host_id: 'host_id = "h1"',
  'storage.domains':
    '# [[storage.domains]]\n# id = "6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11"\n# path = "/srv/hostbus"\n# continue_copies = "manual"',
  'monitoring.listen': '# listen = "127.0.0.1:9464"',
  'traces.endpoint': '# endpoint = "http://127.0.0.1:4318/v1/traces"',
  'access.users': '# users = { engine = "admin", dashboard = "read" }',
};

/** TOML text: what is left commented out shows the default. */
export function exampleConfig(): string {
  const lines = [
    '# Configuration of hostbusd. Each key can also be set by the environment variable that is named with it,',
    '# which comes before the file. `hostbusd --print-config` shows what is in force.',
    '',
  ];
  let section = '';
  // Tables of a list come last in TOML, since a section cannot go on after them.
  const keys = [...configKeys].sort((a, b) => rank(a) - rank(b));
  for (const key of keys) {
    const own = key.path.slice(0, -1).join('.');
    const name = key.path.join('.');
    if (own !== section && name !== 'storage.domains') {
      section = own;
      lines.push(`[${section}]`);
    }
    lines.push(...comment(`${key.schema.description ?? ''}. Environment: ${key.variable}`));
    lines.push(examples[name] ?? setting(key), '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function rank({ path }: ConfigKey): number {
  return path.join('.') === 'storage.domains' ? 1 : 0;
}

function setting({ path, schema }: ConfigKey): string {
  const name = path.at(-1) ?? '';
  if (schema.default === undefined)
    return `# ${name} = ${schema.enum === undefined ? '""' : `"${String(schema.enum[0])}"`}`;
  return `# ${stringify({ [name]: schema.default }).trim()}`;
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > width) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
