// SPDX-License-Identifier: MIT
// The parts that only compute: event streams cut anywhere, byte offsets in every alphabet, answers as blocks, addresses.
import { expect, test } from '@playwright/test';
import type { Citation } from '../src/api.ts';
import { indexOfByte, rangeOnPage } from '../src/bytes.ts';
import { section } from '../src/format.ts';
import { layOut, refusalWords } from '../src/rich.ts';
import { documentHref, parseRoute } from '../src/route.ts';
import { serverEvents } from '../src/sse.ts';

async function parse(chunks: Uint8Array[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array>({ start(control) { for (const chunk of chunks) control.enqueue(chunk); control.close(); } });
  const out: string[] = [];
  for await (const { event, data } of serverEvents(body)) out.push(`${event}=${data}`);
  return out;
}

test('an event stream reads the same however it is cut', async () => {
  const bytes = new TextEncoder().encode(': beat\r\n\r\nevent: sentence\r\ndata: {"t":"añó 🚶"}\r\n\r\ndata: a\ndata: b\n\n:x\nevent:done\rdata: end\r\rdata: cut off');
  const expected = ['sentence={"t":"añó 🚶"}', 'message=a\nb', 'done=end'];
  expect(await parse([bytes])).toEqual(expected);
  for (let size = 1; size <= 7; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    expect(await parse(chunks), `in pieces of ${size}`).toEqual(expected);
  }
});

test('a byte offset finds its character in every alphabet', () => {
  const text = 'aé한🚶z';
  const starts = [...text].reduce<[number, number][]>((all, one) => {
    const [byte, index] = all[all.length - 1] as [number, number];
    return [...all, [byte + new TextEncoder().encode(one).length, index + one.length]];
  }, [[0, 0]]);
  for (const [byte, index] of starts) expect(indexOfByte(text, byte)).toBe(index);
  expect(indexOfByte(text, 2), 'inside é').toBe(1);
  expect(indexOfByte(text, 8), 'inside the walker').toBe(3);
  expect(indexOfByte(text, 999)).toBe(text.length);
});

test('a passage that crosses a page is marked as far as it goes', () => {
  const range = rangeOnPage('zwölf Wochen', 100, 90, 106);
  expect(range).toEqual({ start: 0, end: 5 });
  expect(rangeOnPage('zwölf', 100, 50, 90)).toBeNull();
  expect(rangeOnPage('zwölf', 100, 500, 510)).toBeNull();
});

const cite = (number: number, answer_start: number, answer_end: number): Citation =>
  ({ number, document_id: 'd', title: 'T', page: 0, start_byte: 0, end_byte: 1, text: 'x', score: 1, answer_start, answer_end });

test('markers become citations, unknown ones stay words, HTML stays words', () => {
  const blocks = layOut('Walk **daily** [1]. Not <b>that</b> [7].\n\n- one [2]\n- two', [cite(1, 0, 14), cite(2, 40, 43)]);
  expect(blocks.map((block) => block.kind)).toEqual(['p', 'ul']);
  const flat = JSON.stringify(blocks);
  expect(flat).toContain('{"kind":"cite","index":0}');
  expect(flat).toContain('{"kind":"cite","index":1}');
  expect(flat).toContain('[7]');
  expect(flat).toContain('<b>that</b>');
  expect(blocks[1]?.items).toHaveLength(2);
});

test('sentences in a row that stand on one passage show its number once', () => {
  const blocks = layOut('One [1]. Two [1]. Three [2]. Four [1].\n- Five [1]', [cite(1, 0, 3), cite(2, 18, 23)]);
  const cites = (parts: (typeof blocks)[0]['items'][0] = []): number[] => parts.flatMap((one) => (one.kind === 'cite' ? [one.index] : []));
  expect(cites(blocks[0]?.items[0])).toEqual([0, 1, 0]);
  expect(cites(blocks[1]?.items[0])).toEqual([0]);
});

test('an answer without markers takes its citations by place', () => {
  const blocks = layOut('Ürlaub hilft. Schlaf auch.', [cite(1, 0, 14), cite(2, 15, 27)]);
  expect(blocks[0]?.items[0]?.map((one) => one.kind)).toEqual(['text', 'cite', 'text', 'cite']);
});

test('a refusal keeps its words and leaves the list of what is nearest to the passages', () => {
  const answer = "I don't have that. The nearest I have is: “Rest” [1].";
  expect(refusalWords(answer, [cite(1, 44, 52)])).toBe("I don't have that.");
  expect(refusalWords('Nothing at all', [])).toBe('Nothing at all');
});

test('addresses read back as they were written', () => {
  expect(parseRoute(documentHref('doc/ü 1', 3, 10, 20))).toEqual({ name: 'document', id: 'doc/ü 1', page: 3, start: 10, end: 20 });
  expect(parseRoute('#setup=s3cret')).toEqual({ name: 'setup', secret: 's3cret' });
  expect(parseRoute('#/setup=s3cret')).toEqual({ name: 'setup', secret: 's3cret' });
  expect(parseRoute('#/why/turn_1')).toEqual({ name: 'why', id: 'turn_1' });
  expect(parseRoute('#/documents/%E0%A4%A?page=-4')).toMatchObject({ name: 'document', page: 0 });
  expect(parseRoute('#/nowhere')).toEqual({ name: 'ask' });
  expect(section('Guide > Sleep > Naps', 'Guide')).toBe('Sleep › Naps');
});
