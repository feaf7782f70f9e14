/**
 * Why a node does not take a job, in a form that can be counted and put into words. The leader sums
 * these up, so that `job describe` can say which constraint or resource keeps how many nodes out.
 */
import type { Constraint } from '../../job/model.ts';
import type { StoreId } from './ids.ts';

export type ResourceName = 'cpu' | 'memory' | 'disk' | 'gpu';

export type Refusal =
  | { readonly code: 'engine-missing'; readonly engine: string; readonly detail: string }
  | { readonly code: 'publisher-missing'; readonly publisher: string }
  | { readonly code: 'source-missing'; readonly source: string }
  | { readonly code: 'constraint'; readonly constraint: Constraint; readonly actual: string | null }
  /** More than this node could ever give. Units: thousandths of a core, bytes, devices. */
  | {
      readonly code: 'too-big';
      readonly resource: ResourceName;
      readonly wanted: number;
      readonly capacity: number;
    }
  /** Would fit, but not now. Units as above. */
  | {
      readonly code: 'busy';
      readonly resource: ResourceName;
      readonly wanted: number;
      readonly free: number;
    }
  | { readonly code: 'network'; readonly network: string; readonly detail: string }
  | { readonly code: 'path-not-allowed'; readonly path: string; readonly writable: boolean }
  | { readonly code: 'env-not-allowed'; readonly variable: string }
  | { readonly code: 'owner-not-allowed' }
  | { readonly code: 'namespace-not-allowed'; readonly namespace: string }
  | { readonly code: 'image-not-allowed'; readonly image: string }
  | { readonly code: 'unsupported'; readonly feature: string }
  | { readonly code: 'draining' }
  | { readonly code: 'store-full' }
  | { readonly code: 'expired' }
  /** It is named as a keeper with a store that it has no more; its store is this one. It will never have a say in the job. */
  | { readonly code: 'other-store'; readonly store: StoreId }
  /** What its keeper has of earlier versions of this owner's jobs that still run, or of those of all: bytes. */
  | { readonly code: 'versions-full'; readonly bytes: number; readonly maxBytes: number }
  /** What its store knew of the job is damaged, so that it has no say in it any more. */
  | { readonly code: 'damaged' }
  /** The job ended already, by what this keeper knows. */
  | { readonly code: 'over' }
  /** The job is good until `notAfter`, which is over or too far ahead by the clock of who refuses, that shows `wall`. Milliseconds. */
  | { readonly code: 'wrong-time'; readonly notAfter: number; readonly wall: number };

export type RefusalCode = Refusal['code'];
