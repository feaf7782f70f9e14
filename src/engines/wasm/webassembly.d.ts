/**
 * The part of the WebAssembly interface of JavaScript that the runner uses. TypeScript ships it
 * only with the browser's library, which must not be visible in a daemon's code.
 */
declare namespace WebAssembly {
  type ExternalKind = 'function' | 'global' | 'memory' | 'table' | 'tag';
  type ExportValue = (() => unknown) | Memory | object;
  type ModuleImports = Record<string, unknown>;
  type Imports = Record<string, ModuleImports>;

  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
    static imports(module: Module): { module: string; name: string; kind: ExternalKind }[];
    static exports(module: Module): { name: string; kind: ExternalKind }[];
  }

  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Readonly<Record<string, ExportValue>>;
  }

  class Memory {
    constructor(descriptor: { initial: number });
    readonly buffer: ArrayBuffer;
  }

  class Exception extends Error {}
  class RuntimeError extends Error {}
  class LinkError extends Error {}
}
