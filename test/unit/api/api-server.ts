/** A server over the fake node for the API's tests, and the requests they make. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  API_LIMITS,
  createApiServer,
  type ApiOptions,
  type ApiServer,
} from '../../../src/api/server.ts';
import type { ApiKey, Scope } from '../../../src/api/keys.ts';
import { FakeService } from './fake-service.ts';

export const SPEC = {
  Name: 'hello',
  Type: 'batch',
  Count: 1,
  Labels: { team: 'a' },
  Tasks: [
    {
      Name: 'main',
      Engine: { Type: 'docker', Params: { Image: 'busybox', Parameters: ['true'] } },
      Publisher: { Type: 'ipfs' },
    },
  ],
} as const;

export const apiKey = (text: string, scope: Scope = 'admin'): ApiKey => ({
  scope,
  digest: createHash('sha256').update(text).digest(),
});

export const apiOptions = (changes: Partial<ApiOptions> = {}): ApiOptions => ({
  host: '127.0.0.1',
  port: 0,
  insecure: false,
  apiKeys: [],
  socket: null,
  allowedHosts: [],
  allowedOrigins: [],
  spoolDir: join(tmpdir(), 'shoal-test-spool'),
  uploadMaxBytes: 1e8,
  fetchMaxBytes: 1e9,
  requestsPerSecond: 1000,
  ...API_LIMITS,
  version: '0.1.0',
  onDefect: () => {},
  ...changes,
});

export interface TestApi {
  readonly service: FakeService;
  readonly server: ApiServer;
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Called>;
}

export interface Called {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** The body as JSON; `any` member access is what a test of shapes wants, hence the loose type. */
  readonly json: Loose;
}

export type Loose = { readonly [key: string]: Loose } & {
  readonly length: number;
} & readonly Loose[];

export async function createTestApi(changes: Partial<ApiOptions> = {}): Promise<TestApi> {
  const service = new FakeService();
  const server = await createApiServer(service, apiOptions(changes));
  return {
    service,
    server,
    call: async (method, path, body, headers = {}) => {
      const answer = await server.app.inject({
        method: method as 'GET',
        url: path.startsWith('/api') || path.startsWith('//') ? path : `/api/v1${path}`,
        headers: {
          host: '127.0.0.1:1234',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined
          ? {}
          : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = answer.body;
      const isJson = String(answer.headers['content-type']).startsWith('application/json');
      return {
        status: answer.statusCode,
        headers: answer.headers,
        text,
        json: (isJson ? JSON.parse(text) : {}) as Loose,
      };
    },
  };
}
