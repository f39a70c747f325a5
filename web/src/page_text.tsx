// SPDX-License-Identifier: MIT
// A page of a document in the document's own voice, with the cited words marked. The text is never changed, only cut
// into blocks, so that what is marked is exactly what was cited.
import { Fragment, memo, useMemo, type Ref } from 'react';
import type { Range } from './bytes.ts';

interface Line { kind: 'p' | 'h' | 'li'; start: number; end: number; hash: number }
const BLOCKS_PER_SECTION = 40;
const WRAPPED_FROM = 45;
const TITLE_MOST = 64;

/** Lines that a page's width broke flow together again; the newline stays as a space of the same length. */
function cut(text: string): Line[] {
  const out: Line[] = [];
  let start = 0;
  let flowing = false;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    const hash = /^#{1,6}\s+/.exec(line)?.[0].length ?? 0;
    const item = /^\s*(?:[-*•–]|\d{1,2}[.)])\s+\S/.test(line);
    const last = out[out.length - 1];
    if (line.trim() === '') flowing = false;
    else if (hash > 0) {
      out.push({ kind: 'h', start, end, hash });
      flowing = false;
    } else if (item) {
      out.push({ kind: 'li', start, end, hash: 0 });
      flowing = line.length >= WRAPPED_FROM;
    } else if (flowing && last) {
      last.end = end;
      flowing = line.length >= WRAPPED_FROM;
    } else {
      out.push({ kind: 'p', start, end, hash: 0 });
      flowing = line.length >= WRAPPED_FROM;
    }
    start = end + 1;
  }
  // Formats without signs for headings leave them as short lines of their own above a paragraph.
  out.forEach((line, i) => {
    const next = out[i + 1];
    if (line.kind !== 'p' || next?.kind !== 'p' || line.end - line.start > TITLE_MOST || next.end - next.start <= TITLE_MOST) return;
    if (/^[\p{Lu}\p{N}¿¡].*[^.,;:…]\s*$/u.test(text.slice(line.start, line.end))) line.kind = 'h';
  });
  return out;
}

const shown = (text: string): string => text.replace(/\n/g, ' ');

interface Piece { start: number; end: number; sign: boolean; strong: boolean }

/** Signs of Markdown stay in the text, so that a quotation stays exact, but are not seen. */
function pieces(text: string, line: Line): Piece[] {
  const out: Piece[] = [];
  let at = line.start;
  if (line.hash > 0) {
    out.push({ start: at, end: at + line.hash, sign: true, strong: false });
    at += line.hash;
  }
  const words = text.slice(at, line.end);
  const from = at;
  for (const match of words.matchAll(/\*\*(?=\S)([^*]+?)\*\*/g)) {
    const start = from + match.index;
    const end = start + match[0].length;
    if (start > at) out.push({ start: at, end: start, sign: false, strong: false });
    out.push({ start, end: start + 2, sign: true, strong: false });
    out.push({ start: start + 2, end: end - 2, sign: false, strong: true });
    out.push({ start: end - 2, end, sign: true, strong: false });
    at = end;
  }
  if (at < line.end) out.push({ start: at, end: line.end, sign: false, strong: false });
  return out;
}

function Words({ text, line, range, markRef }: { text: string; line: Line; range: Range | null; markRef: Ref<HTMLElement> | undefined }) {
  const from = range ? Math.max(line.start, range.start) : line.end;
  const to = range ? Math.min(line.end, range.end) : line.end;
  const all = pieces(text, line);
  const plain = (start: number, end: number) => all.map((piece) => {
    const words = shown(text.slice(Math.max(start, piece.start), Math.min(end, piece.end)));
    if (Math.max(start, piece.start) >= Math.min(end, piece.end)) return null;
    if (piece.sign) return <span key={piece.start} hidden>{words}</span>;
    return piece.strong ? <strong key={piece.start}>{words}</strong> : <Fragment key={piece.start}>{words}</Fragment>;
  });
  if (!range || from >= to) return <>{plain(line.start, line.end)}</>;
  return <>{plain(line.start, from)}<mark ref={markRef}>{plain(from, to)}</mark>{plain(to, line.end)}</>;
}

export const PageText = memo(function PageText({ text, range, markRef, lang }: {
  text: string; range: Range | null; markRef?: Ref<HTMLElement>; lang?: string | undefined;
}) {
  const lines = useMemo(() => cut(text), [text]);
  const sections: Line[][] = [];
  for (let i = 0; i < lines.length; i += BLOCKS_PER_SECTION) sections.push(lines.slice(i, i + BLOCKS_PER_SECTION));
  const first = range ? lines.find((line) => line.end > range.start) : undefined;
  return (
    <div className="page-text" lang={lang}>
      {sections.map((section, i) => (
        <div key={i} className={sections.length > 2 ? 'page-section' : undefined}>
          {section.map((line) => (
            <p key={line.start} className={line.kind === 'p' ? undefined : `page-${line.kind}`}>
              <Words text={text} line={line} range={range} markRef={line === first ? markRef : undefined} />
            </p>
          ))}
        </div>
      ))}
    </div>
  );
});

const AROUND = 2500;

/** Enough of a long page to read the marked words in their place. */
export function excerpt(text: string, range: Range): { text: string; range: Range; cutBefore: boolean; cutAfter: boolean } {
  const before = text.lastIndexOf('\n', Math.max(0, range.start - AROUND));
  const start = range.start <= AROUND ? 0 : before < 0 ? range.start - AROUND : before + 1;
  const after = text.indexOf('\n', range.end + AROUND);
  const end = after < 0 ? text.length : after;
  return { text: text.slice(start, end), range: { start: range.start - start, end: range.end - start }, cutBefore: start > 0, cutAfter: end < text.length };
}
