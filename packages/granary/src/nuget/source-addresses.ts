import { BlockList, isIP } from 'node:net';
import type { AllowsAddress } from '@granary/http';

/** Linux takes the unspecified addresses, too, for itself. */
const THIS_MACHINE = new BlockList();
THIS_MACHINE.addSubnet('127.0.0.0', 8, 'ipv4');
THIS_MACHINE.addSubnet('0.0.0.0', 8, 'ipv4');
THIS_MACHINE.addAddress('::1', 'ipv6');
THIS_MACHINE.addAddress('::', 'ipv6');

/** Link-local ones, and those that clouds have besides. */
const METADATA = new BlockList();
METADATA.addSubnet('169.254.0.0', 16, 'ipv4');
METADATA.addSubnet('fe80::', 10, 'ipv6');
// Alibaba, Azure's agent of machines, Oracle's older cloud.
for (const address of ['100.100.100.200', '168.63.129.16', '192.0.0.192']) METADATA.addAddress(address, 'ipv4');
// Amazon, which has several there, one for pods among them, Google, Scaleway.
METADATA.addSubnet('fd00:ec2::', 32, 'ipv6');
for (const address of ['fd20:ce::254', 'fd00:42::42']) METADATA.addAddress(address, 'ipv6');

/**
 * Where a source may lead this server, by URLs in its documents and by redirects: not to this machine itself, whose admin
 * port lets in what comes from there, nor to where clouds tell a machine its credentials. A readme would be handed to
 * whoever asks for it, whatever it is. A source that is on this machine may lead to it.
 */
export function addressesOf(sourceUrl: string): AllowsAddress {
  const own = new URL(sourceUrl).hostname.replace(/^\[|\]$/g, '');
  let isHere = own === 'localhost' || isAmong(THIS_MACHINE, own);
  return (address, hostname) => {
    if (isAmong(THIS_MACHINE, address)) {
      // What its name stands for is known once it was asked.
      if (hostname === own) isHere = true;
      return isHere;
    }
    return hostname === own || !isAmong(METADATA, address);
  };
}

/** However the address is written; a name is none. */
function isAmong(addresses: BlockList, host: string): boolean {
  const address = host.replace(/%.*$/, '');
  const version = isIP(address);
  return version !== 0 && addresses.check(address, version === 6 ? 'ipv6' : 'ipv4');
}
