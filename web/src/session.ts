// SPDX-License-Identifier: MIT
// Who is using the page. A set-up or mail link beats a sign-in that is kept, which beats a kept token, which beats a demo visit,
// which beats asking. A sign-in's refresh token is in a cookie that no script can read; its access token is only in memory.
import { ApiError, forgetPages, getJson, type Me, postJson, type Providers, request, type SignedIn, useToken, type Who } from './api.ts';
import { replaceAddress, parseRoute } from './route.ts';
import { createStore, kept, storage, useStore } from './store.ts';

export type Session =
  | { state: 'starting' }
  | { state: 'unreachable'; error: ApiError }
  | { state: 'out'; why: 'none' | 'setup-used' | 'expired' | 'left' | 'elsewhere' | 'issuer' | 'changed'; demo: boolean; providers: Providers }
  | { state: 'setup'; secret: string; providers: Providers }
  | { state: 'link'; token: string; providers: Providers }
  | { state: 'nowhere'; who: Who }
  | { state: 'in'; me: Me; who: Who | null; fresh: boolean };

const KEY = 'chiron.token';
const SIGNED_IN = 'chiron.signed-in';
const EARLY_SECONDS = 60;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const session = createStore<Session>({ state: 'starting' });
export const useSession = (): Session => useStore(session);

const leaving: (() => void)[] = [];
/** Called when the person at the page changes, so that nothing of one is shown to the next. */
export function onLeave(forget: () => void): void {
  leaving.push(forget);
}

const tabs = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('chiron.session');
let timer = 0;

function keep(token: string | null, lasting = true): void {
  kept.set(KEY, lasting ? token : null, storage('localStorage'));
  kept.set(KEY, lasting ? null : token, storage('sessionStorage'));
  useToken(token, expired);
}

function expired(): void {
  if (session.get().state === 'in' || session.get().state === 'nowhere') void leave('expired');
}

const closed: Providers = { password: true, signup: false, mail: false, anonymous: false, oidc: [] };
/** A server without accounts of its own still takes tokens. */
async function providers(): Promise<Providers> {
  try {
    return await getJson<Providers>('/api/v1/auth/providers', { anonymous: true });
  } catch (cause) {
    if (cause instanceof ApiError && cause.status > 0 && cause.status < 500) return { ...closed, password: false };
    throw cause;
  }
}

function forget(): void {
  window.clearTimeout(timer);
  keep(null);
  kept.set(SIGNED_IN, null);
  forgetPages();
  for (const one of leaving) one();
}

async function out(why: Extract<Session, { state: 'out' }>['why'], demo: boolean): Promise<void> {
  session.set({ state: 'out', why, demo, providers: await providers().catch(() => closed) });
}

async function leave(why: 'left' | 'expired' | 'elsewhere' | 'changed'): Promise<void> {
  const now = session.get();
  const demo = now.state === 'in' && now.me.demo;
  forget();
  await out(why, demo);
}

/** One tab at a time: the server ends a family whose refresh token comes twice. */
async function alone<T>(run: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request('chiron.refresh', run) as Promise<T>) : run();
}

let renewing: Promise<boolean> | null = null;
function renewed(creator?: string): Promise<boolean> {
  renewing ??= alone(async () => {
    try {
      hold(await postJson<SignedIn>('/api/v1/auth/refresh', creator ? { cookie: true, creator_id: creator } : { cookie: true }, { anonymous: true }));
      return true;
    } catch (cause) {
      if (cause instanceof ApiError && [400, 401, 403, 404, 422].includes(cause.status)) {
        kept.set(SIGNED_IN, null);
        return false;
      }
      throw cause;
    }
  }).finally(() => { renewing = null; });
  return renewing;
}

/** Takes the new access token, and asks for the next one before it ends. */
function hold(got: SignedIn): void {
  kept.set(KEY, null, storage('localStorage'));
  kept.set(KEY, null, storage('sessionStorage'));
  kept.set(SIGNED_IN, '1');
  useToken(got.access_token, expired, () => renewed().catch(() => false));
  window.clearTimeout(timer);
  const ms = Math.min(Math.max(got.expires_in - EARLY_SECONDS, 5) * 1000, LONGEST_TIMER_MS);
  timer = window.setTimeout(() => void renewed().then((ok) => ok || expired(), () => {}), ms);
}

