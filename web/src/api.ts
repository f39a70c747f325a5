// SPDX-License-Identifier: MIT
// The server's contract as types, and the one door to it. Every failure becomes an ApiError with the server's own words.

export interface Coach { id: string; name: string; description?: string; language?: string; questions?: Record<string, string[]> }
export interface Me {
  creator_id: string; user_id: string | null; role: string; rights: Right[];
  coach: Coach | null; demo: boolean; version: string;
}
export type Right =
  | 'ask' | 'documents:read' | 'documents:write' | 'settings:write' | 'users:act_as' | 'self' | 'users:write' | 'members:write' | 'keys:write'
  | 'audit:read' | 'privacy:write' | 'limits:write' | 'creator:own';
/** Who is signed in, beyond what they may do here: an account, or a person being coached. */
export interface Account { id: string; email: string; email_verified: boolean; full_name: string; totp: boolean; created_at: string }
export interface Creator { creator_id: string; name: string; role: string }
export interface Who extends Partial<Account> {
  creators?: Creator[]; creator_id: string | null; role: string; rights: Right[]; session_id?: string | null;
  user?: { id: string; kind: string; email: string | null; name: string };
}
export interface SignedIn {
  access_token: string; refresh_token?: string; token_type: 'bearer'; expires_in: number; refresh_expires_in: number; session_id: string;
  account?: Account; creator_id: string | null; user_id?: string | null; role: string; creators?: Creator[];
}
export interface Providers { password: boolean; signup: boolean; mail: boolean; anonymous: boolean; oidc: { id: string; name: string }[] }
export interface Citation {
  number: number; document_id: string; title: string; heading?: string | null; chunk_id?: string; page: number;
  start_byte: number; end_byte: number; text: string; score: number; answer_start?: number; answer_end?: number;
}
export interface Degrade { stage: string; to: string; why: string }
export interface Turn {
  id: string; conversation_id: string; answer: string; language: string; covered: boolean; step: string; confidence: number;
  citations: Citation[]; provider: string; model: string; strategy?: string;
  usage?: { prompt_tokens: number; completion_tokens: number };
  fell_back: boolean; fell_back_why?: string | null; degraded?: Degrade[]; dropped: number; took_ms: number;
}
export interface TurnRow { id: string; question: string; covered: boolean; created_at: string; took_ms: number; confidence: number }
export interface TracePassage {
  rank: number; document_id: string; title: string; heading?: string | null; page: number; text?: string; score: number;
  score_cos: number | null; score_bm25: number | null; rank_semantic: number | null; rank_keyword: number | null;
  used: boolean; why?: string | null; start_byte?: number; end_byte?: number;
}
export interface Trace {
  id: string; created_at: string; question: string; answer: string; covered: boolean; step: string; confidence: number;
  language: string; provider: string; model: string; prompt_version?: string;
  usage?: { prompt_tokens: number; completion_tokens: number }; fell_back: boolean; fell_back_why?: string | null; degraded?: Degrade[];
  took_ms?: number; dropped?: number;
  stages: { name: string; start_ms: number; took_ms: number }[];
  search?: { strategy: string; model: string | null; candidates: number; cached: boolean };
  passages: TracePassage[];
  sentences: { text: string; passage: number | null; support: number; kept: boolean; why?: string | null }[];
  citations: Citation[];
}
export type DocumentState = 'queued' | 'ready' | 'failed';
export interface Document {
  id: string; title: string; filename: string; media_type: string; language: string; state: DocumentState; job_id: string | null;
  error: string | null; size_bytes: number; text_bytes: number; pages: number; chunks: number; version: number;
  created_at: string; updated_at: string;
}
export interface Page {
  document_id: string; title: string; page: number; pages: number; start_byte: number; text: string; truncated?: boolean;
}
export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
export interface Job {
  id: string; kind: string; state: JobState; document_id: string | null; error: string | null; code?: string | null;
  progress?: {
    stage?: 'extract' | 'embed' | 'store' | string; bytes_done?: number; bytes_total?: number; pages_done?: number;
    pages_total?: number; chunks_done?: number;
  } | null;
}
export interface Accepted { documents: { document_id: string; job_id: string | null; known: boolean; filename: string }[] }

