import type { Metadata } from '@grpc/grpc-js';
import type { Right } from '../../edge/hooks.js';

/** Largest request of a method that names something, and is decoded by generated code, which takes its time. */
export const MAX_NAMING_BYTES = 64 * 1024;

/** A method as records and access rules know it. */
export interface MethodName {
  /** The service's full name. */
  readonly service: string;
  readonly name: string;
  /** What the caller must be allowed; undefined for what is open to everyone. */
  readonly right: Right | undefined;
  /** Largest request, in bytes. Default: the server's for all methods. */
  readonly maxRequestBytes?: number;
}

/** What the call objects of grpc-js have in common. */
export interface ServerCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getHost(): string;
  getPeer(): string;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
}