async function look(fresh: boolean): Promise<void> {
  const who = await getJson<Who>('/api/v1/auth/me').catch((cause: unknown) => {
    if (cause instanceof ApiError && [403, 404].includes(cause.status)) return null;
    throw cause;
  });
  if (who && !who.creator_id) return session.set({ state: 'nowhere', who });
  session.set({ state: 'in', me: await getJson<Me>('/api/v1/me'), who, fresh });
}

async function enter(token: string, lasting: boolean, fresh: boolean): Promise<void> {
  keep(token, lasting);
  await look(fresh);
}

/** What a sign-in of any kind ends with. */
async function arrive(got: SignedIn, fresh = false): Promise<void> {
  for (const one of leaving) one();
  hold(got);
  tabs?.postMessage('in');
  await look(fresh);
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
  // Out of the bar before anything else can go wrong: both are worth an account.
  if (route.name === 'setup' || route.name === 'link') replaceAddress('#/ask');
  if (route.name === 'setup') return session.set({ state: 'setup', secret: route.secret, providers: await providers() });
  if (route.name === 'link') return session.set({ state: 'link', token: route.token, providers: await providers() });
  if (route.name === 'sign-in') {
    replaceAddress('#/ask');
    if (route.error) return out('issuer', false);
  }
  const saved = kept.get(KEY, storage('sessionStorage'));
  const lasting = kept.get(KEY);
  const token = saved ?? lasting;
  if (kept.get(SIGNED_IN) || (route.name === 'sign-in' && !token)) {
    if (await renewed()) return look(false);
  }
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
  await out('none', false);
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

export interface Door { email: string; password: string; totp?: string; recovery_code?: string }
export const signInWith = async (door: Door): Promise<void> => arrive(await postJson<SignedIn>('/api/v1/auth/login', { ...door, cookie: true }, { anonymous: true }));

export interface Beginning { full_name: string; email: string; password: string }
export const signUp = async (mine: Beginning): Promise<void> => arrive(await postJson<SignedIn>('/api/v1/auth/register', { ...mine, cookie: true }, { anonymous: true }), true);

/** Without an account's members the link gives a plain token, as it does on the command line. */
export async function setUp(secret: string, mine: Beginning | null): Promise<void> {
  try {
    if (mine) return await arrive(await postJson<SignedIn>('/api/v1/setup', { secret, ...mine, cookie: true }, { anonymous: true }), true);
    const { token } = await postJson<{ token: string }>('/api/v1/setup', { secret }, { anonymous: true });
    for (const one of leaving) one();
    await enter(token, true, true);
  } catch (cause) {
    if (!(cause instanceof ApiError) || cause.status !== 401) throw cause;
    await out('setup-used', (await demoToken().catch(() => null)) !== null);
  }
}

/** What a link may want besides itself. */
export interface Opening { password?: string; full_name?: string; totp?: string; recovery_code?: string }

/** True when the link signed the reader in; false when it only changed something. */
export async function redeem(token: string, more: Opening = {}): Promise<boolean> {
  const reply = await request('/api/v1/auth/link/redeem', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token, cookie: true, ...more }), anonymous: true,
  });
  if (reply.status === 204) return false;
  await arrive((await reply.json()) as SignedIn, false);
  return true;
}

export const askForLink = (email: string, purpose: 'sign_in' | 'password' | 'verify'): Promise<unknown> =>
  postJson('/api/v1/auth/link', { email, purpose }, { anonymous: true });

export const toSignIn = (): Promise<void> => out('none', false);

/** Another creator of the same account, without signing in again. */
export async function switchTo(creator: string): Promise<void> {
  if (!(await renewed(creator))) return leave('expired');
  for (const one of leaving) one();
  forgetPages();
  tabs?.postMessage('in');
  await look(false);
}

export async function visit(): Promise<void> {
  const token = await demoToken();
  if (token) await enter(token, false, false);
}

export async function signOut(all = false): Promise<void> {
  const signed = kept.get(SIGNED_IN) !== null;
  if (signed) await request('/api/v1/auth/logout', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ all }) }).catch(() => {});
  await leave('left');
  if (signed) tabs?.postMessage('out');
}

/** After a change of the account that is shown everywhere. */
export const lookAgain = (): Promise<void> => look(false);
/** After erasing oneself: there is nothing left to sign out of. */
export async function gone(): Promise<void> {
  await leave('changed');
  tabs?.postMessage('out');
}

tabs?.addEventListener('message', (event) => {
  if (event.data === 'out' && session.get().state !== 'out') void leave('elsewhere');
  if (event.data === 'in') void start();
});
window.addEventListener('hashchange', () => {
  const { name } = parseRoute(window.location.hash);
  if (name === 'setup' || name === 'link') void start();
});
