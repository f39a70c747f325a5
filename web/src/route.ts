// SPDX-License-Identifier: MIT
// Addresses live in the fragment, so one embedded index.html serves them all and a secret in one never reaches a log.
import { useSyncExternalStore } from 'react';

export type Route =
  | { name: 'ask' }
  | { name: 'documents' }
  | { name: 'document'; id: string; page: number; start: number; end: number }
  | { name: 'why'; id: string }
  | { name: 'setup'; secret: string }
  | { name: 'link'; token: string }
  | { name: 'sign-in'; error: string }
  | { name: 'account' }
  | { name: 'manage'; view: string };

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  if (text.startsWith('setup=')) return { name: 'setup', secret: decode(text.slice('setup='.length)) };
  if (text.startsWith('link=')) return { name: 'link', token: decode(text.slice('link='.length)) };
  const [path = '', query = ''] = text.split('?', 2);
  const [first = '', second = ''] = path.split('/').map(decode);
  const number = (name: string): number => Math.max(0, Math.floor(Number(new URLSearchParams(query).get(name)) || 0));
  if (first === 'documents' && second) return { name: 'document', id: second, page: number('page'), start: number('start'), end: number('end') };
  if (first === 'documents') return { name: 'documents' };
  if (first === 'why' && second) return { name: 'why', id: second };
  if (first === 'sign-in') return { name: 'sign-in', error: new URLSearchParams(query).get('error') ?? '' };
  if (first === 'account') return { name: 'account' };
  if (first === 'manage') return { name: 'manage', view: second || 'members' };
  return { name: 'ask' };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function documentHref(id: string, page = 0, start = 0, end = 0): string {
  const query = new URLSearchParams();
  if (page > 0) query.set('page', String(page));
  if (end > start) {
    query.set('start', String(start));
    query.set('end', String(end));
  }
  const text = query.toString();
  return `#/documents/${encodeURIComponent(id)}${text ? `?${text}` : ''}`;
}

export const whyHref = (id: string): string => `#/why/${encodeURIComponent(id)}`;

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => window.location.hash));
}

/** Leaves no trace of the present address, neither in the bar nor in the history. */
export function replaceAddress(hash: string): void {
  window.history.replaceState(null, '', hash);
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}
