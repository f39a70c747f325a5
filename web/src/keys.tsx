// SPDX-License-Identifier: MIT
// Keys for programs. The whole key is shown once; afterwards only its beginning tells one from another.
import { type FormEvent, useState } from 'react';
import { type Me, postJson, request } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { date } from './format.ts';
import { Icon } from './icons.tsx';
import { Confirm, Secret, Section, useLoaded, Whole } from './loaded.tsx';
import { Dialog } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';

interface Key { id: string; name: string; prefix: string; scopes: string[]; created_at: string; expires_at: string | null; last_used_at: string | null; state: 'active' | 'expired' | 'revoked' | 'rotated' }
const never = ['self', 'creator:own', 'public'];

function Make({ me, onClose, onDone }: { me: Me; onClose: () => void; onDone: (key: string) => void }) {
  const w = useWords();
  const offered = me.rights.filter((one) => !never.includes(one));
  const [name, setName] = useState('');
  const [days, setDays] = useState('90');
  const [scopes, setScopes] = useState(new Set<string>(['ask'].filter((one) => offered.includes(one as never))));
  const { busy, problem, send } = useSending();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => {
      const body = { name: name.trim(), scopes: [...scopes], ...(days ? { expires_in_days: Number(days) } : {}) };
      onDone((await postJson<{ key: string }>('/api/v1/keys', body)).key);
    });
  };
  const toggle = (one: string): void => {
    const next = new Set(scopes);
    if (!next.delete(one)) next.add(one);
    setScopes(next);
  };
  return (
    <Dialog title={w.manage.newKey} onClose={onClose}>
      <form onSubmit={submit}>
        <Field label={w.manage.keyName} value={name} onChange={(event) => setName(event.target.value)} problem={atField(problem, 'name')} hint={w.manage.keyNameHint} required data-first />
        <label className="field"><span>{w.manage.expires}</span>
          <select value={days} onChange={(event) => setDays(event.target.value)}>
            {['30', '90', '365', ''].map((one) => <option key={one} value={one}>{one ? w.manage.days(Number(one)) : w.manage.neverExpires}</option>)}
          </select>
        </label>
        <fieldset className="ticks"><legend>{w.manage.scopes}</legend>
          {offered.map((one) => <label key={one} className="tick"><input type="checkbox" checked={scopes.has(one)} onChange={() => toggle(one)} /><span>{w.manage.rights[one] ?? one} <code>{one}</code></span></label>)}
        </fieldset>
        <FormProblem problem={problem} fields={['name']} />
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>{w.cancel}</button>
          <button type="submit" className="button button-main" disabled={busy || scopes.size === 0}>{w.manage.makeKey}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function Keys({ me }: { me: Me }) {
  const w = useWords();
  const { language } = usePreferences();
  const loaded = useLoaded<{ keys: Key[] }>('/api/v1/keys');
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const [ending, setEnding] = useState<Key | null>(null);
  const { busy, problem, send } = useSending();
  const rotate = (key: Key): void => void send(async () => {
    setMade((await postJson<{ key: string }>(`/api/v1/keys/${encodeURIComponent(key.id)}/rotate`, { grace_hours: 24 })).key);
    loaded.reload();
  });
  return (
    <Section title={w.manage.views.keys} lead={w.manage.keysLead} action={<button type="button" className="button button-main" onClick={() => setMaking(true)}><Icon name="plus" size={16} />{w.manage.newKey}</button>}>
      <FormProblem problem={problem} />
      <Whole loaded={loaded}>{({ keys }) => (keys.length === 0 ? <p className="quiet">{w.manage.noKeys}</p> : (
        <ul className="list">
          {keys.map((one) => (
            <li key={one.id} className={one.state === 'active' ? undefined : 'past'}>
              <div><strong>{one.name}</strong> <code>{one.prefix}…</code>
                <span className="quiet small">{[one.scopes.join(', '), one.expires_at ? w.manage.until(date(one.expires_at, language)) : w.manage.neverExpires, one.last_used_at ? w.account.usedAt(date(one.last_used_at, language)) : w.manage.unused].join(' · ')}</span></div>
              <span className={`pill ${one.state === 'active' ? 'pill-good' : ''}`}>{w.manage.keyStates[one.state]}</span>
              {one.state === 'active' && <button type="button" className="text-button" disabled={busy} onClick={() => rotate(one)}>{w.manage.rotate}</button>}
              {one.state === 'active' && <button type="button" className="icon-button row-remove" aria-label={w.manage.revokeKey(one.name)} onClick={() => setEnding(one)}><Icon name="trash" size={18} /></button>}
            </li>
          ))}
        </ul>
      ))}</Whole>
      {making && <Make me={me} onClose={() => setMaking(false)} onDone={(key) => { setMaking(false); setMade(key); loaded.reload(); }} />}
      {made && <Secret title={w.manage.keyMade} lead={w.manage.keyMadeLead} lines={[made]} onClose={() => setMade(null)} />}
      {ending && (
        <Confirm
          title={w.manage.revokeKey(ending.name)} lead={w.manage.revokeLead} yes={w.manage.revoke} onClose={() => setEnding(null)}
          onYes={async () => { await request(`/api/v1/keys/${encodeURIComponent(ending.id)}`, { method: 'DELETE' }); setEnding(null); loaded.reload(); }}
        />
      )}
    </Section>
  );
}
