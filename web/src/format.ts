// SPDX-License-Identifier: MIT
import type { Language } from './preferences.ts';

export function bytes(n: number, language: Language): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${units[unit]}`;
}

export function milliseconds(ms: number, language: Language): string {
  const number = (value: number, digits: number): string => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
  if (ms > 0 && ms < 0.05) return `< ${number(0.1, 1)} ms`;
  if (ms < 1000) return `${number(ms, ms < 10 ? 1 : 0)} ms`;
  return `${number(ms / 1000, 1)} s`;
}

export const count = (n: number, language: Language): string => new Intl.NumberFormat(language).format(n);
export const percent = (share: number, language: Language): string =>
  new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 }).format(Math.min(1, Math.max(0, share)));

export function date(iso: string, language: Language): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', year: 'numeric' }).format(at);
}

export function dateTime(iso: string, language: Language): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(at);
}

/** What a reader would call the format. */
export function kind(mediaType: string, filename: string): string {
  const known: [RegExp, string][] = [
    [/pdf/, 'PDF'], [/wordprocessingml|docx/, 'DOCX'], [/markdown/, 'MD'], [/html/, 'HTML'], [/jsonl|ndjson/, 'JSONL'], [/plain/, 'TXT'],
  ];
  for (const [pattern, name] of known) if (pattern.test(mediaType)) return name;
  return /\.([a-z0-9]{1,5})$/i.exec(filename)?.[1]?.toUpperCase() ?? 'DOC';
}

/** A passage as one reads it, without the signs of Markdown. */
export const withoutSigns = (text: string): string => text.replace(/^#{1,6}[ \t]+/gm, '').replace(/\*\*(?=\S)([^*]+?)\*\*/g, '$1');

/** Where in a document: the heading's path without the title that stands above it anyway. */
export function section(heading: string | null | undefined, title: string): string {
  const steps = (heading ?? '').split(/\s*>\s*/).filter((step) => step !== '');
  if (steps[0]?.toLowerCase() === title.toLowerCase()) steps.shift();
  return steps.join(' › ');
}
