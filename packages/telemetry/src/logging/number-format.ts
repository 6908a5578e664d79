/** `F2` fixed, `N1` with thousands separated, `P1` per cent, `D4` padded with zeros, `X` hexadecimal. */
export interface NumberFormat {
  readonly letter: string;
  readonly digits: number | undefined;
}

/** Undefined for a format that is not known, which is passed over: a record is worth more than its looks. */
export function parseFormat(format: string | undefined): NumberFormat | undefined {
  const [, letter, digits] = /^([FNPDX])(\d{0,2})$/i.exec(format ?? '') ?? [];
  return letter === undefined
    ? undefined
    : { letter: letter.toUpperCase(), digits: digits ? Number(digits) : undefined };
}

/** Undefined for what is no finite number. */
export function formatNumber(value: unknown, { letter, digits }: NumberFormat): string | undefined {
  if (typeof value === 'bigint') return formatWhole(value, letter, digits);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  switch (letter) {
    case 'F':
      return value.toFixed(digits ?? 2);
    case 'N':
      return withThousands(value.toFixed(digits ?? 2));
    case 'P':
      return `${(value * 100).toFixed(digits ?? 2)}%`;
    default:
      return formatWhole(BigInt(Math.trunc(value)), letter, digits);
  }
}

function formatWhole(value: bigint, letter: string, digits: number | undefined): string {
  const sign = value < 0n ? '-' : '';
  const size = value < 0n ? -value : value;
  if (letter === 'X')
    return (
      sign +
      size
        .toString(16)
        .toUpperCase()
        .padStart(digits ?? 0, '0')
    );
  if (letter === 'D') return sign + size.toString().padStart(digits ?? 0, '0');
  const fraction = digits === 0 ? '' : `.${'0'.repeat(digits ?? 2)}`;
  if (letter === 'P') return `${value * 100n}${fraction}%`;
  return sign + (letter === 'N' ? withThousands(size.toString()) : size.toString()) + fraction;
}

function withThousands(fixed: string): string {
  const [whole = '', fraction] = fixed.split('.');
  const separated = whole.replace(/\d(?=(?:\d{3})+$)/g, '$&,');
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}
