// SPDX-License-Identifier: MIT
// A creator's affairs, each view by the right it needs: who works here, which programs may come in, who is coached, what was done,
// what is kept and how much is used.
import { type ReactNode, useEffect, useRef } from 'react';
import type { Me, Right } from './api.ts';
import { AuditLog } from './audit.tsx';
import { CreatorSettings } from './creator.tsx';
import { Keys } from './keys.tsx';
import { Limits } from './limits.tsx';
import { Members } from './members.tsx';
import { People } from './people.tsx';
import { Retention } from './retention.tsx';
import { useWords } from './preferences.ts';
import type { Words } from './words/en.ts';

interface View { name: keyof Words['manage']['views']; right: Right; show: (me: Me) => ReactNode }
const views: View[] = [
  { name: 'members', right: 'members:write', show: (me) => <Members me={me} /> },
  { name: 'keys', right: 'keys:write', show: (me) => <Keys me={me} /> },
  { name: 'people', right: 'users:write', show: (me) => <People me={me} /> },
  { name: 'audit', right: 'audit:read', show: () => <AuditLog /> },
  { name: 'retention', right: 'privacy:write', show: () => <Retention /> },
  { name: 'limits', right: 'limits:write', show: () => <Limits all /> },
  { name: 'creator', right: 'settings:write', show: (me) => <CreatorSettings me={me} /> },
];

export const mayManage = (me: Me): boolean => views.some((view) => me.rights.includes(view.right));

export function Manage({ me, view }: { me: Me; view: string }) {
  const w = useWords();
  const tabs = useRef<HTMLElement>(null);
  // On a narrow screen the chosen view's name may lie beyond the edge.
  useEffect(() => { tabs.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }); }, [view]);
  const mine = views.filter((one) => me.rights.includes(one.right));
  const named = views.find((one) => one.name === view);
  const shown = mine.find((one) => one.name === view) ?? (named ? undefined : mine[0]);
  return (
    <div className="sheet-page manage">
      <h1>{w.manage.title}</h1>
      <nav ref={tabs} className="tabs" aria-label={w.manage.title}>
        {mine.map((one) => <a key={one.name} href={`#/manage/${one.name}`} aria-current={one === shown ? 'page' : undefined}>{w.manage.views[one.name]}</a>)}
      </nav>
      {shown ? shown.show(me) : <p className="lead">{w.manage.missing(named?.right ?? '')}</p>}
    </div>
  );
}
