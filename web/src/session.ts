// SPDX-License-Identifier: MIT
// Who is using the page. A set-up link beats a kept token, which beats a demo visit, which beats asking for a token.
import { ApiError, forgetPages, getJson, type Me, postJson, useToken } from './api.ts';
import { replaceAddress, parseRoute } from './route.ts';
import { createStore, kept, storage, useStore } from './store.ts';

export type Session =
  | { state: 'starting' }
  | { state: 'unreachable'; error: ApiError }
  | { state: 'out'; why: 'none' | 'setup-used' | 'expired' | 'left'; demo: boolean }
  | { state: 'in'; me: Me; fresh: boolean };

const KEY = 'chiron.token';
const session = createStore<Session>({ state: 'starting' });
export const useSession = (): Session => useStore(session);

const leaving: (() => void)[] = [];
/** Called when the person at the page changes, so that nothing of one is shown to the next. */
export function onLeave(forget: () => void): void {
  leaving.push(forget);
}

function keep(token: string | null, lasting = true): void {
  kept.set(KEY, lasting ? token : null, storage('localStorage'));
  kept.set(KEY, lasting ? null : token, storage('sessionStorage'));
  useToken(token, () => {
    if (session.get().state !== 'in') return;
    leave('expired');
  });
}

function leave(why: 'left' | 'expired'): void {
  const now = session.get();
  const demo = now.state === 'in' && now.me.demo;
  keep(null);
  forgetPages();
  for (const forget of leaving) forget();
  session.set({ state: 'out', why, demo });
}

async function enter(token: string, lasting: boolean, fresh: boolean): Promise<void> {
  keep(token, lasting);
  const me = await getJson<Me>('/api/v1/me');
  session.set({ state: 'in', me, fresh });
}

async function demoToken(): Promise<string | null> {
  try {
    return (await postJson<{ token: string }>('/api/v1/demo/session', {}, { anonymous: true })).token;
  } catch (cause) {
    if (cause instanceof ApiError && (cause.status === 404 || cause.status === 403 || cause.status === 401)) return null;
    throw cause;
  }
}

async function begin(): Promise<void> {
  const route = parseRoute(window.location.hash);
  if (route.name === 'setup') {
    // Out of the bar before anything else can go wrong: the secret is worth an owner's account.
    replaceAddress('#/ask');
    try {
      const { token } = await postJson<{ token: string }>('/api/v1/setup', { secret: route.secret }, { anonymous: true });
      for (const forget of leaving) forget();
      return await enter(token, true, true);
    } catch (cause) {
      if (!(cause instanceof ApiError) || cause.status === 0 || cause.status >= 500) throw cause;
      if (!kept.get(KEY)) return session.set({ state: 'out', why: 'setup-used', demo: (await demoToken()) !== null });
    }
  }
  const saved = kept.get(KEY, storage('sessionStorage'));
  const lasting = kept.get(KEY);
  const token = saved ?? lasting;
  if (token) {
    try {
      return await enter(token, saved === null, false);
    } catch (cause) {
      if (!(cause instanceof ApiError) || (cause.status !== 401 && cause.status !== 404)) throw cause;
      keep(null);
    }
  }
  const visit = await demoToken();
  if (visit) return enter(visit, false, false);
  session.set({ state: 'out', why: 'none', demo: false });
}

export async function start(): Promise<void> {
  session.set({ state: 'starting' });
  try {
    await begin();
  } catch (cause) {
    session.set({ state: 'unreachable', error: cause instanceof ApiError ? cause : new ApiError(0, String(cause), 'unknown', null) });
  }
}

export async function signIn(token: string, lasting: boolean): Promise<void> {
  try {
    await enter(token, lasting, false);
  } catch (cause) {
    keep(null);
    throw cause;
  }
}

export async function visit(): Promise<void> {
  const token = await demoToken();
  if (token) await enter(token, false, false);
}

export const signOut = (): void => leave('left');

window.addEventListener('hashchange', () => {
  if (parseRoute(window.location.hash).name === 'setup') void start();
});
