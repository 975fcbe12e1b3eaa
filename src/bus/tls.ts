/** TLS to the broker: its files, and what its failures mean. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';

export interface BrokerTls {
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly passphrase?: string | undefined;
}

/** No connection with these certificates: trying again changes nothing until somebody has mended it. `message` says what, and the way out. */
export class TlsFailure extends Error {
  override readonly name = 'TlsFailure';
}

/** Reads the files of TLS options; an error names the file. */
export function readTlsFiles(files: {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  passphrase?: string | undefined;
}): BrokerTls {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  return { ca: read(files.ca), cert: read(files.cert), key: read(files.key), passphrase: files.passphrase };
}

/** @throws {TlsFailure} a certificate or key cannot be used; its message quotes neither, nor the passphrase */
export function secureContextOf(tls: BrokerTls): SecureContext {
  try {
    return createSecureContext({ ...tls });
  } catch (error) {
    const { code, reason } = error as { code?: string; reason?: string };
    const why = reason ?? code ?? 'unreadable';
    throw new TlsFailure(
      `The TLS files cannot be used (${why}): ca, cert and key have to be PEM, the key has to be the certificate's, and an encrypted key needs its passphrase`,
    );
  }
}

const untrusted =
  "The broker's certificate is not of an authority that is trusted here: name the file of its authority as ca";
const ownRefused = (why: string) =>
  `The broker refuses the client certificate: ${why}. Give cert and key of one that is valid, and of an authority that the broker trusts`;

/** By Node's or OpenSSL's code; `{host}` stands for the host of the URL. */
const meanings: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_HAS_EXPIRED: "The broker's certificate has expired: renew it there",
  CERT_NOT_YET_VALID: "The broker's certificate is not valid yet: compare the clocks",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "The broker's certificate is not for {host}: use one of its names in the URL, or have one made with this name",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'The broker asks for a client certificate: name cert and key',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: ownRefused('it does not know its authority'),
  'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED': ownRefused('it has expired'),
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': ownRefused('it is bad'),
  'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN': ownRefused('it cannot be verified'),
  'ERR_SSL_SSL/TLS_ALERT_UNSUPPORTED_CERTIFICATE': ownRefused('it is not made for clients'),
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE':
    'The broker refuses the handshake: it may ask for a client certificate (cert and key), or for another version of TLS',
  ERR_SSL_WRONG_VERSION_NUMBER:
    'What listens at {host} does not speak TLS: use its TLS port (5671 as a rule), or amqp:// where no TLS is wanted',
};

/** Why a connection to `url` failed, in words where the code alone says little; any other error as it is. */
export function explained(error: Error, url: string): Error {
  const { code } = error as Error & { code?: unknown };
  const { protocol, host, hostname } = new URL(url);
  if (code === 'ECONNRESET') {
    const hint =
      protocol === 'amqps:'
        ? 'it may have refused the client certificate'
        : 'a port for TLS does that; then the URL begins with amqps://';
    return new Error(`${host} closed the connection without a word: ${hint}`, { cause: error });
  }
  const meaning = typeof code === 'string' ? meanings[code] : undefined;
  if (meaning === undefined) return error;
  const named = code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? hostname : host;
  return new TlsFailure(meaning.replace('{host}', named), { cause: error });
}
