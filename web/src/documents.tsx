// SPDX-License-Identifier: MIT
// The material: what is in it, what is on its way in, and taking something out.
import { type DragEvent, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { type Document, forgetPages, getJson, type Job, type Me, request } from './api.ts';
import { bytes, count, date, kind } from './format.ts';
import { Icon } from './icons.tsx';
import { cancelJob, followJob } from './jobs.ts';
import { Dialog, Failure, type Problem, problemOf, Waiting } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { documentHref } from './route.ts';
import { JobProgress, UploadTray } from './upload_tray.tsx';
import { addFiles, onDocuments, useUploads } from './uploads.ts';

const BATCH = 100;
const MOST = 2000;
const SHOWN = 60;

async function loadAll(signal: AbortSignal): Promise<{ documents: Document[]; total: number }> {
  const documents: Document[] = [];
  let total = 0;
  do {
    const part = await getJson<{ documents: Document[]; total: number }>(`/api/v1/hub/documents?offset=${documents.length}&limit=${BATCH}`, { signal });
    if (part.documents.length === 0) break;
    documents.push(...part.documents);
    total = part.total;
  } while (documents.length < total && documents.length < MOST);
  return { documents, total };
}

function Queued({ row, cancellable, onEnd }: { row: Document; cancellable: boolean; onEnd: () => void }) {
  const w = useWords();
  const [job, setJob] = useState<Job | null>(null);
  const jobId = row.job_id;
  useEffect(() => {
    if (!jobId) return;
    const abort = new AbortController();
    followJob(jobId, setJob, abort.signal).then(onEnd, () => {});
    return () => abort.abort();
  }, [jobId, onEnd]);
  return (
    <div className="row-job">
      <JobProgress job={job} />
      {cancellable && jobId && <button type="button" className="icon-button" aria-label={w.documents.stopReading(row.title)} onClick={() => void cancelJob(jobId).then(onEnd, onEnd)}><Icon name="close" size={16} /></button>}
    </div>
  );
}

function Row({ row, followed, writable, onRemove, onChange }: {
  row: Document; followed: boolean; writable: boolean; onRemove: (row: Document) => void; onChange: () => void;
}) {
  const w = useWords();
  const { language } = usePreferences();
  const format = kind(row.media_type, row.filename);
  const facts = [
    row.filename && row.filename !== row.title ? row.filename : null,
    bytes(row.size_bytes, language),
    row.pages > 0 ? w.documents.pages(row.pages) : null,
    row.state === 'ready' ? w.documents.passages(row.chunks) : null,
    row.version > 1 ? w.documents.version(row.version) : null,
  ].filter(Boolean);
  return (
    <li className={`row row-${row.state}`}>
      <span className={`badge badge-${format.toLowerCase()}`} aria-hidden="true">{format}</span>
      <div className="row-main">
        {row.state === 'ready' ? <a className="row-title" href={documentHref(row.id)}>{row.title}</a> : <span className="row-title">{row.title}</span>}
        <span className="row-facts quiet small"><span className="visually-hidden">{format}, </span>{facts.map((fact) => <span key={fact}>{fact}</span>)}</span>
        {row.state === 'failed' && row.error && <span className="row-error small">{row.error}</span>}
        {row.state === 'queued' && !followed && <Queued row={row} cancellable={writable} onEnd={onChange} />}
      </div>
      <span className="row-date quiet small"><time dateTime={row.created_at}>{date(row.created_at, language)}</time></span>
      <span className={`pill ${row.state === 'ready' ? 'pill-good' : row.state === 'failed' ? 'pill-bad' : 'pill-busy'}`}>{w.documents.states[row.state]}</span>
      {writable && <button type="button" className="icon-button row-remove" aria-label={w.documents.remove(row.title)} onClick={() => onRemove(row)}><Icon name="trash" size={18} /></button>}
    </li>
  );
}

function RemoveDialog({ row, onClose, onRemoved }: { row: Document; onClose: () => void; onRemoved: () => void }) {
  const w = useWords();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const remove = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      await request(`/api/v1/hub/documents/${encodeURIComponent(row.id)}`, { method: 'DELETE' });
      forgetPages(row.id);
      onRemoved();
    } catch (cause) {
      setProblem(problemOf(cause));
      setBusy(false);
    }
  };
  return (
    <Dialog title={w.documents.removeTitle} className="confirm" onClose={onClose}>
      <p>{w.documents.removeLead(row.title)}</p>
      {problem && <Failure problem={problem} />}
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose} data-first>{w.cancel}</button>
        <button type="button" className="button button-bad" onClick={() => void remove()} disabled={busy}>{busy ? w.documents.removing : w.documents.removeYes}</button>
      </div>
    </Dialog>
  );
}

const folded = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

type Order = 'newest' | 'title' | 'size';
const orders: Record<Order, (a: Document, b: Document) => number> = {
  newest: (a, b) => b.created_at.localeCompare(a.created_at),
  title: (a, b) => a.title.localeCompare(b.title),
  size: (a, b) => b.size_bytes - a.size_bytes,
};

function useDrop(enabled: boolean): { over: boolean; handlers: object } {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  if (!enabled) return { over: false, handlers: {} };
  const carries = (event: DragEvent): boolean => event.dataTransfer.types.includes('Files');
  return {
    over,
    handlers: {
      onDragEnter: (event: DragEvent) => { if (carries(event)) { event.preventDefault(); depth.current++; setOver(true); } },
      onDragOver: (event: DragEvent) => { if (carries(event)) event.preventDefault(); },
      onDragLeave: (event: DragEvent) => { if (carries(event) && --depth.current <= 0) { depth.current = 0; setOver(false); } },
      onDrop: (event: DragEvent) => {
        if (!carries(event)) return;
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        addFiles(event.dataTransfer.files);
      },
    },
  };
}

