// SPDX-License-Identifier: MIT
import { type FormEvent, useState } from 'react';
import { ApiError } from './api.ts';
import { Mark } from './icons.tsx';
import { explain, problemOf } from './parts.tsx';
import { useWords } from './preferences.ts';
import { signIn, visit, type Session } from './session.ts';
import { Preferences } from './settings.tsx';

export function SignIn({ session }: { session: Extract<Session, { state: 'out' }> }) {
  const w = useWords();
  const [token, setToken] = useState('');
  const [lasting, setLasting] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy || token.trim() === '') return;
    setBusy(true);
    setProblem('');
    try {
      await signIn(token.trim().replace(/^Bearer\s+/i, ''), lasting);
    } catch (cause) {
      setBusy(false);
      setProblem(cause instanceof ApiError && [400, 401, 403, 404].includes(cause.status) ? w.start.refused : explain(problemOf(cause), w).text);
    }
  };
  const note = { none: '', 'setup-used': w.start.setupUsed, expired: w.start.expired, left: w.start.left }[session.why];
  return (
    <main className="door" id="content">
      <div className="door-card">
        <p className="brand"><Mark size={36} /><span>Chiron</span></p>
        <h1>{w.start.title}</h1>
        {note && <p className={session.why === 'left' ? 'note note-quiet' : 'note'} role="status">{note}</p>}
        <p className="quiet">{w.start.lead} <code>chiron token --creator NAME</code></p>
        <form onSubmit={(event) => void submit(event)}>
          <label htmlFor="token">{w.start.token}</label>
          <textarea
            id="token" rows={3} value={token} onChange={(event) => setToken(event.target.value)} autoComplete="off" spellCheck={false} autoCapitalize="off"
            aria-invalid={problem !== ''} aria-describedby={problem ? 'token-problem' : undefined} required
          />
          {problem && <p id="token-problem" className="field-error" role="alert">{problem}</p>}
          <label className="tick"><input type="checkbox" checked={lasting} onChange={(event) => setLasting(event.target.checked)} />{w.start.keep}</label>
          <button type="submit" className="button button-main" disabled={busy || token.trim() === ''}>{busy ? w.start.entering : w.start.enter}</button>
        </form>
        {session.demo && <button type="button" className="button" onClick={() => void visit()}>{w.start.visit}</button>}
      </div>
      <div className="door-foot"><Preferences /></div>
    </main>
  );
}
