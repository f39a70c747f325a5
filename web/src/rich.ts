// SPDX-License-Identifier: MIT
// An answer's text as blocks for React. Model output is text: a little Markdown becomes structure, HTML stays words.
// [n] becomes the citation whose sentence ends there; two sentences may cite the same number with different words.
import type { Citation } from './api.ts';
import { indexOfByte } from './bytes.ts';
import { section } from './format.ts';

export type Inline = { kind: 'text'; text: string } | { kind: 'strong' | 'code'; children: Inline[] } | { kind: 'cite'; index: number };
export interface Block { kind: 'p' | 'h' | 'ul' | 'ol'; items: Inline[][] }

// Private-use characters stand for a citation while the text is cut up; the same ones in the text itself are removed.
const OPEN = '\ue000';
const CLOSE = '\ue001';
const MARK = /[ \t]*\[(\d{1,3})\]/g;

function choose(citations: Citation[], number: number, byte: number): number {
  let best = -1;
  let distance = Infinity;
  citations.forEach((one, index) => {
    if (one.number !== number) return;
    const away = Math.abs((one.answer_end ?? 0) - byte);
    if (away < distance) {
      best = index;
      distance = away;
    }
  });
  return best;
}

function withMarks(answer: string, citations: Citation[]): string {
  const encoder = new TextEncoder();
  const clean = answer.replace(/[\ue000\ue001]/g, '');
  let found = false;
  let marked = clean.replace(MARK, (all, digits: string, at: number) => {
    const index = choose(citations, Number(digits), encoder.encode(clean.slice(0, at)).length);
    if (index < 0) return all;
    found = true;
    return `${OPEN}${index}${CLOSE}`;
  });
  // Sentences in a row that stand on one passage share its number, after the last of them.
  marked = marked.replace(/\ue000(\d+)\ue001(?=[^\ue000\n]*\ue000\1\ue001)/g, '');
  if (found || citations.length === 0) return marked;
  const places = citations
    .map((one, index) => ({ index, at: indexOfByte(clean, one.answer_end ?? 0) }))
    .filter((one) => one.at > 0)
    .sort((a, b) => b.at - a.at || b.index - a.index);
  let text = clean;
  for (const { index, at } of places) text = `${text.slice(0, at)}${OPEN}${index}${CLOSE}${text.slice(at)}`;
  return text;
}

function inline(text: string): Inline[] {
  const out: Inline[] = [];
  const pattern = /\*\*(?=\S)(.+?)\*\*|`([^`]+)`|\ue000(\d+)\ue001/g;
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > last) out.push({ kind: 'text', text: text.slice(last, match.index) });
    if (match[1] !== undefined) out.push({ kind: 'strong', children: inline(match[1]) });
    else if (match[2] !== undefined) out.push({ kind: 'code', children: [{ kind: 'text', text: match[2] }] });
    else out.push({ kind: 'cite', index: Number(match[3]) });
    last = match.index + match[0].length;
  }
  if (last < text.length) out.push({ kind: 'text', text: text.slice(last) });
  return out;
}

const WRAPPED_FROM = 50; // a line this long was broken by a page's width, not by its author

export function layOut(answer: string, citations: Citation[]): Block[] {
  const blocks: { kind: Block['kind']; items: string[] }[] = [];
  let open = false;
  for (const line of withMarks(answer, citations).split('\n')) {
    const bullet = /^\s*[-*•]\s+(.*)$/.exec(line);
    const number = /^\s*\d{1,2}[.)]\s+(.*)$/.exec(line);
    const heading = /^\s*#{1,6}\s+(.*)$/.exec(line);
    const last = blocks[blocks.length - 1];
    if (line.trim() === '') open = false;
    else if (heading) {
      blocks.push({ kind: 'h', items: [heading[1] ?? ''] });
      open = false;
    } else if (bullet || number) {
      const kind = bullet ? 'ul' : 'ol';
      const text = (bullet ?? number)?.[1] ?? '';
      if (last && last.kind === kind && open) last.items.push(text);
      else blocks.push({ kind, items: [text] });
      open = true;
    } else if (open && last) {
      const before = last.items[last.items.length - 1] ?? '';
      last.items[last.items.length - 1] = `${before}${(before.split('\n').pop() ?? '').length >= WRAPPED_FROM || last.kind !== 'p' ? ' ' : '\n'}${line.trim()}`;
    } else {
      blocks.push({ kind: 'p', items: [line.trim()] });
      open = true;
    }
  }
  return blocks.map(({ kind, items }) => ({ kind, items: items.map(inline) }));
}

/** For the clipboard: the words, then where they come from. */
export function asPlainText(question: string, answer: string, citations: Citation[], pageWord: (page: number) => string): string {
  const seen = new Set<number>();
  const sources = citations
    .filter((one) => !seen.has(one.number) && seen.add(one.number))
    .sort((a, b) => a.number - b.number)
    .map((one) => [`[${one.number}] ${one.title}`, section(one.heading, one.title), one.page > 0 ? pageWord(one.page) : ''].filter(Boolean).join(', '));
  return [question, '', answer.trim(), ...(sources.length > 0 ? ['', ...sources] : [])].join('\n');
}

/** A refusal without the sentence that lists what is nearest: the passages themselves stand below it. */
export function refusalWords(answer: string, citations: Citation[]): string {
  const first = Math.min(...citations.map((one) => indexOfByte(answer, one.answer_start ?? 0)));
  if (!Number.isFinite(first) || first <= 0) return answer;
  const ends = [...answer.slice(0, first).matchAll(/[.!?]\s/g)];
  const last = ends[ends.length - 1];
  return last ? answer.slice(0, last.index + 1) : answer;
}
