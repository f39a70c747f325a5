// SPDX-License-Identifier: MIT
// How long things are kept, and what the next clean-up would take.
import { type FormEvent, useEffect, useState } from 'react';
import { postJson, sendJson } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { Section, useLoaded, Whole } from './loaded.tsx';
import { useWords } from './preferences.ts';

type Days = Record<string, number | null>;

export function Retention() {
  const w = useWords();
  const loaded = useLoaded<Days>('/api/v1/privacy/retention');
  const [days, setDays] = useState<Record<string, string>>({});
  const [removed, setRemoved] = useState<{ dry: boolean; counts: Record<string, number> } | null>(null);
  const [said, setSaid] = useState('');
  const { busy, problem, send } = useSending();
  useEffect(() => { if (loaded.data) setDays(Object.fromEntries(Object.entries(loaded.data).map(([name, value]) => [name, value === null ? '' : String(value)]))); }, [loaded.data]);
  const save = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => {
      await sendJson('PUT', '/api/v1/privacy/retention', Object.fromEntries(Object.entries(days).map(([name, value]) => [name, value === '' ? null : Number(value)])));
      setSaid(w.account.saved);
      loaded.reload();
    });
  };
  const run = (dry: boolean): void => void send(async () => setRemoved({ dry, counts: (await postJson<{ removed: Record<string, number> }>('/api/v1/privacy/retention/run', { dry_run: dry })).removed }));
  const rows = removed ? Object.entries(removed.counts).filter(([, n]) => n > 0) : [];
  return (
    <Section title={w.manage.views.retention} lead={w.manage.retentionLead}>
      <Whole loaded={loaded}>{() => (
        <form className="grid-form" onSubmit={save}>
          {Object.keys(days).map((name) => (
            <Field key={name} label={w.manage.keep[name] ?? name} type="number" min={0} max={36500} inputMode="numeric" value={days[name] ?? ''} placeholder={w.manage.forever} onChange={(event) => setDays({ ...days, [name]: event.target.value })} problem={atField(problem, name)} hint={w.manage.daysHint} />
          ))}
          <FormProblem problem={problem} fields={Object.keys(days)} />
          <p className="buttons">
            <button type="submit" className="button button-main" disabled={busy}>{w.account.save}</button>
            <button type="button" className="button" disabled={busy} onClick={() => run(true)}>{w.manage.dryRun}</button>
            <button type="button" className="button" disabled={busy} onClick={() => run(false)}>{w.manage.runNow}</button>
          </p>
          <p role="status" className="quiet small">{said}</p>
        </form>
      )}</Whole>
      {removed && <p className="note note-quiet" role="status">{rows.length === 0 ? w.manage.nothingOld : `${removed.dry ? w.manage.wouldGo : w.manage.went}: ${rows.map(([name, n]) => `${name} ${n}`).join(', ')}`}</p>}
    </Section>
  );
}
