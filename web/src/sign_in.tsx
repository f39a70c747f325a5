// SPDX-License-Identifier: MIT
import { type FormEvent, useState } from 'react';
import { ApiError } from './api.ts';
import { DoorFrame, SignUp } from './doors.tsx';
import { Field, FormProblem, useSending } from './field.tsx';
import { explain, problemOf } from './parts.tsx';
import { useWords } from './preferences.ts';
import { askForLink, signIn, signInWith, visit, type Session } from './session.ts';

function TokenForm() {
  const w = useWords();
  const [token, setToken] = useState('');
  const [lasting, setLasting] = useState(true);
  const { busy, problem, send } = useSending();
  const words = problem && ([400, 401, 403, 404].includes(problem.status) ? w.start.refused : explain(problemOf(problem), w).text);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (token.trim() !== '') void send(() => signIn(token.trim().replace(/^Bearer\s+/i, ''), lasting));
  };
  return (
    <form onSubmit={submit}>
      <p className="quiet small">{w.start.lead} <code>chiron token --creator NAME</code></p>
      <label htmlFor="token">{w.start.token}</label>
      <textarea
        id="token" rows={3} value={token} onChange={(event) => setToken(event.target.value)} autoComplete="off" spellCheck={false} autoCapitalize="off"
        aria-invalid={Boolean(words)} aria-describedby={words ? 'token-problem' : undefined} required
      />
      {words && <p id="token-problem" className="field-error" role="alert">{words}</p>}
      <label className="tick"><input type="checkbox" checked={lasting} onChange={(event) => setLasting(event.target.checked)} />{w.start.keep}</label>
      <button type="submit" className="button button-main" disabled={busy || token.trim() === ''}>{busy ? w.start.entering : w.start.enterToken}</button>
    </form>
  );
}

type Step = 'password' | 'code' | 'recovery';

/** Only a right password hears that a code is wanted, so the code is a second step of the same form. */
function PasswordForm({ mail }: { mail: boolean }) {
  const w = useWords();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [step, setStep] = useState<Step>('password');
  const [sent, setSent] = useState<'sign_in' | 'password' | null>(null);
  const { busy, problem, send, clear } = useSending();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const more = step === 'code' ? { totp: code.replace(/\s/g, '') } : step === 'recovery' ? { recovery_code: code.trim() } : {};
    void send(async () => {
      try {
        await signInWith({ email: email.trim(), password, ...more });
      } catch (cause) {
        if (!(cause instanceof ApiError) || cause.code !== 'totp_required' || step !== 'password') throw cause;
        setStep('code');
      }
    });
  };
  const mailLink = (purpose: 'sign_in' | 'password'): void => {
    if (email.trim() === '') return document.getElementById('email')?.focus();
    void send(async () => { await askForLink(email.trim(), purpose); setSent(purpose); });
  };
  const words = problem && (problem.status === 401 ? (step === 'password' ? w.door.wrong : w.door.wrongCode)
    : problem.status === 429 ? w.door.wait(problem.retryAfter ?? 60) : null);
  return (
    <>
      <form onSubmit={submit}>
        {step === 'password' ? (
          <>
            <Field id="email" label={w.door.email} type="email" autoComplete="username" value={email} onChange={(event) => setEmail(event.target.value)} required />
            <Field label={w.door.password} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} required />
          </>
        ) : (
          <Field
            key={step} label={step === 'code' ? w.door.code : w.door.recovery} inputMode={step === 'code' ? 'numeric' : 'text'} autoComplete="one-time-code" value={code}
            onChange={(event) => setCode(event.target.value)} hint={step === 'code' ? w.door.codeHint : w.door.recoveryHint} required autoFocus
          />
        )}
        {words ? <p className="field-error" role="alert">{words}</p> : <FormProblem problem={problem} />}
        <button type="submit" className="button button-main" disabled={busy}>{busy ? w.start.entering : w.start.enter}</button>
      </form>
      {step !== 'password' && (
        <p className="door-links">
          <button type="button" className="text-button" onClick={() => { clear(); setCode(''); setStep(step === 'code' ? 'recovery' : 'code'); }}>{step === 'code' ? w.door.useRecovery : w.door.useCode}</button>
          <button type="button" className="text-button" onClick={() => { clear(); setCode(''); setStep('password'); }}>{w.door.startOver}</button>
        </p>
      )}
      {step === 'password' && mail && (
        sent ? <p className="note note-good" role="status">{w.door.sent(email.trim())}</p> : (
          <p className="door-links">
            <button type="button" className="text-button" disabled={busy} onClick={() => mailLink('sign_in')}>{w.door.mailLink}</button>
            <button type="button" className="text-button" disabled={busy} onClick={() => mailLink('password')}>{w.door.forgotten}</button>
          </p>
        )
      )}
    </>
  );
}

export function SignIn({ session }: { session: Extract<Session, { state: 'out' }> }) {
  const w = useWords();
  const [begin, setBegin] = useState(false);
  const { providers } = session;
  if (begin) return <SignUp onBack={() => setBegin(false)} />;
  const note = {
    none: '', 'setup-used': w.start.setupUsed, expired: w.start.expired, left: w.start.left, elsewhere: w.start.left, issuer: w.door.issuerFailed, changed: w.door.erased,
  }[session.why];
  return (
    <DoorFrame title={w.start.title}>
      {note && <p className={session.why === 'left' || session.why === 'elsewhere' ? 'note note-quiet' : 'note'} role="status">{note}</p>}
      {providers.password && <PasswordForm mail={providers.mail} />}
      {providers.oidc.map((one) => (
        <a key={one.id} className="button" href={`/api/v1/auth/oidc/${encodeURIComponent(one.id)}/start?back=${encodeURIComponent('/#/sign-in')}`}>{w.door.with(one.name)}</a>
      ))}
      {providers.signup && <button type="button" className="button" onClick={() => setBegin(true)}>{w.door.signUp}</button>}
      {session.demo && <button type="button" className="button" onClick={() => void visit()}>{w.start.visit}</button>}
      {providers.password ? <details className="door-more"><summary>{w.door.haveToken}</summary><TokenForm /></details> : <TokenForm />}
    </DoorFrame>
  );
}
