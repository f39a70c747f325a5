// SPDX-License-Identifier: MIT
// What a person can do with their own account: name, password, second factor, sign-ins, their data, and leaving for good.
import { type FormEvent, useState } from 'react';
import { encode } from 'uqr';
import { type Me, postJson, request, sendJson, type Who } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { dateTime } from './format.ts';
import { Confirm, Copy, Download, saveJson, Secret, Section, useLoaded, Whole } from './loaded.tsx';
import { Dialog } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { askForLink, gone, lookAgain, signOut, switchTo } from './session.ts';

function Name({ who }: { who: Who }) {
  const w = useWords();
  const [name, setName] = useState(who.full_name ?? '');
  const [said, setSaid] = useState('');
  const { busy, problem, send } = useSending();
  const save = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => { await sendJson('PATCH', '/api/v1/auth/me', { full_name: name.trim() }); setSaid(w.account.saved); await lookAgain(); });
  };
  const verify = (): void => void send(async () => { await askForLink(who.email ?? '', 'verify'); setSaid(w.door.sent(who.email ?? '')); });
  return (
    <Section title={w.account.you}>
      <dl className="facts-quiet"><div><dt className="quiet small">{w.door.email}</dt><dd>{who.email} {who.email_verified ? <span className="pill pill-good">{w.account.verified}</span> : <button type="button" className="text-button" disabled={busy} onClick={verify}>{w.account.verify}</button>}</dd></div></dl>
      <form className="line-form" onSubmit={save}>
        <Field label={w.door.name} autoComplete="name" value={name} onChange={(event) => setName(event.target.value)} problem={atField(problem, 'full_name')} required />
        <button type="submit" className="button" disabled={busy || name.trim() === (who.full_name ?? '')}>{w.account.save}</button>
      </form>
      <FormProblem problem={problem} fields={['full_name']} />
      <p role="status" className="quiet small">{said}</p>
    </Section>
  );
}

function Password() {
  const w = useWords();
  const [now, setNow] = useState('');
  const [next, setNext] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, send } = useSending();
  const save = (event: FormEvent): void => {
    event.preventDefault();
    setSaid('');
    void send(async () => {
      await request('/api/v1/auth/password', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ current_password: now, password: next }) });
      setNow('');
      setNext('');
      setSaid(w.account.passwordSaved);
    });
  };
  return (
    <Section title={w.door.password}>
      <form onSubmit={save}>
        <Field label={w.account.currentPassword} type="password" autoComplete="current-password" value={now} onChange={(event) => setNow(event.target.value)} problem={problem?.status === 403 ? w.account.wrongPassword : atField(problem, 'current_password')} required />
        <Field label={w.door.newPassword} type="password" autoComplete="new-password" minLength={8} value={next} onChange={(event) => setNext(event.target.value)} problem={atField(problem, 'password')} hint={w.door.passwordHint} required />
        {problem?.status !== 403 && <FormProblem problem={problem} fields={['password', 'current_password']} />}
        <button type="submit" className="button" disabled={busy || now === '' || next === ''}>{w.account.changePassword}</button>
      </form>
      <p role="status" className="quiet small">{said}</p>
    </Section>
  );
}

/** Drawn as one path: the policy allows no data: address and no canvas is needed for squares. */
function Qr({ text, label }: { text: string; label: string }) {
  const { data, size } = encode(text, { border: 2 });
  const path = data.flatMap((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shapeRendering="crispEdges"><rect width={size} height={size} fill="#fff" /><path d={path} fill="#000" /></svg>;
}

function Begin({ onClose, onDone }: { onClose: () => void; onDone: (codes: string[]) => void }) {
  const w = useWords();
  const [password, setPassword] = useState('');
  const [made, setMade] = useState<{ secret: string; uri: string } | null>(null);
  const [code, setCode] = useState('');
  const { busy, problem, send } = useSending();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => {
      if (!made) return setMade(await postJson('/api/v1/auth/totp', { password }));
      onDone((await postJson<{ recovery_codes: string[] }>('/api/v1/auth/totp/confirm', { code: code.replace(/\s/g, '') })).recovery_codes);
    });
  };
  return (
    <Dialog title={w.account.totp} onClose={onClose}>
      <form onSubmit={submit}>
        {made ? (
          <>
            <p>{w.account.totpScan}</p>
            <Qr text={made.uri} label={w.account.totpPicture} />
            <p className="secret-line"><code>{made.secret}</code><Copy text={made.secret} /></p>
            <Field key="code" label={w.door.code} inputMode="numeric" autoComplete="one-time-code" value={code} onChange={(event) => setCode(event.target.value)} problem={problem && problem.status < 500 && problem.status !== 429 ? w.door.wrongCode : ''} required autoFocus />
          </>
        ) : (
          <Field key="password" label={w.account.currentPassword} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} problem={problem && [401, 403, 422].includes(problem.status) ? w.account.wrongPassword : ''} required data-first />
        )}
        {problem && (problem.status >= 500 || problem.status === 429 || problem.status === 0) && <FormProblem problem={problem} />}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>{w.cancel}</button>
          <button type="submit" className="button button-main" disabled={busy}>{made ? w.account.totpConfirm : w.account.next}</button>
        </div>
      </form>
    </Dialog>
  );
}

