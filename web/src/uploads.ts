// SPDX-License-Identifier: MIT
// Files on their way into the material: sent two at a time, then followed until their passages can be found.
// XMLHttpRequest because fetch does not tell how much of a body has been sent.
import { type Accepted, ApiError, authorization, errorFrom, type Job } from './api.ts';
import { cancelJob, followJob } from './jobs.ts';
import { onLeave } from './session.ts';
import { createStore, useStore } from './store.ts';

export interface Upload {
  key: string;
  name: string;
  size: number;
  state: 'waiting' | 'sending' | 'reading' | 'ready' | 'known' | 'failed' | 'cancelled';
  sent: number;
  job: Job | null;
  jobId: string | null;
  documentId: string | null;
  error: { status: number; words: string } | null;
}

const SENDING_AT_ONCE = 2;
const uploads = createStore<Upload[]>([]);
export const useUploads = (): Upload[] => useStore(uploads);

interface Work { file: File; abort: AbortController }
const work = new Map<string, Work>();
let serial = 0;
let changed: (() => void)[] = [];
/** Called when the list of documents may have changed. */
export function onDocuments(listener: () => void): () => void {
  changed.push(listener);
  return () => {
    changed = changed.filter((other) => other !== listener);
  };
}
const announce = (): void => {
  for (const listener of changed) listener();
};

function update(key: string, next: Partial<Upload>): void {
  uploads.set((now) => now.map((one) => (one.key === key ? { ...one, ...next } : one)));
}

export function addFiles(files: Iterable<File>): void {
  const added: Upload[] = [];
  for (const file of files) {
    const key = `upload-${++serial}`;
    work.set(key, { file, abort: new AbortController() });
    const empty = file.size === 0;
    added.push({
      key, name: file.name, size: file.size, state: empty ? 'failed' : 'waiting', sent: 0, job: null, jobId: null, documentId: null,
      error: empty ? { status: 400, words: 'empty' } : null,
    });
  }
  uploads.set((now) => [...now, ...added]);
  next();
}

function next(): void {
  for (;;) {
    const all = uploads.get();
    if (all.filter((one) => one.state === 'sending').length >= SENDING_AT_ONCE) return;
    const waiting = all.find((one) => one.state === 'waiting');
    if (!waiting) return;
    update(waiting.key, { state: 'sending', sent: 0, error: null });
    void run(waiting.key);
  }
}

function send(file: File, signal: AbortSignal, progress: (sent: number) => void): Promise<Accepted> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open('POST', '/api/v1/hub/documents');
    for (const [name, value] of Object.entries(authorization())) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => progress(event.total > 0 ? event.loaded / event.total : 0);
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) {
        try {
          resolve(JSON.parse(xhr.responseText) as Accepted);
        } catch {
          reject(new ApiError(xhr.status, 'The reply could not be read.', 'unknown', null));
        }
      } else reject(errorFrom(xhr.status, xhr.responseText, xhr.getResponseHeader('x-request-id')));
    };
    xhr.onerror = () => reject(new ApiError(0, 'The connection was lost.', 'network', null));
    xhr.onabort = () => reject(new DOMException('stopped', 'AbortError'));
    signal.addEventListener('abort', () => xhr.abort(), { once: true });
    const form = new FormData();
    form.append('file', file, file.name);
    xhr.send(form);
  });
}

async function run(key: string): Promise<void> {
  const mine = work.get(key);
  if (!mine) return;
  const { file, abort } = mine;
  try {
    const { documents } = await send(file, abort.signal, (share) => update(key, { sent: share }));
    const accepted = documents[0];
    if (!accepted) throw new ApiError(0, 'The reply names no document.', 'unknown', null);
    if (accepted.known || !accepted.job_id) {
      update(key, { state: 'known', sent: 1, documentId: accepted.document_id });
      return;
    }
    update(key, { state: 'reading', sent: 1, documentId: accepted.document_id, jobId: accepted.job_id });
    next();
    announce();
    const job = await followJob(accepted.job_id, (seen) => update(key, { job: seen }), abort.signal);
    update(key, {
      job,
      state: job.state === 'done' ? 'ready' : job.state === 'cancelled' ? 'cancelled' : 'failed',
      error: job.state === 'failed' ? { status: 422, words: job.error ?? '' } : null,
    });
  } catch (cause) {
    if (abort.signal.aborted) update(key, { state: 'cancelled' });
    else {
      const error = cause instanceof ApiError ? cause : new ApiError(0, String(cause), 'unknown', null);
      update(key, { state: 'failed', error: { status: error.status, words: error.message } });
    }
  } finally {
    next();
    announce();
  }
}

export async function cancelUpload(key: string): Promise<void> {
  const upload = uploads.get().find((one) => one.key === key);
  if (!upload) return;
  if (upload.state === 'waiting') update(key, { state: 'cancelled' });
  else if (upload.state === 'sending') work.get(key)?.abort.abort();
  else if (upload.state === 'reading' && upload.jobId) {
    try {
      await cancelJob(upload.jobId); // its last event says how it ended
    } catch (cause) {
      if (cause instanceof ApiError) update(key, { error: { status: cause.status, words: cause.message } });
    }
  }
}

export function retryUpload(key: string): void {
  const before = work.get(key);
  if (!before) return;
  work.set(key, { file: before.file, abort: new AbortController() });
  update(key, { state: 'waiting', sent: 0, error: null, job: null, jobId: null, documentId: null });
  next();
}

export function dismissUpload(key: string): void {
  work.delete(key);
  uploads.set((now) => now.filter((one) => one.key !== key));
}

export function dismissEnded(): void {
  for (const one of uploads.get()) if (!isActive(one)) work.delete(one.key);
  uploads.set((now) => now.filter(isActive));
}

export const isActive = (one: Upload): boolean => one.state === 'waiting' || one.state === 'sending' || one.state === 'reading';

onLeave(() => {
  for (const { abort } of work.values()) abort.abort();
  work.clear();
  uploads.set([]);
});
