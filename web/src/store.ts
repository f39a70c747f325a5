// SPDX-License-Identifier: MIT
// State that outlives a view: an answer keeps streaming and an upload keeps running while another view is open.
import { useSyncExternalStore } from 'react';

export interface Store<T> {
  get(): T;
  set(next: T | ((now: T) => T)): void;
  subscribe(changed: () => void): () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    set(next) {
      state = typeof next === 'function' ? (next as (now: T) => T)(state) : next;
      for (const listener of listeners) listener();
    },
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
  };
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** Browser storage may be full or forbidden; the page then only forgets sooner. */
export const kept = {
  get(key: string, where: Storage | null = storage('localStorage')): string | null {
    try {
      return where?.getItem(key) ?? null;
    } catch {
      return null;
    }
  },
  set(key: string, value: string | null, where: Storage | null = storage('localStorage')): void {
    try {
      if (value === null) where?.removeItem(key);
      else where?.setItem(key, value);
    } catch {
      /* see above */
    }
  },
};

export function storage(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    return window[name];
  } catch {
    return null;
  }
}
