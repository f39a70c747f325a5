// SPDX-License-Identifier: MIT
// What was done here, newest first, and whether the log is whole.
import { useDeferredValue, useState } from 'react';
import { getJson } from './api.ts';
import { FormProblem, useSending } from './field.tsx';
import { count, dateTime } from './format.ts';
import { Icon } from './icons.tsx';
import { Section, useLoaded, Whole } from './loaded.tsx';
import { usePreferences, useWords } from './preferences.ts';

interface Entry { seq: number; at: string; actor_kind: string; actor: string; actor_name?: string | null; action: string; target: string; outcome: 'done' | 'refused' | 'failed'; address: string; request_id: string; details: Record<string, unknown> }
interface Verified { entries: number; whole: boolean; first_broken: number | null }

export function AuditLog() {
  const w = useWords();
  const { language } = usePreferences();
  const [text, setText] = useState('');
  const [from, setFrom] = useState('');
  const [before, setBefore] = useState<number[]>([]);
  const [verified, setVerified] = useState<Verified | null>(null);
  const { busy, problem, send } = useSending();
  const wanted = useDeferredValue(text.trim());
  const query = new URLSearchParams({ limit: '50', ...(wanted ? { q: wanted } : {}), ...(from ? { from: `${from}T00:00:00Z` } : {}), ...(before.length ? { before: String(before.at(-1)) } : {}) });
  const loaded = useLoaded<{ entries: Entry[]; next: number | null }>(`/api/v1/audit?${query}`);
  return (
    <Section title={w.manage.views.audit} lead={w.manage.auditLead} action={<button type="button" className="button" disabled={busy} onClick={() => void send(async () => setVerified(await getJson('/api/v1/audit/verify')))}><Icon name="check" size={16} />{w.manage.verify}</button>}>
      <FormProblem problem={problem} />
      {verified && <p className={`note ${verified.whole ? 'note-good' : ''}`} role="status"><Icon name={verified.whole ? 'check' : 'warn'} size={16} />{verified.whole ? w.manage.whole(count(verified.entries, language)) : w.manage.broken(verified.first_broken ?? 0)}</p>}
      <div className="tools">
        <label className="search"><Icon name="search" size={18} /><span className="visually-hidden">{w.manage.findAudit}</span><input type="search" value={text} placeholder={w.manage.findAudit} onChange={(event) => { setText(event.target.value); setBefore([]); }} /></label>
        <label className="sort"><span className="quiet small">{w.manage.since}</span><input type="date" value={from} onChange={(event) => { setFrom(event.target.value); setBefore([]); }} /></label>
      </div>
      <Whole loaded={loaded}>{({ entries, next }) => (entries.length === 0 ? <p className="quiet">{w.manage.noEntries}</p> : (
        <>
          <ul className="list audit">
            {entries.map((one) => (
              <li key={one.seq}>
                <div><strong>{w.manage.actions[one.action] ?? one.action}</strong>
                  {one.outcome !== 'done' && <span className={`pill ${one.outcome === 'failed' ? 'pill-bad' : 'pill-busy'}`}>{w.manage.outcomes[one.outcome]}</span>}
                  <span className="quiet small">{[one.actor_name || one.actor || w.manage.actors[one.actor_kind], one.target, one.address].filter(Boolean).join(' · ')}</span>
                  {Object.keys(one.details ?? {}).length > 0 && <span className="quiet small">{Object.entries(one.details).map(([name, value]) => `${name}: ${String(value)}`).join(', ')}</span>}</div>
                <time className="quiet small" dateTime={one.at}>{dateTime(one.at, language)}</time>
              </li>
            ))}
          </ul>
          {(before.length > 0 || next !== null) && (
            <p className="buttons">
              <button type="button" className="button" disabled={before.length === 0} onClick={() => setBefore(before.slice(0, -1))}><Icon name="left" size={16} />{w.manage.newer}</button>
              <button type="button" className="button" disabled={next === null} onClick={() => next !== null && setBefore([...before, next])}>{w.manage.older}<Icon name="right" size={16} /></button>
            </p>
          )}
        </>
      ))}</Whole>
    </Section>
  );
}
