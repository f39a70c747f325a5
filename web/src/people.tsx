// SPDX-License-Identifier: MIT
// The people being coached: finding one, their plan, what is kept about them, and forgetting them.
import { type FormEvent, useDeferredValue, useState } from 'react';
import { type Me, sendJson } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { count, date } from './format.ts';
import { Icon } from './icons.tsx';
import { Confirm, Download, saveJson, Section, useLoaded, Whole } from './loaded.tsx';
import { Dialog } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';

interface Person { id: string; kind: string; email: string | null; name: string; plan: 'free' | 'premium'; attributes: Record<string, unknown>; created_at: string; seen_at: string | null }
const SHOWN = 50;

function Edit({ me, person, onClose, onDone }: { me: Me; person: Person; onClose: () => void; onDone: () => void }) {
  const w = useWords();
  const [name, setName] = useState(person.name);
  const [email, setEmail] = useState(person.email ?? '');
  const [plan, setPlan] = useState(person.plan);
  const [erasing, setErasing] = useState(false);
  const { busy, problem, send } = useSending();
  const path = `/api/v1/users/${encodeURIComponent(person.id)}`;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => { await sendJson('PUT', path, { name: name.trim(), plan, ...(email.trim() ? { email: email.trim() } : {}) }); onDone(); });
  };
  if (erasing) {
    return (
      <Confirm
        title={w.manage.erasePerson} lead={w.manage.erasePersonLead} yes={w.account.eraseYes} typed={person.id} onClose={onClose}
        onYes={async () => { saveJson(`erasure-${person.id}.json`, await sendJson('DELETE', path, { confirm: 'erase' })); onDone(); }}
      />
    );
  }
  return (
    <Dialog title={person.name || person.id} onClose={onClose}>
      <form onSubmit={submit}>
        <p className="quiet small"><code>{person.id}</code> · {w.manage.kinds[person.kind] ?? person.kind}</p>
        <Field label={w.manage.personName} value={name} onChange={(event) => setName(event.target.value)} problem={atField(problem, 'name')} data-first />
        <Field label={w.door.email} type="email" value={email} onChange={(event) => setEmail(event.target.value)} problem={atField(problem, 'email')} />
        <label className="field"><span>{w.manage.plan}</span><select value={plan} onChange={(event) => setPlan(event.target.value as Person['plan'])}><option value="free">{w.manage.free}</option><option value="premium">{w.manage.premium}</option></select></label>
        <FormProblem problem={problem} fields={['name', 'email']} />
        {me.rights.includes('privacy:write') && (
          <p className="buttons"><Download path={`${path}/export`} name={`${person.id}.zip`} label={w.account.export} /><button type="button" className="button button-bad" onClick={() => setErasing(true)}>{w.account.eraseYes}</button></p>
        )}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>{w.cancel}</button>
          <button type="submit" className="button button-main" disabled={busy}>{w.account.save}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function People({ me }: { me: Me }) {
  const w = useWords();
  const { language } = usePreferences();
  const [text, setText] = useState('');
  const [offset, setOffset] = useState(0);
  const [open, setOpen] = useState<Person | null>(null);
  const wanted = useDeferredValue(text.trim());
  const loaded = useLoaded<{ users: Person[]; total: number }>(`/api/v1/users?${new URLSearchParams({ ...(wanted ? { q: wanted } : {}), offset: String(offset), limit: String(SHOWN) })}`);
  return (
    <Section title={w.manage.views.people} lead={w.manage.peopleLead}>
      <div className="tools">
        <label className="search"><Icon name="search" size={18} /><span className="visually-hidden">{w.manage.findPeople}</span>
          <input type="search" value={text} placeholder={w.manage.findPeople} onChange={(event) => { setText(event.target.value); setOffset(0); }} /></label>
        <p className="quiet small tools-count" role="status">{loaded.data && w.manage.peopleCount(count(loaded.data.total, language), loaded.data.total)}</p>
      </div>
      <Whole loaded={loaded}>{({ users, total }) => (users.length === 0 ? <p className="quiet">{wanted ? w.documents.noMatch(wanted) : w.manage.noPeople}</p> : (
        <>
          <ul className="list">
            {users.map((one) => (
              <li key={one.id}>
                <div><strong>{one.name || one.email || one.id}</strong><span className="quiet small">{[w.manage.kinds[one.kind] ?? one.kind, one.email, one.seen_at ? w.account.usedAt(date(one.seen_at, language)) : ''].filter(Boolean).join(' · ')}</span></div>
                {one.plan === 'premium' && <span className="pill pill-good">{w.manage.premium}</span>}
                <button type="button" className="text-button" onClick={() => setOpen(one)} aria-label={w.manage.openPerson(one.name || one.email || one.id)}>{w.manage.edit}</button>
              </li>
            ))}
          </ul>
          {(offset > 0 || offset + users.length < total) && (
            <p className="buttons">
              <button type="button" className="button" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - SHOWN))}><Icon name="left" size={16} />{w.manage.newer}</button>
              <button type="button" className="button" disabled={offset + users.length >= total} onClick={() => setOffset(offset + SHOWN)}>{w.manage.older}<Icon name="right" size={16} /></button>
            </p>
          )}
        </>
      ))}</Whole>
      {open && <Edit me={me} person={open} onClose={() => setOpen(null)} onDone={() => { setOpen(null); loaded.reload(); }} />}
    </Section>
  );
}
