/** The version this API claims to Bacalhau's clients, and shoal's own beside it. */
import { own } from '../job/own.ts';
import type { VersionJson } from './types.ts';

/** The release of Bacalhau whose API is spoken; its clients refuse servers older than 1.4. */
const BACALHAU_API = { major: '1', minor: '9', text: 'v1.9.3' } as const;

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

declare const SHOAL_COMMIT: string | undefined;

/** Put in when the program is built from a checkout; else ''. */
const commit = (): string => (typeof SHOAL_COMMIT === 'string' ? SHOAL_COMMIT : '');

/** `software`: shoal's version without a leading `v`. Operating system and architecture in Go's words. */
export function versionJson(software: string): VersionJson {
  return {
    Major: BACALHAU_API.major,
    Minor: BACALHAU_API.minor,
    GitVersion: BACALHAU_API.text,
    GitCommit: commit(),
    BuildDate: '0001-01-01T00:00:00Z',
    GOOS: process.platform === 'win32' ? 'windows' : process.platform,
    GOARCH: own(ARCHITECTURES, process.arch) ?? process.arch,
    Shoal: software,
  };
}

/** The headers every answer carries. */
export function versionHeaders(software: string): Readonly<Record<string, string>> {
  const version = versionJson(software);
  return {
    'x-bacalhau-git-version': version.GitVersion,
    'x-bacalhau-git-commit': version.GitCommit,
    'x-bacalhau-build-date': version.BuildDate,
    'x-bacalhau-build-os': version.GOOS,
    'x-bacalhau-arch': version.GOARCH,
    'x-shoal-version': software,
  };
}
