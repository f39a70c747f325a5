// SPDX-License-Identifier: MIT
// The cited passage beside the answer: a column where there is room, a sheet where there is not.
import { useEffect, useRef, useState } from 'react';
import { type Citation, getPage, type Page } from './api.ts';
import { rangeOnPage } from './bytes.ts';
import { percent, section } from './format.ts';
import { Icon } from './icons.tsx';
import { excerpt, PageText } from './page_text.tsx';
import { Dialog, Failure, type Problem, problemOf, useMedia, Waiting } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { documentHref } from './route.ts';
import { createStore, useStore } from './store.ts';

export interface Evidence { from: string; citations: Citation[]; at: number }
const evidence = createStore<Evidence | null>(null);
export const useEvidence = (): Evidence | null => useStore(evidence);

let opener: HTMLElement | null = null;

export function openEvidence(next: Evidence): void {
  opener = document.activeElement instanceof HTMLElement ? document.activeElement : null;
  evidence.set(next);
}

export function closeEvidence(): void {
  evidence.set(null);
  const back = opener;
  opener = null;
  setTimeout(() => back?.focus(), 0); // the page behind a sheet is inert until it is gone
}

export function forgetEvidence(): void {
  opener = null;
  evidence.set(null);
}

function Passage({ citation }: { citation: Citation }) {
  const w = useWords();
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const mark = useRef<HTMLElement>(null);
  const { document_id: id, page: number, start_byte: start, end_byte: end } = citation;
  useEffect(() => {
    let wanted = true;
    setPage(null);
    setProblem(null);
    getPage(id, number).then((got) => wanted && setPage(got), (cause) => wanted && setProblem(problemOf(cause)));
    return () => { wanted = false; };
  }, [id, number]);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: 'center' });
  }, [page, start]);

  if (problem) {
    return (
      <>
        <Failure problem={problem} />
        <p className="quiet small">{w.evidence.gone}</p>
        <blockquote className="page-text"><mark>{citation.text}</mark></blockquote>
      </>
    );
  }
  if (!page) return <Waiting label={w.loading} lines={7} />;
  const range = rangeOnPage(page.text, page.start_byte, start, end);
  if (!range) {
    return (
      <>
        <p className="quiet small">{w.evidence.unlocated}</p>
        <blockquote className="page-text"><mark>{citation.text}</mark></blockquote>
      </>
    );
  }
  const part = excerpt(page.text, range);
  return (
    <>
      {part.cutBefore && <p className="cut" aria-hidden="true">⋯</p>}
      <PageText text={part.text} range={part.range} markRef={mark} />
      {part.cutAfter && <p className="cut" aria-hidden="true">⋯</p>}
    </>
  );
}

function Body({ now }: { now: Evidence }) {
  const w = useWords();
  const { language } = usePreferences();
  const citation = now.citations[now.at];
  if (!citation) return null;
  const go = (by: number): void => evidence.set({ ...now, at: (now.at + by + now.citations.length) % now.citations.length });
  return (
    <>
      <div className="evidence-head">
        <p className="eyebrow">{w.evidence.of(now.at + 1, now.citations.length)}</p>
        <div className="evidence-steps">
          <button type="button" className="icon-button" onClick={() => go(-1)} disabled={now.citations.length < 2} aria-label={w.evidence.previous}><Icon name="left" /></button>
          <button type="button" className="icon-button" onClick={() => go(1)} disabled={now.citations.length < 2} aria-label={w.evidence.next}><Icon name="right" /></button>
          <button type="button" className="icon-button" onClick={closeEvidence} aria-label={w.close}><Icon name="close" /></button>
        </div>
      </div>
      <div className="evidence-title" aria-live="polite">
        <span className="chip chip-still">{citation.number}</span>
        <div>
          <h2 tabIndex={-1}>{citation.title}</h2>
          <p className="quiet small">
            {section(citation.heading, citation.title) && <span>{section(citation.heading, citation.title)}</span>}
            {citation.page > 0 && <span>{w.page(citation.page, 0)}</span>}
            <span>{w.evidence.match(percent(citation.score, language))}</span>
          </p>
        </div>
      </div>
      <div className="evidence-page" tabIndex={0} role="region" aria-label={w.evidence.cited}>
        <Passage key={`${citation.document_id}/${citation.start_byte}`} citation={citation} />
      </div>
      <a className="button evidence-open" href={documentHref(citation.document_id, citation.page, citation.start_byte, citation.end_byte)}>
        <Icon name="open" size={16} />{w.evidence.open}
      </a>
    </>
  );
}

export function EvidencePanel() {
  const w = useWords();
  const now = useEvidence();
  const beside = useMedia('(min-width: 1180px)');
  const ref = useRef<HTMLElement>(null);
  const open = now !== null;
  useEffect(() => {
    if (open && beside) ref.current?.querySelector<HTMLElement>('h2')?.focus({ preventScroll: true });
  }, [open, beside]);
  if (!now) return null;
  if (!beside) {
    return (
      <Dialog title={w.evidence.title} bare className="sheet" onClose={closeEvidence}>
        <Body now={now} />
      </Dialog>
    );
  }
  return (
    <aside
      ref={ref} className="evidence" aria-label={w.evidence.title}
      onKeyDown={(event) => { if (event.key === 'Escape') closeEvidence(); }}
    >
      <Body now={now} />
    </aside>
  );
}
