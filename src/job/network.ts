/**
 * The `Network` of a task: which access the program has, which domains it may reach and which ports
 * it offers. Checks the wish; what a node allows is its own decision.
 */
import { isIpAddress } from './addresses.ts';
import type { Network, NetworkType, Port } from './model.ts';
import { readInteger, readItems, readKnown, readText } from './reader.ts';
import { show, suggestion, type Field, type Report } from './problem.ts';

const TYPES: readonly NetworkType[] = ['Default', 'None', 'Host', 'Full', 'HTTP', 'Bridge'];
const TYPES_WITH_PORTS: readonly NetworkType[] = ['Host', 'Full', 'Bridge'];

/** A port's name becomes part of `BACALHAU_HOST_PORT_<name>`, of at most 256 characters. */
const PORT_NAME_MAX = 256 - 'BACALHAU_HOST_PORT_'.length;
const PORT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Lower ports need privileges that a job does not get. */
const STATIC_MIN = 1024;
const PORT_MAX = 65_535;
/** Each takes a host port of the node that runs the job, for as long as it runs. */
const PORTS_MAX = 16;

/** A leading dot stands for the domain and all below it. */
const DOMAIN = /^\.?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/;
/** As lenient as Bacalhau, whose pattern is satisfied by a domain anywhere in the text. */
const DOMAIN_WITHIN = /[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.[a-z]{2,}/;
/** Characters; a domain has at most 253. */
const DOMAIN_TEXT_MAX = 256;

export function readNetwork(report: Report, field: Field): Network {
  const struct = readKnown(report, field, ['Type', 'Domains', 'Ports']);
  if (struct === null) return { Type: 'Default', Domains: [], Ports: [] };
  const Type = readType(report, struct.get('Type'));
  const domains = struct.get('Domains');
  const items = readItems(report, domains);
  const Domains = items.map((item) => readDomain(report, item)).filter((domain) => domain !== '');
  const ports = struct.get('Ports');
  const Ports = readItems(report, ports)
    .map((item) => readPort(report, item, Type))
    .filter((port) => port !== null);
  if (items.length > 0 && Type !== 'HTTP') {
    report.problemAtKey(domains, 'conflict', `domains need network type HTTP, not ${Type}`);
  }
  if (items.length === 0 && Type === 'HTTP') {
    const hint = 'add Domains, or use another type';
    report.problem(
      struct.get('Type'),
      'required',
      `network type HTTP needs at least one domain; ${hint}`,
    );
  }
  if (Ports.length > 0 && !TYPES_WITH_PORTS.includes(Type)) {
    report.problemAtKey(ports, 'conflict', `ports need network type Bridge or Host, not ${Type}`);
  }
  if (Ports.length > PORTS_MAX) {
    const message = `expected at most ${PORTS_MAX} ports, got ${Ports.length}`;
    report.problemAtKey(ports, 'out-of-range', message);
  }
  checkUnique(report, ports, Ports, 'Name');
  checkUnique(report, ports, Ports, 'Static');
  checkUnique(report, ports, Ports, 'Target');
  return { Type, Domains, Ports };
}

function readType(report: Report, field: Field): NetworkType {
  const text = readText(report, field).trim();
  if (text === '') return 'Default';
  const type = TYPES.find((name) => name.toLowerCase() === text.toLowerCase());
  if (type !== undefined) return type;
  const hint = suggestion(text, TYPES);
  report.problem(
    field,
    'unknown-value',
    `expected one of ${TYPES.join(', ')}, got ${show(text)}.${hint}`,
  );
  return 'Default';
}

function readDomain(report: Report, field: Field): string {
  const domain = readText(report, field).trim().toLowerCase();
  if (domain.length <= DOMAIN_TEXT_MAX) {
    if (DOMAIN.test(domain) || isIpAddress(domain)) return domain;
    if (DOMAIN_WITHIN.test(domain)) {
      report.warning(
        field,
        'doubtful',
        `${show(domain)} is no plain domain name and may match nothing`,
      );
      return domain;
    }
  }
  report.problem(
    field,
    'malformed',
    `expected a domain such as example.com, .example.com or an IP address, got ${show(domain)}`,
  );
  return '';
}

function readPort(report: Report, field: Field, type: NetworkType): Port | null {
  const struct = readKnown(report, field, ['Name', 'Static', 'Target', 'HostNetwork']);
  if (struct === null) return null;
  const name = struct.get('Name');
  const Name = readText(report, name);
  if (!PORT_NAME.test(Name) || Name.length > PORT_NAME_MAX) {
    const expected = `a name of letters, digits and _, not beginning with a digit, at most ${PORT_NAME_MAX} long`;
    report.problem(
      name,
      Name === '' ? 'required' : 'malformed',
      `expected ${expected}, got ${show(Name)}`,
    );
  }
  const Static = readInteger(report, struct.get('Static'), { min: 0, max: PORT_MAX }) ?? 0;
  if (Static > 0 && Static < STATIC_MIN) {
    report.problem(
      struct.get('Static'),
      'out-of-range',
      `expected 0 (any) or ${STATIC_MIN} to ${PORT_MAX}, got ${Static}`,
    );
  }
  const target = struct.get('Target');
  const Target = readInteger(report, target, { min: 0, max: PORT_MAX }) ?? 0;
  if (Target > 0 && (type === 'Host' || type === 'Full')) {
    report.problem(
      target,
      'conflict',
      `network type ${type} has no port mapping; leave Target out`,
    );
  }
  const HostNetwork = readText(report, struct.get('HostNetwork')).trim();
  if (HostNetwork !== '' && !isIpAddress(HostNetwork)) {
    report.problem(
      struct.get('HostNetwork'),
      'malformed',
      `expected an IP address, got ${show(HostNetwork)}`,
    );
  }
  return { Name, Static, Target, HostNetwork };
}

/** Zero and '' stand for "any" and do not collide. */
function checkUnique(
  report: Report,
  field: Field,
  ports: readonly Port[],
  key: 'Name' | 'Static' | 'Target',
): void {
  const seen = new Set<string | number>();
  for (const port of ports) {
    const value = port[key];
    if (value !== 0 && value !== '' && seen.has(value)) {
      report.problem(field, 'duplicate', `${key} ${show(value)} is given to more than one port`);
    }
    seen.add(value);
  }
}
