import { describe, expect, it } from 'vitest';
import { Progress } from './progress.js';
import { styleFor } from './style.js';
import { list, table } from './table.js';
import { fit, plain, widthOf } from './text.js';

const PLAIN = styleFor(undefined, {});

describe('a text from a feed', () => {
  it.each([
    ['\u001b[31mred\u001b[0m', '[31mred [0m'],
    ['two\r\nlines\tand  more', 'two lines and more'],
    ['\u009b2Jx', '2Jx'],
    ['abc\u202edcba', 'abc dcba'],
    ['  zoë 日本 ', 'zoë 日本'],
  ])('%j can not command a terminal', (text, expected) => {
    expect(plain(text)).toBe(expected);
  });

  it('takes the columns that it takes', () => {
    expect(widthOf('abc')).toBe(3);
    expect(widthOf('日本')).toBe(4);
    expect(widthOf('e\u0301')).toBe(1);
    expect(widthOf('😀')).toBe(2);
  });

  it('is cut where it does not fit', () => {
    expect(fit('abcdef', 6)).toBe('abcdef');
    expect(fit('abcdef', 5)).toBe('abcd…');
    expect(fit('abc def', 5)).toBe('abc…');
    expect(fit('日本語', 5)).toBe('日本…');
    expect(fit('日本語', 4)).toBe('日…');
    expect(fit('abc', 1)).toBe('…');
    expect(fit('abc', 0)).toBe('');
  });
});

describe('marks', () => {
  it('are for terminals that show them', () => {
    expect(styleFor(80, {}).bold('x')).toBe('\u001b[1mx\u001b[22m');
    expect(styleFor(undefined, {}).bold('x')).toBe('x');
    expect(styleFor(80, { NO_COLOR: '1' }).bad('x')).toBe('x');
    expect(styleFor(80, { NO_COLOR: '' }).good('x')).toBe('\u001b[32mx\u001b[39m');
    expect(styleFor(80, { TERM: 'dumb' }).faint('x')).toBe('x');
  });
});

describe('a table', () => {
  const head = [{ title: 'ID' }, { title: 'DOWNLOADS', right: true }, { title: 'DESCRIPTION', flexible: true }];
  const rows = [
    ['A', '1', 'short'],
    ['日本', '1234567', 'a description that is longer than the terminal is wide'],
  ];

  it('shows everything where there is no terminal', () => {
    expect(table(head, rows, undefined, PLAIN)).toBe(
      'ID    DOWNLOADS  DESCRIPTION\n' +
        'A             1  short\n' +
        '日本    1234567  a description that is longer than the terminal is wide\n',
    );
  });

  it('fits the terminal, cutting what may be cut', () => {
    const lines = table(head, rows, 40, PLAIN).split('\n');
    expect(lines[2]).toBe('日本    1234567  a description that is…');
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(40);
  });

  it('is wider than the terminal rather than useless', () => {
    expect(table(head, rows, 10, PLAIN).split('\n')[2]).toBe('日本    1234567  a descripti…');
  });

  it('has no room for what commands a terminal', () => {
    expect(table([{ title: 'ID' }], [['a\u001b[2J\nb']], undefined, PLAIN)).toBe('ID\na [2J b\n');
  });
});

describe('a list', () => {
  it('leaves out what is empty', () => {
    expect(
      list(
        [
          ['id', 'A'],
          ['title', ''],
          ['version', '1.0'],
        ],
        PLAIN,
      ),
    ).toBe('id       A\nversion  1.0\n');
    expect(list([], PLAIN)).toBe('');
  });
});

describe('progress', () => {
  function start(columns: number | undefined) {
    const written: string[] = [];
    let [now, width] = [0, columns];
    const progress = new Progress({
      write: (text) => written.push(text),
      columns: () => width,
      total: 4,
      clock: () => now,
    });
    const wait = (ms: number) => {
      now += ms;
    };
    const resize = (to: number) => {
      width = to;
    };
    return { written, progress, wait, resize };
  }

  it('is one line that is drawn at most ten times a second, and taken away', () => {
    const { written, progress, wait } = start(60);
    progress.start('A.1.0');
    progress.add(2048);
    wait(99);
    progress.finishOne();
    expect(written).toEqual(['\r\u001b[2K[--------------------] 0/4 A.1.0']);
    wait(1);
    progress.add(0);
    expect(written.at(-1)).toBe('\r\u001b[2K[#####---------------] 1/4 2 KiB A.1.0');
    progress.clear();
    progress.clear();
    expect(written).toHaveLength(3);
    expect(written.at(-1)).toBe('\r\u001b[2K');
    progress.finishOne();
    expect(written.at(-1)).toContain('2/4');
  });

  it('never fills the last column', () => {
    const { written, progress } = start(30);
    progress.start('a name that is too long');
    expect(widthOf(written[0]?.replace('\r\u001b[2K', '') ?? '')).toBeLessThan(30);
  });

  it('is as wide as the terminal has become', () => {
    const { written, progress, wait, resize } = start(80);
    progress.start('a name that is too long');
    wait(100);
    resize(30);
    progress.finishOne();
    expect(written.map((text) => widthOf(text.replace('\r\u001b[2K', '')))).toEqual([50, 29]);
  });

  it('counts what turns out to be there, and is over at its end', () => {
    const { written, progress, wait } = start(60);
    progress.expectOne();
    progress.start('A.1.0');
    expect(written.at(-1)).toBe('\r\u001b[2K[--------------------] 0/5 A.1.0');
    progress.end();
    wait(100);
    progress.finishOne();
    expect(written.at(-1)).toBe('\r\u001b[2K');
  });

  it('is not there without a terminal', () => {
    const { written, progress } = start(undefined);
    progress.start('x');
    progress.finishOne();
    progress.clear();
    expect(written).toEqual([]);
  });
});
