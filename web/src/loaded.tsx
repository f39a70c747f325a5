// SPDX-License-Identifier: MIT
// What the views of an account and a creator's affairs have in common: a list from the server, a question before something is
// gone for good, a secret that is shown once, a file to keep.
import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { getJson, request } from './api.ts';
import { type ApiError } from './api.ts';
import { FormProblem, useSending } from './field.tsx';
import { Icon } from './icons.tsx';
import { Dialog, Failure, type Problem, problemOf, Waiting } from './parts.tsx';
import { useWords } from './preferences.ts';

export interface Loaded<T> { data: T | null; problem: Problem | null; reload: () => void }
export function useLoaded<T>(path: string | null): Loaded<T> {
  const [data, setData] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [serial, setSerial] = useState(0);
  useEffect(() => {
    if (!path) return;
    const abort = new AbortController();
    getJson<T>(path, { signal: abort.signal }).then(
      (got) => { setData(got); setProblem(null); },
      (cause: unknown) => { if (!abort.signal.aborted) setProblem(problemOf(cause)); },
    );
    return () => abort.abort();
  }, [path, serial]);
  return { data, problem, reload: useCallback(() => setSerial((n) => n + 1), []) };
}

export function Whole<T>({ loaded, children }: { loaded: Loaded<T>; children: (data: T) => ReactNode }) {
  const w = useWords();
  if (loaded.problem) return <Failure problem={loaded.problem} retry={loaded.reload} />;
  return loaded.data ? <>{children(loaded.data)}</> : <Waiting label={w.loading} />;
}

export function Section({ title, lead, action, children }: { title: string; lead?: string; action?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel">
      <div className="panel-head"><div><h2>{title}</h2>{lead && <p className="quiet">{lead}</p>}</div>{action}</div>
      {children}
    </section>
  );
}

/** typed: words that have to be written before it happens, for what cannot be undone. */
export function Confirm({ title, lead, yes, typed, children, onYes, onClose }: {
  title: string; lead: string; yes: string; typed?: string; children?: ReactNode; onYes: () => Promise<void>; onClose: () => void;
}) {
  const w = useWords();
  const [text, setText] = useState('');
  const { busy, problem, send } = useSending();
  return (
    <Dialog title={title} className="confirm" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void send(onYes); }}>
        <p>{lead}</p>
        {children}
        {typed && (
          <label className="field"><span>{w.account.typeToConfirm(typed)}</span><input value={text} onChange={(event) => setText(event.target.value)} autoComplete="off" spellCheck={false} /></label>
        )}
        <FormProblem problem={problem} />
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose} data-first>{w.cancel}</button>
          <button type="submit" className="button button-bad" disabled={busy || (typed !== undefined && text !== typed)}>{yes}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function Copy({ text }: { text: string }) {
  const w = useWords();
  const [said, setSaid] = useState('');
  const copy = (): void => {
    (navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('no clipboard'))).then(() => setSaid(w.answer.copied), () => setSaid(w.answer.copyFailed));
  };
  return <button type="button" className="button" onClick={copy}><Icon name={said === w.answer.copied ? 'check' : 'copy'} size={16} /><span role="status">{said || w.answer.copy}</span></button>;
}

/** Shown once: the dialog says so and closes only when told. */
export function Secret({ title, lead, lines, onClose }: { title: string; lead: string; lines: string[]; onClose: () => void }) {
  const w = useWords();
  return (
    <Dialog title={title} onClose={onClose}>
      <p className="note"><Icon name="warn" size={16} />{lead}</p>
      <pre className="secret" data-first tabIndex={-1}>{lines.join('\n')}</pre>
      <div className="dialog-actions">
        <Copy text={lines.join('\n')} />
        <button type="button" className="button button-main" onClick={onClose}>{w.account.kept}</button>
      </div>
    </Dialog>
  );
}

export function saveFile(name: string, body: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(body);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export async function download(path: string, name: string): Promise<void> {
  saveFile(name, await (await request(path)).blob());
}

export const saveJson = (name: string, value: unknown): void => saveFile(name, new Blob([JSON.stringify(value, null, 2)], { type: 'application/json' }));

export function Download({ path, name, label }: { path: string; name: string; label: string }) {
  const { busy, problem, send } = useSending();
  return (
    <span className="with-problem">
      <button type="button" className="button" disabled={busy} onClick={() => void send(() => download(path, name))}><Icon name="documents" size={16} />{label}</button>
      <FormProblem problem={problem as ApiError | null} />
    </span>
  );
}
