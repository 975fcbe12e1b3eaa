/** A real Prometheus that scrapes daemons, and what a scrape says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../rabbitmq/private-broker-plan.ts';
import type { TestDaemon } from './daemon.ts';
import { until } from './until.ts';

/** Where a daemon serves metrics and health. */
export function monitoringUrl(daemon: TestDaemon): Promise<string> {
  return until('the monitoring listener', () => {
    const line = daemon.log.find(({ msg }) => msg === 'serves metrics and health');
    return line === undefined ? undefined : String(line.url);
  });
}

/** The samples of a scrape: `name{label="value"}` and its number. */
export async function scrape(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

export interface Prometheus {
  /** The value of each series that a query returns. */
  query(expression: string): Promise<number[]>;
  /** `ok`, or why it could not be evaluated, for each alert rule; undefined while one has not been yet. */
  ruleHealth(): Promise<Record<string, string> | undefined>;
  stop(): Promise<void>;
}

/** @param rules - file with alert rules */
export async function startPrometheus(targetUrl: string, rules: string): Promise<Prometheus> {
  const dir = mkdtempSync(join(tmpdir(), 'hostbus-prometheus-'));
  const file = join(dir, 'prometheus.yml');
  const target = new URL(targetUrl).host;
  // JSON is YAML.
  writeFileSync(
    file,
    JSON.stringify({
      global: { scrape_interval: '200ms', scrape_timeout: '200ms', evaluation_interval: '200ms' },
      rule_files: [rules],
      scrape_configs: [{ job_name: 'hostbus', static_configs: [{ targets: [target] }] }],
    }),
  );
  const port = await freePort('127.0.0.1');
  const child = spawn(
    'prometheus',
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.on('error', (error) => {
    stderr += error.message;
  });
  const stop = async () => {
    await ended(child);
    rmSync(dir, { recursive: true, force: true });
  };
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    const { data, error } = (await response.json()) as { data: T; error?: string };
    if (error !== undefined) throw new Error(`${path}: ${error}`);
    return data;
  };
  try {
    await until('Prometheus is ready', () => {
      if (child.pid === undefined || child.exitCode !== null) throw new Error(`it ended: ${stderr}`);
      return fetch(`http://127.0.0.1:${port}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async query(expression) {
      interface Answer {
        result: { value: [number, string] }[];
      }
      const { result } = await ask<Answer>(`query?query=${encodeURIComponent(expression)}`);
      return result.map(({ value }) => Number(value[1]));
    },
    async ruleHealth() {
      interface Answer {
        groups: { rules: { name: string; health: string; lastError?: string }[] }[];
      }
      const { groups } = await ask<Answer>('rules');
      const found = groups.flatMap(({ rules }) => rules);
      if (found.some(({ health }) => health === 'unknown')) return undefined;
      return Object.fromEntries(found.map(({ name, health, lastError }) => [name, lastError ?? health]));
    },
    stop,
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
