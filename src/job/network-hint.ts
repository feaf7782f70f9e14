/**
 * Whether a program seems to want the network although its job asks for none: `Default` means none on most nodes, and a
 * program that fails for it fails in words of its own. A guess, for warnings only.
 */
import type { Json, Network } from './model.ts';

/** Commands and addresses in what it is called with. */
const WANTS =
  /\b(?:https?|ftp|s3|git):\/\/|\b(?:curl|wget|ping|nslookup|dig|git clone|(?:pip3?|npm|apt|apt-get|apk|yum|dnf|go|cargo) (?:install|add|update|get))\b/;
/** What programs say that find no network. */
const LACKS =
  /bad address|could not resolve|temporary failure in name resolution|name or service not known|network is (?:unreachable|down)|no address associated|getaddrinfo|enetunreach|eai_again|nodename nor servname|temporary failure resolving|no route to host/i;
/** Beginnings of parameters are looked at; a script may have megabytes. */
const TEXT_MAX = 10_000;

const isClosed = ({ Type }: Network): boolean => Type === 'Default' || Type === 'None';

const REMEDY = 'Ask for it with Network: {Type: Bridge}';

/** What to say of a task before it runs; null when nothing is to be said. */
export function wantsNetwork(
  params: { readonly [key: string]: Json },
  network: Network,
): string | null {
  if (network.Type !== 'Default') return null;
  const texts = ['Entrypoint', 'Parameters', 'EnvironmentVariables']
    .flatMap((key) => params[key] ?? [])
    .filter((text) => typeof text === 'string');
  if (!WANTS.test(texts.join(' ').slice(0, TEXT_MAX))) return null;
  return `the network type Default means no network, unless a peer's operator opens it, and this program seems to want one. ${REMEDY}.`;
}

/** What to say of a program that failed, by what it printed; null when that tells of no network. */
export function lacksNetwork(network: Network, stderr: string): string | null {
  if (!isClosed(network) || !LACKS.test(stderr.slice(0, TEXT_MAX))) return null;
  return `it had no network, as its job's network type is ${network.Type}. ${REMEDY}`;
}
