/** Certificates of one's own authorities, made by openssl as docs/broker.md tells. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface CertificateOptions {
  /** Common name: of a client, its broker user. */
  subject: string;
  usage: 'serverAuth' | 'clientAuth';
  /** Such as `DNS:localhost,IP:127.0.0.1`. */
  alternativeNames?: string;
  /** Its time was over yesterday. */
  expired?: boolean;
  /** Encrypts the key. */
  passphrase?: string;
}

export interface Certificate {
  certFile: string;
  keyFile: string;
}

export interface Authority {
  caFile: string;
  issue(name: string, options: CertificateOptions): Promise<Certificate>;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** @param dir - where `<name>.crt`, `<name>.key` and what is issued are put */
export async function makeAuthority(dir: string, name: string): Promise<Authority> {
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: dir, timeout: 20_000 });
  const files = { cert: `${name}.crt`, key: `${name}.key` };
  const out = ['-keyout', files.key, '-out', files.cert];
  await openssl('req', '-x509', ...newKey, '-nodes', '-days', '2', '-subj', `/CN=${name}`, ...out);
  return {
    caFile: join(dir, files.cert),
    async issue(issued, { subject, usage, alternativeNames, expired = false, passphrase }) {
      const request = `${issued}.csr`;
      const secret = passphrase === undefined ? ['-nodes'] : ['-passout', `pass:${passphrase}`];
      const extensions = ['basicConstraints=critical,CA:FALSE', `extendedKeyUsage=${usage}`];
      if (alternativeNames !== undefined) extensions.push(`subjectAltName=${alternativeNames}`);
      const wanted = extensions.flatMap((extension) => ['-addext', extension]);
      const keyOut = ['-keyout', `${issued}.key`, '-out', request];
      await openssl('req', '-new', ...newKey, ...secret, '-subj', `/CN=${subject}`, ...wanted, ...keyOut);
      const signing = ['-CA', files.cert, '-CAkey', files.key, '-copy_extensions', 'copy'];
      const days = expired ? '-1' : '2';
      await openssl('x509', '-req', '-in', request, ...signing, '-days', days, '-out', `${issued}.crt`);
      await rm(join(dir, request));
      return { certFile: join(dir, `${issued}.crt`), keyFile: join(dir, `${issued}.key`) };
    },
  };
}