export class ApiError extends Error {
  status: number;
  code: string;
  requestId: string | null;
  /** Path of the wrong member of the body, when the server names one. */
  field: string | null = null;
  /** How long the server asks to wait. */
  retryAfter: number | null = null;
  constructor(status: number, words: string, code: string, requestId: string | null) {
    super(words);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

let token: string | null = null;
let onExpired: () => void = () => {};
let renew: (() => Promise<boolean>) | null = null;

/** renewal: gets another token when one has ended; false when there is none to be had. */
export function useToken(value: string | null, expired: () => void, renewal: (() => Promise<boolean>) | null = null): void {
  token = value;
  onExpired = expired;
  renew = renewal;
}

export function authorization(): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export function errorFrom(status: number, body: string, requestId: string | null): ApiError {
  try {
    const parsed = JSON.parse(body) as { error?: string | { message?: string }; code?: string; request_id?: string; details?: { field?: string } };
    const words = typeof parsed.error === 'string' ? parsed.error : parsed.error?.message;
    const error = new ApiError(status, words ?? `HTTP ${status}`, parsed.code ?? 'unknown', parsed.request_id ?? requestId);
    error.field = parsed.details?.field ?? null;
    return error;
  } catch {
    return new ApiError(status, `HTTP ${status}`, 'unknown', requestId);
  }
}

const statusOfCode: Record<string, number> = {
  bad_request: 400, unauthenticated: 401, forbidden: 403, not_found: 404, conflict: 409, too_large: 413, unsupported_type: 415, invalid: 422,
  rate_limited: 429, busy: 503, timeout: 504,
};

/** A stream has sent its 200 before it failed: the code says what the status would have been. */
export function errorInStream(data: string, requestId: string | null): ApiError {
  const error = errorFrom(500, data, requestId);
  return new ApiError(statusOfCode[error.code] ?? 500, error.message, error.code, error.requestId);
}

/** fetch with the credential; anything but 2xx throws. A lost connection is an ApiError of status 0. */
export async function request(path: string, init: RequestInit & { anonymous?: boolean } = {}): Promise<Response> {
  const { anonymous, ...rest } = init;
  const sent = anonymous ? null : token;
  const attempt = async (): Promise<Response> => {
    try {
      return await fetch(path, { ...rest, headers: { ...(anonymous ? {} : authorization()), ...rest.headers }, cache: 'no-store' });
    } catch (cause) {
      if ((cause as Error).name === 'AbortError') throw cause;
      throw new ApiError(0, 'The server cannot be reached.', 'network', null);
    }
  };
  let reply = await attempt();
  // A token that ended while the page slept: another one, once.
  if (reply.status === 401 && sent && (sent !== token || (renew && (await renew())))) reply = await attempt();
  if (reply.ok) return reply;
  const error = errorFrom(reply.status, await reply.text().catch(() => ''), reply.headers.get('x-request-id'));
  error.retryAfter = Number(reply.headers.get('retry-after')) || null;
  // A reply to an older token says nothing about the present one.
  if (reply.status === 401 && sent && sent === token && error.code !== 'totp_required') onExpired();
  throw error;
}

export async function getJson<T>(path: string, init: RequestInit & { anonymous?: boolean } = {}): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

export function postJson<T>(path: string, body: unknown, init: RequestInit & { anonymous?: boolean } = {}): Promise<T> {
  return getJson<T>(path, { ...init, method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

export function sendJson<T>(method: 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) Object.assign(init, { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  return request(path, init).then((reply) => (reply.status === 204 ? (undefined as T) : (reply.json() as Promise<T>)));
}

const pages = new Map<string, Promise<Page>>();
const PAGES_KEPT = 24;

/** A page's text; the last few stay at hand, because citations of one answer tend to lie together. */
export function getPage(documentId: string, page: number): Promise<Page> {
  const key = `${documentId}/${page}`;
  const known = pages.get(key);
  if (known) return known;
  const loading = getJson<Page>(`/api/v1/hub/documents/${encodeURIComponent(documentId)}/pages/${page}`);
  pages.set(key, loading);
  loading.catch(() => pages.delete(key));
  if (pages.size > PAGES_KEPT) pages.delete(pages.keys().next().value as string);
  return loading;
}

export function forgetPages(documentId?: string): void {
  for (const key of [...pages.keys()]) if (!documentId || key.startsWith(`${documentId}/`)) pages.delete(key);
}
