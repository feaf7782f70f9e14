/** `/orchestrator/nodes`: the members of the mesh as this peer knows them. */
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../../failures/shoal-error.ts';
import { shortNode } from '../execution-facts.ts';
import { bodyOf, invalid, labelFilter, member, pageOf, param, send, text } from '../http.ts';
import { findNode, nodeStateJson, orderNodes } from '../node-json.ts';
import { cut } from '../paging.ts';
import type { NodeView } from '../service.ts';
import type { RouteContext } from './context.ts';

function filterOf(
  name: string,
  value: string,
  values: readonly string[],
): (actual: string) => boolean {
  const wanted = value.toUpperCase();
  if (wanted !== '' && !values.includes(wanted)) throw invalid(name, value, values.join(', '));
  return (actual) => wanted === '' || wanted === actual;
}

export function nodeRoutes(app: FastifyInstance, { service }: RouteContext): void {
  app.get('/orchestrator/nodes', async (request, reply) => {
    const page = pageOf(request, reply);
    const labels = labelFilter(request);
    const approval = filterOf('filter-approval', text(request, 'filter-approval'), [
      'APPROVED',
      'PENDING',
      'REJECTED',
    ]);
    const status = filterOf('filter-status', text(request, 'filter-status'), [
      'CONNECTED',
      'DISCONNECTED',
    ]);
    const wanted = (node: NodeView): boolean =>
      labels(node.advert.labels) &&
      approval('APPROVED') &&
      status(node.self || node.connected ? 'CONNECTED' : 'DISCONNECTED');
    const nodes = orderNodes((await service.nodes()).filter(wanted), page.orderBy, page.reverse);
    const { items, next } = cut(nodes, page);
    return send(reply, { NextToken: next, Nodes: items.map(nodeStateJson) });
  });
  app.get('/orchestrator/nodes/:id', async (request, reply) =>
    send(reply, { Node: nodeStateJson(findNode(await service.nodes(), param(request, 'id'))) }),
  );
  app.put('/orchestrator/nodes/:id', async (request) => {
    const { advert } = findNode(await service.nodes(), param(request, 'id'));
    const action = member(bodyOf(request), 'Action');
    if (typeof action === 'string' && action.toLowerCase() === 'approve')
      throw new ShoalError({ code: 'node-approved', node: shortNode(advert.node) });
    throw new ShoalError({
      code: 'not-supported',
      feature: 'Rejecting or deleting a node',
      instead: 'Who belongs to a mesh is decided by its network id and swarm key.',
    });
  });
}
