import type { Direction, Point } from './fault.js';
import { FramePosition } from './frame-position.js';
import { MessagePosition } from './message-position.js';
import { ReplyPosition } from './reply-position.js';

/** What client and server say to each other: gRPC's HTTP/2, HTTP/1.1 or the protocol of Redis. */
export type Conversation = 'http2' | 'http1' | 'resp';

/** Knows, in one direction of a connection, which part of a message each byte belongs to. */
export interface Position {
  /** Counts bodies and messages from here on. */
  reset(): void;
  /** Reads the bytes; answers where in them the point is, or -1. After that it is to be read to the end all the same. */
  advance(bytes: Buffer, point: Point | undefined): number;
}

/** For the two directions of one connection. */
export function positionsIn(conversation: Conversation): Readonly<Record<Direction, Position>> {
  if (conversation === 'http2') return { up: new FramePosition('up'), down: new FramePosition('down') };
  if (conversation === 'resp') return { up: new ReplyPosition(), down: new ReplyPosition() };
  const methods: string[] = [];
  return { up: new MessagePosition('up', methods), down: new MessagePosition('down', methods) };
}
