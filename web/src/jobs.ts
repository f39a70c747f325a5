// SPDX-License-Identifier: MIT
// Follows ingest jobs. A browser opens six connections to a host at most, so only a few jobs are followed by events and the
// others by asking now and then; a lost event stream falls back to asking.
import { ApiError, getJson, type Job, request } from './api.ts';
import { serverEvents } from './sse.ts';

const STREAMS = 3;
const ASK_EVERY_MS = 1200;
const GIVE_UP_AFTER = 8;
let streams = 0;

export const ended = (job: Job): boolean => job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';

async function byEvents(id: string, seen: (job: Job) => void, signal: AbortSignal): Promise<Job | null> {
  const reply = await request(`/api/v1/jobs/${encodeURIComponent(id)}/events`, { headers: { Accept: 'text/event-stream' }, signal });
  if (!reply.body) return null;
  for await (const { event, data } of serverEvents(reply.body)) {
    if (event !== 'progress' && event !== 'done') continue;
    const job = JSON.parse(data) as Job;
    seen(job);
    if (event === 'done' || ended(job)) return job;
  }
  return null;
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });

/** Resolves with the job when it has ended; rejects when it is unknown, or out of reach for long. */
export async function followJob(id: string, seen: (job: Job) => void, signal: AbortSignal): Promise<Job> {
  let failures = 0;
  for (;;) {
    try {
      if (streams < STREAMS && failures === 0) {
        streams++;
        try {
          const job = await byEvents(id, seen, signal);
          if (job) return job;
        } finally {
          streams--;
        }
      }
      const job = await getJson<Job>(`/api/v1/jobs/${encodeURIComponent(id)}`, { signal });
      seen(job);
      if (ended(job)) return job;
      failures = 0;
    } catch (cause) {
      if (signal.aborted) throw cause;
      if (cause instanceof ApiError && (cause.status === 404 || cause.status === 401 || cause.status === 403)) throw cause;
      if (++failures > GIVE_UP_AFTER) throw cause;
    }
    await pause(ASK_EVERY_MS, signal);
  }
}

/** Cancelling what has already ended is not an error for the person who clicked a moment too late. */
export async function cancelJob(id: string): Promise<void> {
  try {
    await request(`/api/v1/jobs/${encodeURIComponent(id)}`, { method: 'DELETE' });
  } catch (cause) {
    if (!(cause instanceof ApiError && (cause.status === 409 || cause.status === 404))) throw cause;
  }
}

/** How far a job is, 0..1; null while that cannot be known. */
export function jobShare(job: Job): number | null {
  const progress = job.progress;
  if (!progress) return null;
  if (progress.pages_total && progress.pages_total > 0) return Math.min(1, (progress.pages_done ?? 0) / progress.pages_total);
  if (progress.bytes_total && progress.bytes_total > 0) return Math.min(1, (progress.bytes_done ?? 0) / progress.bytes_total);
  return null;
}
