// SPDX-License-Identifier: MIT
// The creator itself: its name, who may come in without being known, taking everything along, and closing it.
import { type FormEvent, useEffect, useState } from 'react';
import { type Me, sendJson } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { Confirm, Download, saveJson, Section, useLoaded, Whole } from './loaded.tsx';
import { useWords } from './preferences.ts';
import { gone } from './session.ts';

interface Creator { id: string; name: string; settings: { anonymous: boolean; email_users: boolean } & Record<string, unknown> }

export function CreatorSettings({ me }: { me: Me }) {
  const w = useWords();
  const loaded = useLoaded<Creator>('/api/v1/creator');
  const [mine, setMine] = useState<Creator | null>(null);
  const [closing, setClosing] = useState(false);
  const [password, setPassword] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, send } = useSending();
  useEffect(() => { setMine(loaded.data); }, [loaded.data]);
  const save = (event: FormEvent): void => {
    event.preventDefault();
    if (!mine) return;
    void send(async () => {
      await sendJson('PUT', '/api/v1/creator', { name: mine.name.trim(), settings: { anonymous: mine.settings.anonymous, email_users: mine.settings.email_users } });
      setSaid(w.account.saved);
      loaded.reload();
    });
  };
  const own = me.rights.includes('creator:own');
  return (
    <>
      <Section title={w.manage.views.creator}>
        <Whole loaded={loaded}>{() => mine && (
          <form onSubmit={save}>
            <p className="quiet small"><code>{mine.id}</code></p>
            <Field label={w.manage.creatorName} value={mine.name} onChange={(event) => setMine({ ...mine, name: event.target.value })} problem={atField(problem, 'name')} required />
            <label className="tick"><input type="checkbox" checked={mine.settings.anonymous} onChange={(event) => setMine({ ...mine, settings: { ...mine.settings, anonymous: event.target.checked } })} />{w.manage.anonymous}</label>
            <label className="tick"><input type="checkbox" checked={mine.settings.email_users} onChange={(event) => setMine({ ...mine, settings: { ...mine.settings, email_users: event.target.checked } })} />{w.manage.emailUsers}</label>
            <FormProblem problem={problem} fields={['name']} />
            <p className="buttons"><button type="submit" className="button button-main" disabled={busy}>{w.account.save}</button></p>
            <p role="status" className="quiet small">{said}</p>
          </form>
        )}</Whole>
      </Section>
      {own && (
        <Section title={w.manage.everything} lead={w.manage.everythingLead}>
          <p className="buttons">
            <Download path="/api/v1/creator/export" name={`${me.creator_id}.zip`} label={w.account.export} />
            <button type="button" className="button button-bad" onClick={() => setClosing(true)}>{w.manage.closeCreator}</button>
          </p>
        </Section>
      )}
      {closing && (
        <Confirm
          title={w.manage.closeCreator} lead={w.manage.closeLead} yes={w.account.eraseYes} typed={me.creator_id} onClose={() => setClosing(false)}
          onYes={async () => { saveJson(`erasure-${me.creator_id}.json`, await sendJson('DELETE', '/api/v1/creator', { password, confirm: me.creator_id })); await gone(); }}
        >
          <Field label={w.account.currentPassword} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} />
        </Confirm>
      )}
    </>
  );
}
