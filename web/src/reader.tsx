// SPDX-License-Identifier: MIT
// A document page by page, opened from the list or at a cited passage. Someone who may only ask can read pages that
// are cited to them, so nothing here depends on the document's record.
import { useEffect, useRef, useState } from 'react';
import { type Document, getJson, getPage, type Me, type Page } from './api.ts';
import { rangeOnPage } from './bytes.ts';
import { bytes, count, date, kind } from './format.ts';
import { Icon } from './icons.tsx';
import { PageText } from './page_text.tsx';
import { Failure, type Problem, problemOf, Waiting } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { documentHref } from './route.ts';

function Details({ document: row }: { document: Document }) {
  const w = useWords();
  const { language } = usePreferences();
  const name = row.language ? new Intl.DisplayNames(language, { type: 'language' }).of(row.language) : null;
  const facts: [string, string | null][] = [
    [w.reader.type, kind(row.media_type, row.filename)],
    [w.reader.file, row.filename || null],
    [w.reader.size, bytes(row.size_bytes, language)],
    [w.reader.language, name ?? null],
    [w.reader.passages, count(row.chunks, language)],
    [w.reader.added, date(row.created_at, language)],
  ];
  return <dl className="facts facts-quiet">{facts.filter(([, value]) => value).map(([label, value]) => <div key={label}><dt>{label}</dt><dd>{value}</dd></div>)}</dl>;
}

function Pager({ id, page, pages }: { id: string; page: number; pages: number }) {
  const w = useWords();
  const go = (to: number): void => { window.location.hash = documentHref(id, Math.min(pages, Math.max(1, to))); };
  return (
    <nav className="pager" aria-label={w.page(page, pages)}>
      <button type="button" className="icon-button" disabled={page <= 1} onClick={() => go(page - 1)} aria-label={w.reader.previous}><Icon name="left" /></button>
      <label><span>{w.reader.goTo}</span>
        <input
          key={page} type="text" inputMode="numeric" defaultValue={page} size={4}
          onKeyDown={(event) => { if (event.key === 'Enter') go(Number.parseInt(event.currentTarget.value, 10) || page); }}
          onBlur={(event) => { const to = Number.parseInt(event.currentTarget.value, 10); if (to && to !== page) go(to); }}
        />
        <span>/ {pages}</span>
      </label>
      <button type="button" className="icon-button" disabled={page >= pages} onClick={() => go(page + 1)} aria-label={w.reader.next}><Icon name="right" /></button>
    </nav>
  );
}

export function Reader({ me, id, page: wanted, start, end }: { me: Me; id: string; page: number; start: number; end: number }) {
  const w = useWords();
  const [row, setRow] = useState<Document | null>(null);
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  const mark = useRef<HTMLElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const readable = me.rights.includes('documents:read');

  useEffect(() => {
    let current = true;
    setRow(null);
    if (readable) getJson<Document>(`/api/v1/hub/documents/${encodeURIComponent(id)}`).then((got) => current && setRow(got), () => {});
    return () => { current = false; };
  }, [id, readable]);

  useEffect(() => {
    let current = true;
    setProblem(null);
    setPage((now) => (now?.document_id === id && now.page === wanted ? now : null));
    const load = async (): Promise<Page> => {
      const got = await getPage(id, wanted);
      // Without a page and a passage, a document that has pages opens at its first.
      return wanted === 0 && end <= start && got.pages > 0 ? getPage(id, 1) : got;
    };
    load().then((got) => current && setPage(got), (cause) => current && setProblem(problemOf(cause)));
    return () => { current = false; };
  }, [id, wanted, start, end, attempt]);

  useEffect(() => {
    if (!page) return;
    if (mark.current) mark.current.scrollIntoView({ block: 'center' });
    else window.scrollTo({ top: 0 });
    heading.current?.focus({ preventScroll: true });
  }, [page, start]);

  const range = page && end > start ? rangeOnPage(page.text, page.start_byte, start, end) : null;
  return (
    <div className="sheet-page reader">
      {end > start || !readable
        ? <a className="text-button back" href="#/ask"><Icon name="back" size={16} />{w.reader.backToAsk}</a>
        : <a className="text-button back" href="#/documents"><Icon name="back" size={16} />{w.reader.back}</a>}
      <div className="page-head">
        <h1 ref={heading} tabIndex={-1}>{page?.title ?? row?.title ?? (problem ? w.reader.gone : w.loading)}</h1>
        {page && page.pages > 0 && page.page > 0 && <Pager id={id} page={page.page} pages={page.pages} />}
      </div>
      {row && <Details document={row} />}
      {problem && <Failure problem={problem} retry={problem.status === 404 ? undefined : () => setAttempt((n) => n + 1)} />}
      {!problem && !page && <Waiting label={w.loading} lines={10} />}
      {page && (
        <div className="paper">
          {page.text.trim() === '' ? <p className="quiet">{w.reader.empty}</p> : <PageText text={page.text} range={range} markRef={mark} lang={row?.language || undefined} />}
          {page.truncated && <p className="note">{w.reader.truncated}</p>}
        </div>
      )}
      {page && page.pages > 1 && page.page > 0 && <div className="reader-foot"><Pager id={id} page={page.page} pages={page.pages} /></div>}
    </div>
  );
}
