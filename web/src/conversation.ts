// SPDX-License-Identifier: MIT
// The exchanges of this tab. An answer is written sentence by sentence as the server has checked it; nothing is shown
// that a later event takes back, except that the finished turn replaces what was streamed.
import { ApiError, type Citation, errorInStream, request, type Turn } from './api.ts';
import { onLeave } from './session.ts';
import { serverEvents } from './sse.ts';
import { createStore, kept, storage, useStore } from './store.ts';

export interface Exchange {
  key: string;
  question: string;
  state: 'streaming' | 'done' | 'stopped' | 'failed';
  answer: string;
  citations: Citation[];
  turn: Turn | null;
  error: { status: number; words: string; requestId: string | null } | null;
}
export interface Conversation { id: string | null; exchanges: Exchange[] }

const KEY = 'chiron.conversation';
const KEPT = 30;
const conversation = createStore<Conversation>(restore());
export const useConversation = (): Conversation => useStore(conversation);

let running: AbortController | null = null;
let finished: (() => void)[] = [];
/** Called after every turn that the server has kept. */
export function onTurn(listener: () => void): () => void {
  finished.push(listener);
  return () => {
    finished = finished.filter((other) => other !== listener);
  };
}

function restore(): Conversation {
  try {
    const saved = JSON.parse(kept.get(KEY, storage('sessionStorage')) ?? 'null') as Conversation | null;
    if (saved && Array.isArray(saved.exchanges)) {
      return { id: saved.id, exchanges: saved.exchanges.map((one) => (one.state === 'streaming' ? { ...one, state: 'stopped' } : one)) };
    }
  } catch {
    /* a conversation that cannot be read is a new one */
  }
  return { id: null, exchanges: [] };
}

function save(): void {
  const { id, exchanges } = conversation.get();
  kept.set(KEY, exchanges.length > 0 ? JSON.stringify({ id, exchanges: exchanges.slice(-KEPT) }) : null, storage('sessionStorage'));
}

function change(key: string, next: (now: Exchange) => Partial<Exchange>): void {
  conversation.set((now) => ({
    ...now,
    exchanges: now.exchanges.map((one) => (one.key === key ? { ...one, ...next(one) } : one)),
  }));
}

export function newConversation(): void {
  stop();
  conversation.set({ id: null, exchanges: [] });
  save();
}
onLeave(newConversation);

export function stop(): void {
  running?.abort();
  running = null;
}

function joined(answer: string, sentence: string): string {
  if (answer === '' || /\s$/.test(answer) || /^\s/.test(sentence)) return answer + sentence;
  return `${answer} ${sentence}`;
}

/** A citation that comes again has grown: neighbouring sentences share one. */
function append(now: Exchange, text: string, citations: Citation[]): Partial<Exchange> {
  const again = new Set(citations.map((one) => one.number));
  return { answer: joined(now.answer, text), citations: [...now.citations.filter((one) => !again.has(one.number)), ...citations] };
}

export async function ask(question: string): Promise<void> {
  if (running) return;
  const abort = new AbortController();
  running = abort;
  const key = `${Date.now()}-${conversation.get().exchanges.length}`;
  conversation.set((now) => ({
    ...now,
    exchanges: [...now.exchanges, { key, question, state: 'streaming', answer: '', citations: [], turn: null, error: null }],
  }));
  try {
    const reply = await request('/api/v1/coaching/ask', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' },
      body: JSON.stringify({ question, stream: true, ...(conversation.get().id ? { conversation_id: conversation.get().id } : {}) }),
      signal: abort.signal,
    });
    if (!reply.body) throw new ApiError(0, 'The server sent no answer.', 'network', null);
    let whole: Turn | null = null;
    for await (const { event, data } of serverEvents(reply.body)) {
      if (event === 'turn') {
        const { conversation_id: id } = JSON.parse(data) as { conversation_id: string };
        conversation.set((now) => ({ ...now, id }));
      } else if (event === 'sentence') {
        const sentence = JSON.parse(data) as { text: string; citations?: Citation[] };
        change(key, (now) => append(now, sentence.text, sentence.citations ?? []));
      } else if (event === 'done') {
        whole = JSON.parse(data) as Turn;
      } else if (event === 'error') {
        throw errorInStream(data, reply.headers.get('x-request-id'));
      }
    }
    if (!whole) throw new ApiError(0, 'The connection was lost before the answer was complete.', 'network', reply.headers.get('x-request-id'));
    const turn = whole;
    change(key, () => ({ state: 'done', turn, answer: turn.answer, citations: turn.citations ?? [] }));
    conversation.set((now) => ({ ...now, id: turn.conversation_id ?? now.id }));
  } catch (cause) {
    if (abort.signal.aborted) change(key, () => ({ state: 'stopped' }));
    else {
      const error = cause instanceof ApiError ? cause : new ApiError(0, String(cause), 'network', null);
      change(key, () => ({ state: 'failed', error: { status: error.status, words: error.message, requestId: error.requestId } }));
    }
  } finally {
    if (running === abort) running = null;
    save();
    for (const listener of finished) listener();
  }
}

/** The same question again, in the place of the attempt that failed or was stopped. */
export function again(key: string): void {
  const failed = conversation.get().exchanges.find((one) => one.key === key);
  if (!failed || running) return;
  conversation.set((now) => ({ ...now, exchanges: now.exchanges.filter((one) => one.key !== key) }));
  void ask(failed.question);
}
