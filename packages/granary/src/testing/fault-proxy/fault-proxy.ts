import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { type Direction, type Effect, type Fault, isConnectionEffect } from './fault.js';
import { Flow } from './flow.js';
import { type Conversation, positionsIn } from './position.js';

const HOST = '127.0.0.1';

interface Line {
  readonly client: Socket;
  readonly server: Socket | undefined;
  readonly flows: Readonly<Record<Direction, Flow>> | undefined;
  /** Whether a fault has befallen it, so that it is of no use any more. */
  broken: boolean;
}

/**
 * The network between a client and a server on loopback, with the faults that networks have: one at a time, in either
 * direction, from any point of a conversation on, for connections that are there and those to come.
 */
export class FaultProxy implements AsyncDisposable {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #conversation: Conversation;
  readonly #lines = new Set<Line>();
  #listener: Server | undefined;
  #port = 0;
  #fault: Fault | undefined;
  #left = 0;
  #made = 0;
  #befallen = 0;

  private constructor(target: string, conversation: Conversation) {
    this.#conversation = conversation;
    const at = target.lastIndexOf(':');
    this.#target = { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
  }

  /** @param target `HOST:PORT` of the server */
  static async start(target: string, conversation: Conversation = 'http2'): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, conversation);
    await proxy.#listen();
    return proxy;
  }

  /** `HOST:PORT` for clients. */
  get address(): string {
    return `${HOST}:${this.#port}`;
  }

  /** Connections now. */
  get connections(): number {
    return this.#lines.size;
  }

  /** Connections ever. */
  get connectionsMade(): number {
    return this.#made;
  }

  /** Connections that the fault that was set last has befallen. */
  get befallen(): number {
    return this.#befallen;
  }

  /** Lets a fault happen, in place of the one before. */
  async set(fault: Fault): Promise<void> {
    await this.heal();
    this.#fault = fault;
    this.#left = fault.times ?? Number.POSITIVE_INFINITY;
    this.#befallen = 0;
    if (fault.effect.kind === 'refuse') {
      this.#listener?.close();
      this.#listener = undefined;
    }
    if (fault.connections !== 'new') for (const line of this.#lines) this.#apply(line, fault);
  }

  /** Ends the fault. The connections that it befell are reset: nobody knows any more what was lost on them. */
  async heal(): Promise<void> {
    this.#fault = undefined;
    for (const line of this.#lines) {
      if (line.broken) destroy(line);
      else for (const flow of Object.values(line.flows ?? {})) flow.heal();
    }
    if (!this.#listener) await this.#listen();
  }

  /** Resets all connections. */
  resetAll(): void {
    for (const line of this.#lines) destroy(line);
  }

  async close(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    const closed = listener && once(listener, 'close');
    listener?.close();
    this.resetAll();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(): Promise<void> {
    const listener = createServer({ allowHalfOpen: true }, (client) => this.#connect(client));
    this.#listener = listener;
    listener.listen(this.#port, HOST);
    await once(listener, 'listening');
    this.#port = (listener.address() as AddressInfo).port;
  }

  #connect(client: Socket): void {
    this.#made++;
    const isNew = this.#fault?.connections !== 'living';
    const fault = isNew ? this.#fault : undefined;
    if (fault?.effect.kind === 'half-open' && this.#happens()) {
      this.#add({ client, server: undefined, flows: undefined, broken: true });
      client.on('data', () => {}).on('end', () => client.end());
      return;
    }
    const server = createConnection({ ...this.#target, allowHalfOpen: true });
    const onFault = ({ kind }: Effect) => {
      const happens = this.#happens();
      if (happens && kind !== 'latency' && kind !== 'bandwidth') line.broken = true;
      return happens;
    };
    const positions = positionsIn(this.#conversation);
    const flows = {
      up: new Flow(client, server, positions.up, onFault),
      down: new Flow(server, client, positions.down, onFault),
    };
    const line: Line = { client, server, flows, broken: false };
    this.#add(line);
    if (fault) this.#apply(line, fault);
  }

  #add(line: Line): void {
    this.#lines.add(line);
    for (const socket of [line.client, line.server]) {
      // An end that breaks takes the other with it.
      socket?.on('error', () => destroy(line));
      socket?.on('close', () => {
        if (!isClosed(line)) return;
        this.#lines.delete(line);
        for (const flow of Object.values(line.flows ?? {})) flow.close();
      });
    }
  }

  #apply(line: Line, fault: Fault): void {
    const { effect, direction = 'down' } = fault;
    if (!isConnectionEffect(effect)) line.flows?.[direction].set(fault);
    else if (effect.kind === 'drop') this.#dropLater(line, fault, effect.afterMs);
  }

  #dropLater(line: Line, fault: Fault, ms: number): void {
    const drop = () => {
      if (this.#fault !== fault || isClosed(line) || !this.#happens()) return;
      destroy(line);
    };
    if (ms === 0) drop();
    else {
      const timer = setTimeout(drop, ms);
      line.client.once('close', () => clearTimeout(timer));
    }
  }

  #happens(): boolean {
    if (this.#left <= 0) return false;
    this.#left--;
    this.#befallen++;
    return true;
  }
}

function destroy({ client, server }: Line): void {
  for (const socket of [client, server]) if (socket && !socket.destroyed) socket.resetAndDestroy();
}

function isClosed({ client, server }: Line): boolean {
  return client.closed && (server?.closed ?? true);
}
