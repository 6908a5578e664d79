import { expect, it } from 'vitest';
import { dependenciesText } from './dependencies-text.js';

it.each([
  ['nothing', [], ''],
  ['a group for all frameworks', [{ dependencies: [{ id: 'A', range: '[1.0.0, )' }] }], 'A:[1.0.0, )'],
  ['any version', [{ dependencies: [{ id: 'A', range: '(, )' }] }], 'A'],
  [
    'any version for a framework',
    [{ targetFramework: 'net45', dependencies: [{ id: 'A', range: '(, )' }] }],
    'A::net45',
  ],
  ['a group without dependencies', [{ targetFramework: 'net45', dependencies: [] }], '::net45'],
  ['a group for all frameworks without dependencies', [{ dependencies: [] }], ''],
  [
    'several groups',
    [
      {
        targetFramework: 'net45',
        dependencies: [
          { id: 'A', range: '[1.0.0, 2.0.0)' },
          { id: 'B', range: '[1.0.0]' },
        ],
      },
      { targetFramework: 'netstandard2.0', dependencies: [] },
      { dependencies: [{ id: 'C', range: '(, 3.0.0]' }] },
    ],
    'A:[1.0.0, 2.0.0):net45|B:[1.0.0]:net45|::netstandard2.0|C:(, 3.0.0]',
  ],
  ['a range that is none', [{ dependencies: [{ id: 'A', range: 'x' }] }], 'A:x'],
])('writes %s', (_, groups, text) => {
  expect(dependenciesText(groups)).toBe(text);
});
