// SPDX-License-Identifier: MIT
// The ways in for somebody new: signing up, the one-time set-up link, and the links that come by mail.
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { Leave } from './account.tsx';
import { ApiError } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { Icon, Mark } from './icons.tsx';
import { useWords } from './preferences.ts';
import { type Beginning, type Opening, redeem, type Session, setUp, signOut, signUp, start, switchTo, toSignIn } from './session.ts';
import { Preferences } from './settings.tsx';

export function DoorFrame({ title, children }: { title: string; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { document.title = `${title} · Chiron`; }, [title]);
  return (
    <main className="door" id="content">
      <div className="door-card">
        <p className="brand"><Mark size={36} /><span>Chiron</span></p>
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {children}
      </div>
      <div className="door-foot"><Preferences /></div>
    </main>
  );
}

function BeginForm({ label, busyLabel, run, sending }: { label: string; busyLabel: string; run: (mine: Beginning) => Promise<void>; sending: ReturnType<typeof useSending> }) {
  const w = useWords();
  const [mine, setMine] = useState<Beginning>({ full_name: '', email: '', password: '' });
  const { busy, problem, send } = sending;
  const set = (name: keyof Beginning) => (event: { target: { value: string } }): void => setMine({ ...mine, [name]: event.target.value });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(() => run({ ...mine, email: mine.email.trim(), full_name: mine.full_name.trim() }));
  };
  return (
    <form onSubmit={submit}>
      <Field label={w.door.name} autoComplete="name" value={mine.full_name} onChange={set('full_name')} problem={atField(problem, 'full_name')} required data-first />
      <Field label={w.door.email} type="email" autoComplete="username" value={mine.email} onChange={set('email')} problem={problem?.status === 409 ? w.door.taken : atField(problem, 'email')} required />
      <Field
        label={w.door.newPassword} type="password" autoComplete="new-password" minLength={8} value={mine.password} onChange={set('password')} problem={atField(problem, 'password')}
        hint={w.door.passwordHint} required
      />
      {problem?.status !== 409 && <FormProblem problem={problem} fields={['full_name', 'email', 'password']} />}
      <button type="submit" className="button button-main" disabled={busy}>{busy ? busyLabel : label}</button>
    </form>
  );
}

export function SignUp({ onBack }: { onBack: () => void }) {
  const w = useWords();
  const sending = useSending();
  return (
    <DoorFrame title={w.door.signUp}>
      <p className="quiet">{w.door.signUpLead}</p>
      <BeginForm label={w.door.signUp} busyLabel={w.door.signingUp} run={signUp} sending={sending} />
      <button type="button" className="text-button" onClick={onBack}><Icon name="back" size={16} />{w.door.haveAccount}</button>
    </DoorFrame>
  );
}

export function SetUp({ session }: { session: Extract<Session, { state: 'setup' }> }) {
  const w = useWords();
  const sending = useSending();
  return (
    <DoorFrame title={w.door.setUp}>
      <p className="quiet">{w.door.setUpLead}</p>
      {session.providers.password && <BeginForm label={w.door.setUpYes} busyLabel={w.door.signingUp} run={(mine) => setUp(session.secret, mine)} sending={sending} />}
      {!session.providers.password && <FormProblem problem={sending.problem} />}
      <button
        type="button" className={session.providers.password ? 'text-button' : 'button button-main'} disabled={sending.busy}
        onClick={() => void sending.send(() => setUp(session.secret, null))}
      >{w.door.setUpLater}</button>
    </DoorFrame>
  );
}

