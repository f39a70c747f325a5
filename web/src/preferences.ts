// SPDX-License-Identifier: MIT
// Language and theme: remembered, else taken from the browser.
import { createStore, kept, useStore } from './store.ts';
import { en, type Words } from './words/en.ts';
import { es } from './words/es.ts';

export type Language = 'en' | 'es';
export type Theme = 'system' | 'light' | 'dark';
export interface Preferences { language: Language; theme: Theme }

const words: Record<Language, Words> = { en, es };

function initialLanguage(): Language {
  const saved = kept.get('chiron.language');
  if (saved === 'en' || saved === 'es') return saved;
  const first = navigator.languages.find((tag) => /^(en|es)\b/i.test(tag));
  return first?.toLowerCase().startsWith('es') ? 'es' : 'en';
}

function initialTheme(): Theme {
  const saved = kept.get('chiron.theme');
  return saved === 'light' || saved === 'dark' ? saved : 'system';
}

const preferences = createStore<Preferences>({ language: initialLanguage(), theme: initialTheme() });

function apply({ language, theme }: Preferences): void {
  const root = document.documentElement;
  root.lang = language;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
}
apply(preferences.get());

export function setPreferences(change: Partial<Preferences>): void {
  const next = { ...preferences.get(), ...change };
  kept.set('chiron.language', next.language);
  kept.set('chiron.theme', next.theme === 'system' ? null : next.theme);
  apply(next);
  preferences.set(next);
}

export const usePreferences = (): Preferences => useStore(preferences);
export const useWords = (): Words => words[useStore(preferences).language];
export const currentWords = (): Words => words[preferences.get().language];