function SecondFactor({ who }: { who: Who }) {
  const w = useWords();
  const [open, setOpen] = useState<'on' | 'off' | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const off = async (): Promise<void> => {
    const plain = code.replace(/\s/g, '');
    await sendJson('DELETE', '/api/v1/auth/totp', { password, ...(/^\d{6}$/.test(plain) ? { code: plain } : { recovery_code: code.trim() }) });
    setOpen(null);
    await lookAgain();
  };
  return (
    <Section
      title={w.account.totp} lead={w.account.totpLead}
      action={<button type="button" className="button" onClick={() => setOpen(who.totp ? 'off' : 'on')}>{who.totp ? w.account.totpOffYes : w.account.totpOn}</button>}
    >
      <p><span className={`pill ${who.totp ? 'pill-good' : ''}`}>{who.totp ? w.account.on : w.account.off}</span></p>
      {open === 'on' && <Begin onClose={() => setOpen(null)} onDone={(got) => { setOpen(null); setCodes(got); }} />}
      {codes && <Secret title={w.account.codes} lead={w.account.codesLead} lines={codes} onClose={() => { setCodes(null); void lookAgain(); }} />}
      {open === 'off' && (
        <Confirm title={w.account.totpOff} lead={w.account.totpOffLead} yes={w.account.totpOffYes} onYes={off} onClose={() => setOpen(null)}>
          <Field label={w.account.currentPassword} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} required />
          <Field label={w.account.codeOrRecovery} autoComplete="one-time-code" value={code} onChange={(event) => setCode(event.target.value)} required />
        </Confirm>
      )}
    </Section>
  );
}

interface SignInRow { id: string; kind: string; creator_id: string | null; address: string; agent: string; created_at: string; used_at: string; expires_at: string; current: boolean }
function SignIns() {
  const w = useWords();
  const { language } = usePreferences();
  const loaded = useLoaded<{ sessions: SignInRow[] }>('/api/v1/auth/sessions');
  const { busy, problem, send } = useSending();
  const end = (id: string): void => void send(async () => { await request(`/api/v1/auth/sessions/${encodeURIComponent(id)}`, { method: 'DELETE' }); loaded.reload(); });
  return (
    <Section title={w.account.sessions} action={<button type="button" className="button" onClick={() => void signOut(true)}>{w.account.everywhere}</button>}>
      <Whole loaded={loaded}>{({ sessions }) => (
        <ul className="list">
          {sessions.map((one) => (
            <li key={one.id}>
              <div><strong>{one.agent || w.account.unknownAgent}</strong>{one.current && <span className="pill pill-good">{w.account.thisOne}</span>}
                <span className="quiet small">{[one.address, w.account.usedAt(dateTime(one.used_at, language))].filter(Boolean).join(' · ')}</span></div>
              {!one.current && <button type="button" className="text-button" disabled={busy} onClick={() => end(one.id)}>{w.account.end}</button>}
            </li>
          ))}
        </ul>
      )}</Whole>
      <FormProblem problem={problem} />
    </Section>
  );
}

export function Leave({ who }: { who: Who }) {
  const w = useWords();
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState('');
  const erase = async (): Promise<void> => {
    const certificate = await sendJson<unknown>('DELETE', '/api/v1/auth/me', { ...(who.email && !who.user ? { password } : {}), confirm: 'erase' });
    saveJson('erasure-certificate.json', certificate);
    await gone();
  };
  return (
    <Section title={w.account.data} lead={w.account.dataLead}>
      <p className="buttons">
        <Download path="/api/v1/auth/me/export" name="my-data.zip" label={w.account.export} />
        <button type="button" className="button button-bad" onClick={() => setOpen(true)}>{w.account.erase}</button>
      </p>
      {open && (
        <Confirm title={w.account.erase} lead={w.account.eraseLead} yes={w.account.eraseYes} typed="erase" onYes={erase} onClose={() => setOpen(false)}>
          {who.email && !who.user && <Field label={w.account.currentPassword} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} required />}
        </Confirm>
      )}
    </Section>
  );
}

function Elsewhere({ who }: { who: Who }) {
  const w = useWords();
  const { busy, problem, send } = useSending();
  const creators = who.creators ?? [];
  if (creators.length < 2) return null;
  return (
    <Section title={w.account.creators}>
      <ul className="list">
        {creators.map((one) => (
          <li key={one.creator_id}>
            <div><strong>{one.name}</strong><span className="quiet small">{one.creator_id} · {one.role}</span></div>
            {one.creator_id === who.creator_id ? <span className="pill pill-good">{w.account.here}</span>
              : <button type="button" className="button" disabled={busy} onClick={() => void send(() => switchTo(one.creator_id))}>{w.account.switchTo}</button>}
          </li>
        ))}
      </ul>
      <FormProblem problem={problem} />
    </Section>
  );
}

export function AccountPage({ me, who }: { me: Me; who: Who | null }) {
  const w = useWords();
  if (!who || !who.rights.includes('self')) {
    return (
      <div className="sheet-page">
        <h1>{w.settings.account}</h1>
        <p className="lead">{w.account.tokenOnly(me.role, me.creator_id)}</p>
      </div>
    );
  }
  return (
    <div className="sheet-page">
      <h1>{w.settings.account}</h1>
      {who.email && !who.user && <Name who={who} />}
      {who.email && !who.user && <Password />}
      {who.email && !who.user && <SecondFactor who={who} />}
      <Elsewhere who={who} />
      <SignIns />
      <Leave who={who} />
    </div>
  );
}