/** What a link is for is known to the server alone; one that wants a password says so when it is tried without. */
export function LinkDoor({ session }: { session: Extract<Session, { state: 'link' }> }) {
  const w = useWords();
  const [state, setState] = useState<'trying' | 'password' | 'code' | 'done' | 'bad' | 'failed'>('trying');
  const [password, setPassword] = useState('');
  const [name, setName] = useState('');
  const [named, setNamed] = useState(false);
  const [code, setCode] = useState('');
  const [recovery, setRecovery] = useState(false);
  const { busy, problem, send, clear } = useSending();
  const tried = useRef(false);
  const go = (more: Opening): Promise<void> => redeem(session.token, more).then((inside) => { if (!inside) setState('done'); });
  useEffect(() => {
    if (tried.current) return;
    tried.current = true;
    go({}).catch((cause: unknown) => {
      if (!(cause instanceof ApiError)) return setState('failed');
      if (cause.code === 'totp_required') return setState('code');
      if (cause.status === 422) {
        setNamed(cause.field === 'full_name');
        return setState('password');
      }
      setState(cause.status === 401 || cause.status === 404 ? 'bad' : 'failed');
    });
  });
  const given = { ...(password ? { password } : {}), ...(name ? { full_name: name } : {}) };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(() => go(given).catch((cause: unknown) => {
      if (!(cause instanceof ApiError) || cause.code !== 'totp_required') throw cause;
      setState('code');
    }));
  };
  const submitCode = (event: FormEvent): void => {
    event.preventDefault();
    void send(() => go({ ...given, ...(recovery ? { recovery_code: code.trim() } : { totp: code.replace(/\s/g, '') }) }));
  };
  if (state === 'trying') return <DoorFrame title={w.door.linkTrying}><p className="quiet" role="status">{w.loading}</p></DoorFrame>;
  if (state === 'password') {
    return (
      <DoorFrame title={w.door.choosePassword}>
        <form onSubmit={submit}>
          {named && <Field label={w.door.name} autoComplete="name" value={name} onChange={(event) => setName(event.target.value)} problem={atField(problem, 'full_name')} />}
          <Field label={w.door.newPassword} type="password" autoComplete="new-password" minLength={8} value={password} onChange={(event) => setPassword(event.target.value)} problem={atField(problem, 'password')} hint={w.door.passwordHint} required />
          {problem?.status === 401 ? <p className="field-error" role="alert">{w.door.linkBad}</p> : <FormProblem problem={problem} fields={['password', 'full_name']} />}
          <button type="submit" className="button button-main" disabled={busy}>{w.door.setPassword}</button>
        </form>
      </DoorFrame>
    );
  }
  if (state === 'code') {
    return (
      <DoorFrame title={w.start.title}>
        <form onSubmit={submitCode}>
          <Field
            key={String(recovery)} label={recovery ? w.door.recovery : w.door.code} inputMode={recovery ? 'text' : 'numeric'} autoComplete="one-time-code" value={code}
            onChange={(event) => setCode(event.target.value)} hint={recovery ? w.door.recoveryHint : w.door.codeHint} required autoFocus
          />
          {problem?.status === 401 ? <p className="field-error" role="alert">{w.door.wrongCode}</p>
            : problem?.status === 429 ? <p className="field-error" role="alert">{w.door.wait(problem.retryAfter ?? 60)}</p> : <FormProblem problem={problem} />}
          <button type="submit" className="button button-main" disabled={busy}>{busy ? w.start.entering : w.start.enter}</button>
        </form>
        <p className="door-links">
          <button type="button" className="text-button" onClick={() => { clear(); setCode(''); setRecovery(!recovery); }}>{recovery ? w.door.useCode : w.door.useRecovery}</button>
        </p>
      </DoorFrame>
    );
  }
  return (
    <DoorFrame title={state === 'done' ? w.door.linkDone : w.door.linkBadTitle}>
      <p role="status">{state === 'done' ? w.door.linkDoneLead : state === 'bad' ? w.door.linkBad : w.errors.server}</p>
      {state === 'failed' && <button type="button" className="button" onClick={() => { tried.current = false; setState('trying'); }}><Icon name="retry" size={16} />{w.retry}</button>}
      <button type="button" className="button button-main" onClick={() => void toSignIn()}>{w.start.title}</button>
    </DoorFrame>
  );
}

/** Signed in, but a member of no creator (any more), or of several and of none in particular. */
export function Nowhere({ session }: { session: Extract<Session, { state: 'nowhere' }> }) {
  const w = useWords();
  const { busy, problem, send } = useSending();
  const creators = session.who.creators ?? [];
  return (
    <DoorFrame title={creators.length ? w.door.chooseCreator : w.door.noCreator}>
      {creators.length === 0 && <p className="quiet">{w.door.noCreatorLead}</p>}
      <ul className="door-list">
        {creators.map((one) => (
          <li key={one.creator_id}><button type="button" className="button" disabled={busy} onClick={() => void send(() => switchTo(one.creator_id))}>{one.name} <span className="quiet small">{one.role}</span></button></li>
        ))}
      </ul>
      <FormProblem problem={problem} />
      <button type="button" className="button" onClick={() => void start()}><Icon name="retry" size={16} />{w.retry}</button>
      <button type="button" className="text-button" onClick={() => void signOut()}>{w.settings.signOut}</button>
      {creators.length === 0 && <Leave who={session.who} />}
    </DoorFrame>
  );
}
