/** Certificates for a day, by openssl. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Files ca, server and client (`.crt`, `.key`), the latter two signed by the first; the server is localhost. */
export async function makeCertificates(dir: string): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const make = (name: string, subject: string, ...more: string[]) =>
    promisify(execFile)(
      'openssl',
      [
        'req',
        '-x509',
        ...key,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.crt`,
        '-subj',
        `/CN=${subject}`,
        ...more,
      ],
      { cwd: dir, timeout: 20_000 },
    );
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  await make('ca', 'test CA');
  await make('server', 'localhost', ...signed, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  await make('client', 'client', ...signed);
}
