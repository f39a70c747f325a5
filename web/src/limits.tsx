// SPDX-License-Identifier: MIT
// How much of each limit is used right now.
import { count } from './format.ts';
import { Icon } from './icons.tsx';
import { Section, useLoaded, Whole } from './loaded.tsx';
import { Meter } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';

interface Limit { policy: string; key: string; limit: number; used: number; remaining: number; reset_s: number; window_s: number; factor: number }

export function Limits({ all }: { all?: boolean }) {
  const w = useWords();
  const { language } = usePreferences();
  const loaded = useLoaded<{ limits: Limit[] }>(`/api/v1/limits${all ? '?all=1' : ''}`);
  return (
    <Section title={w.manage.views.limits} lead={w.manage.limitsLead} action={<button type="button" className="button" onClick={loaded.reload}><Icon name="retry" size={16} />{w.manage.refresh}</button>}>
      <Whole loaded={loaded}>{({ limits }) => (limits.length === 0 ? <p className="quiet">{w.manage.noLimits}</p> : (
        <ul className="list">
          {limits.map((one) => (
            <li key={`${one.policy} ${one.key}`}>
              <div><strong>{one.policy}</strong> <code>{one.key}</code>
                <span className="quiet small">{w.manage.usedOf(count(one.used, language), count(one.limit, language), one.window_s)}{one.factor < 1 ? ` · ${w.manage.tightened}` : ''}</span></div>
              <Meter share={one.limit > 0 ? one.used / one.limit : 0} label={one.policy} tone={one.remaining === 0 ? 'bad' : 'accent'} />
            </li>
          ))}
        </ul>
      ))}</Whole>
    </Section>
  );
}