export function Documents({ me }: { me: Me }) {
  const w = useWords();
  const { language } = usePreferences();
  const readable = me.rights.includes('documents:read');
  const writable = me.rights.includes('documents:write');
  const [list, setList] = useState<{ documents: Document[]; total: number } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [removing, setRemoving] = useState<Document | null>(null);
  const [said, setSaid] = useState('');
  const [filter, setFilter] = useState('');
  const [order, setOrder] = useState<Order>('newest');
  const [most, setMost] = useState(SHOWN);
  const [serial, setSerial] = useState(0);
  const uploads = useUploads();
  const wanted = useDeferredValue(filter);
  const chooser = useRef<HTMLInputElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const drop = useDrop(writable);
  const reload = useCallback(() => setSerial((n) => n + 1), []);

  useEffect(() => onDocuments(reload), [reload]);
  useEffect(() => {
    if (!readable) return;
    const abort = new AbortController();
    loadAll(abort.signal).then(
      (got) => { setList(got); setProblem(null); },
      (cause) => { if (!abort.signal.aborted) setProblem(problemOf(cause)); },
    );
    return () => abort.abort();
  }, [readable, serial]);

  const rows = useMemo(() => {
    const text = folded(wanted.trim());
    return (list?.documents ?? []).filter((one) => text === '' || folded(`${one.title} ${one.filename}`).includes(text)).sort(orders[order]);
  }, [list, wanted, order]);
  const followed = new Set(uploads.filter((one) => one.state === 'reading').map((one) => one.documentId));

  if (!readable) {
    return (
      <div className="sheet-page">
        <h1>{w.documents.title}</h1>
        <div className="empty"><span className="empty-icon"><Icon name="lock" size={28} /></span><h2>{w.documents.locked}</h2><p>{w.documents.lockedLead}</p></div>
      </div>
    );
  }
  const choose = (): void => chooser.current?.click();
  return (
    <div className={`sheet-page documents${drop.over ? ' dropping' : ''}`} {...drop.handlers}>
      <div className="page-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>{w.documents.title}</h1>
          <p className="lead">{w.documents.lead}</p>
          {writable && <p className="formats quiet small">{w.documents.formats}</p>}
        </div>
        {writable && (
          <>
            <button type="button" className="button button-main" onClick={choose}><Icon name="plus" size={18} />{w.documents.add}</button>
            <input
              ref={chooser} type="file" multiple hidden aria-label={w.documents.add}
              accept=".txt,.md,.markdown,.html,.htm,.pdf,.docx,.jsonl,text/plain,text/markdown,text/html,application/pdf,application/vnd.openxmlformats-officedocument.wordprocessingml.document"
              onChange={(event) => { addFiles(event.target.files ?? []); event.target.value = ''; }}
            />
          </>
        )}
      </div>
      {drop.over && <div className="drop-now" aria-hidden="true"><Icon name="upload" size={30} /><span>{w.documents.dropNow}</span></div>}
      {writable && (
        <button type="button" className="drop" onClick={choose}>
          <Icon name="upload" size={22} /><span><strong>{w.documents.drop}</strong><span className="quiet small">{w.documents.formats}</span></span>
        </button>
      )}
      <UploadTray />
      {problem && <Failure problem={problem} retry={reload} />}
      {!problem && !list && <Waiting label={w.loading} lines={5} />}
      {list && list.documents.length === 0 && (
        <div className="empty"><span className="empty-icon"><Icon name="documents" size={28} /></span><h2>{w.documents.empty}</h2><p>{w.documents.emptyLead}</p></div>
      )}
      {list && list.documents.length > 0 && (
        <>
          <div className="tools">
            <label className="search"><Icon name="search" size={18} /><span className="visually-hidden">{w.documents.search}</span>
              <input type="search" value={filter} placeholder={w.documents.search} onChange={(event) => { setFilter(event.target.value); setMost(SHOWN); }} />
            </label>
            <label className="sort"><span className="quiet small">{w.documents.sort}</span>
              <select value={order} onChange={(event) => setOrder(event.target.value as Order)}>
                <option value="newest">{w.documents.newest}</option>
                <option value="title">{w.documents.byTitle}</option>
                <option value="size">{w.documents.bySize}</option>
              </select>
            </label>
            <p className="quiet small tools-count" role="status">{w.documents.count(rows.length, Math.max(list.total, list.documents.length))}</p>
          </div>
          {rows.length === 0 ? (
            <div className="empty empty-small"><p>{w.documents.noMatch(wanted)}</p><button type="button" className="button" onClick={() => setFilter('')}>{w.documents.clear}</button></div>
          ) : (
            <ul className="rows">
              {rows.slice(0, most).map((row) => (
                <Row key={row.id} row={row} followed={followed.has(row.id)} writable={writable} onRemove={setRemoving} onChange={reload} />
              ))}
            </ul>
          )}
          {rows.length > most && <button type="button" className="button more" onClick={() => setMost((n) => n + SHOWN * 2)}>{w.documents.more} <span className="quiet">({count(rows.length - most, language)})</span></button>}
        </>
      )}
      <p className="visually-hidden" role="status">{said}</p>
      {removing && (
        <RemoveDialog
          row={removing} onClose={() => setRemoving(null)}
          onRemoved={() => { setSaid(w.documents.removed(removing.title)); setRemoving(null); reload(); setTimeout(() => heading.current?.focus(), 0); }}
        />
      )}
    </div>
  );
}
