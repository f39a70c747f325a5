// SPDX-License-Identifier: MIT
// Files on their way in, each with what is happening to it and a way out.
import type { Job } from './api.ts';
import { bytes, percent } from './format.ts';
import { Icon } from './icons.tsx';
import { jobShare } from './jobs.ts';
import { explain } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { documentHref } from './route.ts';
import { cancelUpload, dismissEnded, dismissUpload, isActive, retryUpload, type Upload, useUploads } from './uploads.ts';
import type { Words } from './words/en.ts';

function jobWords(job: Job | null, w: Words): string {
  const progress = job?.progress;
  if (!job || job.state === 'queued' || !progress?.stage) return w.uploads.queued;
  const stage = { extract: w.uploads.extract, embed: w.uploads.embed, store: w.uploads.store }[progress.stage as 'extract'] ?? progress.stage;
  const parts = [stage];
  if (progress.pages_total) parts.push(w.uploads.pagesDone(progress.pages_done ?? 0, progress.pages_total));
  if (progress.chunks_done) parts.push(w.uploads.chunksDone(progress.chunks_done));
  return parts.join(' · ');
}

function Bar({ share, label }: { share: number | null; label: string }) {
  const value = share === null ? undefined : Math.round(share * 100);
  return (
    <span className={`bar${share === null ? ' bar-unknown' : ''}`} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value}>
      <span style={share === null ? undefined : { width: `${value}%` }} />
    </span>
  );
}

export function JobProgress({ job }: { job: Job | null }) {
  const w = useWords();
  const words = jobWords(job, w);
  return <span className="job"><Bar share={job ? jobShare(job) : null} label={words} /><span className="quiet small">{words}</span></span>;
}

function problem(upload: Upload, w: Words): string {
  const { error } = upload;
  if (!error) return w.uploads.failed;
  if (error.words === 'empty') return w.uploads.empty;
  if (error.status === 413) return w.uploads.tooLarge;
  if (error.status === 415) return w.uploads.format;
  return explain(error, w).text || w.uploads.failed;
}

function Item({ upload }: { upload: Upload }) {
  const w = useWords();
  const { language } = usePreferences();
  const active = isActive(upload);
  const words = {
    waiting: w.uploads.waiting,
    sending: w.uploads.sending(percent(upload.sent, language)),
    reading: jobWords(upload.job, w),
    ready: w.uploads.ready,
    known: w.uploads.known,
    cancelled: w.uploads.cancelled,
    failed: problem(upload, w),
  }[upload.state];
  const share = upload.state === 'sending' ? upload.sent : upload.state === 'reading' && upload.job ? jobShare(upload.job) : null;
  const done = upload.state === 'ready' || upload.state === 'known';
  return (
    <li className={`upload upload-${upload.state}`}>
      <span className="upload-icon" aria-hidden="true"><Icon name={done ? 'check' : active ? 'upload' : upload.state === 'failed' ? 'warn' : 'none'} size={18} /></span>
      <div className="upload-main">
        <span className="upload-name">{upload.name} <span className="quiet small">{bytes(upload.size, language)}</span></span>
        {active && <Bar share={upload.state === 'waiting' ? 0 : share} label={`${upload.name}: ${words}`} />}
        <span className="upload-words small">{words}{active && upload.error ? ` · ${upload.error.words}` : ''}</span>
      </div>
      <span className="upload-actions">
        {done && upload.documentId && <a className="text-button" href={documentHref(upload.documentId)}>{w.uploads.open}</a>}
        {(upload.state === 'cancelled' || (upload.state === 'failed' && upload.error?.words !== 'empty')) && (
          <button type="button" className="icon-button" onClick={() => retryUpload(upload.key)} aria-label={w.uploads.retry(upload.name)}><Icon name="retry" size={18} /></button>
        )}
        {active
          ? <button type="button" className="icon-button" onClick={() => void cancelUpload(upload.key)} aria-label={w.uploads.cancel(upload.name)}><Icon name="close" size={18} /></button>
          : <button type="button" className="icon-button" onClick={() => dismissUpload(upload.key)} aria-label={w.uploads.dismiss(upload.name)}><Icon name="close" size={18} /></button>}
      </span>
    </li>
  );
}

export function UploadTray() {
  const w = useWords();
  const uploads = useUploads();
  const ended = uploads.filter((one) => !isActive(one));
  const latest = ended[ended.length - 1];
  const announced = latest ? `${latest.name}: ${latest.state === 'failed' ? problem(latest, w) : { ready: w.uploads.ready, known: w.uploads.known, cancelled: w.uploads.cancelled }[latest.state as 'ready']}` : '';
  return (
    <>
      <p className="visually-hidden" role="status">{announced}</p>
      {uploads.length > 0 && (
        <section className="tray" aria-labelledby="uploads">
          <div className="tray-head">
            <h2 id="uploads" className="eyebrow">{w.uploads.title}</h2>
            {ended.length > 0 && <button type="button" className="text-button" onClick={dismissEnded}>{w.uploads.clear}</button>}
          </div>
          <ul>{uploads.map((upload) => <Item key={upload.key} upload={upload} />)}</ul>
        </section>
      )}
    </>
  );
}
