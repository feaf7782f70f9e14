/** `/shoal/labels`: the labels that jobs can select this peer by, as its operator gave them. */
import type { FastifyInstance } from 'fastify';
import {
  isLabelValue,
  LABEL_KEY,
  LABEL_KEY_EXPECTED,
  LABEL_VALUE_EXPECTED,
  LABELS_MAX,
} from '../../config/labels.ts';
import { bodyOf, invalid, member, send } from '../http.ts';
import type { LabelChange } from '../service.ts';
import type { LabelsJson } from '../types.ts';
import type { RouteContext } from './context.ts';

function checkKey(place: string, key: unknown): string {
  if (typeof key === 'string' && LABEL_KEY.test(key)) return key;
  throw invalid(place, JSON.stringify(key), LABEL_KEY_EXPECTED);
}

function setOf(value: unknown): LabelChange['set'] {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('Set', JSON.stringify(value), 'an object of labels');
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  for (const [key, text] of entries) {
    checkKey('Label', key);
    if (!isLabelValue(text))
      throw invalid(`Label ${key}`, JSON.stringify(text), LABEL_VALUE_EXPECTED);
  }
  return Object.fromEntries(entries as [string, string][]);
}

function removeOf(value: unknown): LabelChange['remove'] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > LABELS_MAX)
    throw invalid('Remove', JSON.stringify(value), `a list of at most ${LABELS_MAX} keys`);
  return value.map((key) => checkKey('Label', key));
}

export function labelRoutes(app: FastifyInstance, { service }: RouteContext): void {
  app.get('/shoal/labels', async (_request, reply) =>
    send(reply, { Labels: (await service.self()).labels } satisfies LabelsJson),
  );
  app.put('/shoal/labels', async (request, reply) => {
    const body = bodyOf(request);
    const change = { set: setOf(member(body, 'Set')), remove: removeOf(member(body, 'Remove')) };
    const both = change.remove.find((key) => Object.hasOwn(change.set, key));
    if (both !== undefined) throw invalid('Remove', both, 'a key that is not set, too');
    return send(reply, { Labels: await service.changeLabels(change) } satisfies LabelsJson);
  });
}
