/**
 * `/auth`: the exchange that Bacalhau's clients insist on before their first request. Whoever reaches
 * this API may use it (or needs an API key, which is checked elsewhere), so the token that is handed
 * out proves nothing and is never asked for again; the client only wants one that is not empty.
 */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { invalid, param, send } from '../http.ts';

const METHOD = 'ClientKey';

export function authRoutes(app: FastifyInstance): void {
  const phrase = randomBytes(32).toString('base64');
  app.get('/auth', async (_request, reply) =>
    send(reply, {
      NextToken: '',
      Methods: { [METHOD]: { type: 'challenge', params: { InputPhrase: phrase } } },
    }),
  );
  const authenticate = async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const method = param(request, 'name');
    if (method !== METHOD) throw invalid('method', method, METHOD);
    return send(reply, {
      Authentication: { success: true, token: randomBytes(24).toString('base64url') },
    });
  };
  app.get('/auth/:name', authenticate);
  app.post('/auth/:name', authenticate);
}
