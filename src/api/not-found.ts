/** What is answered when no route fits. */
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../failures/shoal-error.ts';

/** `/a/:id/b` as an expression that fits its paths. */
const patternOf = (url: string): RegExp => new RegExp(`^${url.replace(/:[a-z]+/gi, '[^/]+')}$`);

/** What is not there: another method of a known path is told apart from an unknown path. */
export function addNotFound(app: FastifyInstance): void {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', (route) => {
    routes.push({ pattern: patternOf(route.url), methods: [route.method].flat() });
  });
  app.setNotFoundHandler(async (request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = [
      ...new Set(
        routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods),
      ),
    ];
    const { method } = request;
    const shown = path.slice(0, 200);
    throw allowed.length === 0 || allowed.includes(method)
      ? new ShoalError({ code: 'route-not-found', method, path: shown })
      : new ShoalError({ code: 'method-not-allowed', method, path: shown, allowed });
  });
}
