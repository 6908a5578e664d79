import type { buildConnector } from 'undici';

/**
 * Whether a client may talk to an address.
 *
 * @param address an IP address, as the connection has it
 * @param hostname what the URL says, an IPv6 address without brackets
 */
export type AllowsAddress = (address: string, hostname: string) => boolean;

/**
 * Looks at the address of each connection before a request goes over it. What a name stands for is only known then, and
 * may be another address than a moment ago. A connection through a proxy has the proxy's, which says nothing.
 */
export function checkedConnector(connect: buildConnector.connector, allows: AllowsAddress): buildConnector.connector {
  return (target, callback) => {
    if (target.httpSocket !== undefined) return connect(target, callback);
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      const { remoteAddress = '' } = socket;
      if (allows(remoteAddress, target.hostname.replace(/^\[|\]$/g, ''))) return callback(null, socket);
      socket.destroy();
      callback(new AddressRefusedError(remoteAddress), null);
    });
  };
}

class AddressRefusedError extends Error {
  readonly code = 'ADDRESS_REFUSED';

  constructor(address: string) {
    super(`${address} is no address to talk to`);
    this.name = 'AddressRefusedError';
  }
}
