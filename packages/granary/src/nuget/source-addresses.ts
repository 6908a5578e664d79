import { BlockList, isIP } from 'node:net';
import type { AllowsAddress } from '@granary/http';
import { isLoopback } from '../config/address.js';

const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/**
 * Where a source may lead this server, by URLs in its documents and by redirects: not to this machine itself, whose admin
 * port lets in what comes from there, nor to link-local addresses, where clouds tell a machine its credentials. A readme
 * would be handed to whoever asks for it, whatever it is. A source that is on this machine may lead to it.
 */
export function addressesOf(sourceUrl: string): AllowsAddress {
  const own = new URL(sourceUrl).hostname.replace(/^\[|\]$/g, '');
  let isHere = isLoopback(own);
  return (address, hostname) => {
    if (isLoopback(address)) {
      // What its name stands for is known once it was asked.
      if (hostname === own) isHere = true;
      return isHere;
    }
    return hostname === own || !isLinkLocal(address);
  };
}

function isLinkLocal(address: string): boolean {
  return LINK_LOCAL.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
