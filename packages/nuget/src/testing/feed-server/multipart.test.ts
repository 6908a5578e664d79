import { describe, expect, it } from 'vitest';
import { uploadedFile } from './multipart.js';

const FORM = 'multipart/form-data; boundary="xyz"';
const upload = (body: string, type = FORM) => {
  const file = uploadedFile(Buffer.from(body, 'latin1'), type || undefined);
  return file === undefined ? undefined : file.toString('latin1');
};

describe('an upload', () => {
  it('is the first file of a form', () => {
    const form = '--xyz\r\nContent-Disposition: form-data; name="package"\r\n\r\nPK\r\n\r\n\n\ndata\r\n--xyz--\r\n';
    expect(upload(form)).toBe('PK\r\n\r\n\n\ndata');
    expect(upload(form, 'Multipart/Form-Data;charset=x;boundary=xyz')).toBe('PK\r\n\r\n\n\ndata');
  });

  it('may have line ends of the other kind', () => {
    expect(upload('--xyz\nContent-Type: x\n\nPK\r\n\r\ndata\n--xyz--\n')).toBe('PK\r\n\r\ndata');
    expect(upload('--xyz\r\nContent-Type: x\r\n\r\nPKdata\n--xyz--\n')).toBe('PKdata');
  });

  it('may be the body as it is', () => {
    expect(upload('PKdata', 'application/octet-stream')).toBe('PKdata');
    expect(upload('PKdata', '')).toBe('PKdata');
  });

  it.each(['', '--abc\r\n\r\nPK\r\n--abc--', '--xyz\r\nno end', '--xyz\r\n\r\nPKdata'])('is not %j', (body) => {
    expect(upload(body)).toBeUndefined();
  });

  it('is not nothing at all', () => expect(upload('', '')).toBeUndefined());
});
