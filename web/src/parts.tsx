// SPDX-License-Identifier: MIT
// Small pieces that several views share: dialogs, problems in words, meters, waiting.
import { type ReactNode, useId, useLayoutEffect, useRef, useSyncExternalStore } from 'react';
import { ApiError } from './api.ts';
import { Icon, type IconName } from './icons.tsx';
import { useWords } from './preferences.ts';
import type { Words } from './words/en.ts';

export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (changed) => {
      const list = window.matchMedia(query);
      list.addEventListener('change', changed);
      return () => list.removeEventListener('change', changed);
    },
    () => window.matchMedia(query).matches,
  );
}

export interface Problem { status: number; words: string; requestId?: string | null }

export const problemOf = (cause: unknown): Problem =>
  cause instanceof ApiError ? { status: cause.status, words: cause.message, requestId: cause.requestId } : { status: 0, words: String(cause) };

/** What the status means, in the reader's language; the server's own words when they say more. */
export function explain({ status, words }: Problem, w: Words): { text: string; detail: string | null } {
  const { errors } = w;
  if (status === 0) return { text: errors.network, detail: null };
  if (status === 401) return { text: errors.expired, detail: null };
  if (status === 403) return { text: errors.forbidden, detail: words };
  if (status === 404) return { text: errors.notFound, detail: null };
  if (status === 413) return { text: errors.tooLarge, detail: words };
  if (status === 429 || status === 503 || status === 504) return { text: errors.busy, detail: null };
  if (status >= 500) return { text: errors.server, detail: words };
  return { text: words.charAt(0).toUpperCase() + words.slice(1), detail: null };
}

export function Failure({ problem, title, retry, icon = 'warn' }: { problem: Problem; title?: string; retry?: (() => void) | undefined; icon?: IconName }) {
  const w = useWords();
  const { text, detail } = explain(problem, w);
  return (
    <div className="failure" role="alert">
      <span className="failure-icon"><Icon name={icon} /></span>
      <div>
        {title && <p className="failure-title">{title}</p>}
        <p>{text}</p>
        {detail && detail !== text && <p className="quiet">{detail}</p>}
        {problem.requestId && <p className="quiet small">{w.errors.reference(problem.requestId)}</p>}
        {retry && <button type="button" className="button" onClick={retry}><Icon name="retry" size={16} />{w.retry}</button>}
      </div>
    </div>
  );
}

export function Waiting({ label, lines = 3 }: { label: string; lines?: number }) {
  return (
    <div className="waiting" role="status">
      <span className="visually-hidden">{label}</span>
      {Array.from({ length: lines }, (_, i) => <span key={i} className="waiting-line" aria-hidden="true" />)}
    </div>
  );
}

export function Meter({ share, label, tone = 'accent' }: { share: number; label: string; tone?: 'accent' | 'quiet' | 'bad' }) {
  const value = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <span className={`meter meter-${tone}`} role="img" aria-label={`${label}: ${value} %`}>
      <span style={{ width: `${value}%` }} />
    </span>
  );
}

/** A native dialog: the browser keeps focus inside, makes the rest inert and gives focus back. */
export function Dialog({ title, className, onClose, children, bare }: {
  title: string; className?: string; onClose: () => void; children: ReactNode; bare?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const w = useWords();
  // Closed while it is still in the page: only then does the browser give the focus back.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) {
      dialog.showModal();
      dialog.querySelector<HTMLElement>('[data-first]')?.focus();
    }
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref} className={`dialog ${className ?? ''}`} aria-labelledby={id}
      onCancel={(event) => { event.preventDefault(); onClose(); }}
      onClick={(event) => { if (event.target === ref.current) onClose(); }}
    >
      <div className="dialog-body">
        {bare ? <span id={id} className="visually-hidden">{title}</span> : (
          <div className="dialog-head">
            <h2 id={id}>{title}</h2>
            <button type="button" className="icon-button" onClick={onClose} aria-label={w.close}><Icon name="close" /></button>
          </div>
        )}
        {children}
      </div>
    </dialog>
  );
}

export function Choice<T extends string>({ legend, value, options, onChange }: {
  legend: string; value: T; options: { value: T; label: string; lang?: string }[]; onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      <div className="choice-row">
        {options.map((option) => (
          <label key={option.value} lang={option.lang}>
            <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
