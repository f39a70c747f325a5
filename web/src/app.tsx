// SPDX-License-Identifier: MIT
// The frame around the views. Each view is one address; the conversation and the uploads live outside of them.
import { useEffect, useRef, useState } from 'react';
import { AccountPage } from './account.tsx';
import { getJson, type Me, type TurnRow, type Who } from './api.ts';
import { Ask } from './ask.tsx';
import { onTurn } from './conversation.ts';
import { Documents } from './documents.tsx';
import { LinkDoor, Nowhere, SetUp } from './doors.tsx';
import { EvidencePanel, forgetEvidence, useEvidence } from './evidence.tsx';
import { Icon, Mark } from './icons.tsx';
import { Manage, mayManage } from './manage.tsx';
import { Dialog, explain, useMedia } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { Reader } from './reader.tsx';
import { type Route, useRoute, whyHref } from './route.ts';
import { start, useSession } from './session.ts';
import { Account, Colophon, Preferences } from './settings.tsx';
import { SignIn } from './sign_in.tsx';
import { Why } from './why.tsx';

/** The same question asked again stands in the list once, as it was answered last. */
function distinct(turns: TurnRow[]): TurnRow[] {
  const seen = new Set<string>();
  return turns.filter((turn) => !seen.has(turn.question) && seen.add(turn.question)).slice(0, 8);
}

function useRecent(me: Me): TurnRow[] {
  const [turns, setTurns] = useState<TurnRow[]>([]);
  useEffect(() => {
    let wanted = true;
    const load = (): void => {
      getJson<{ turns: TurnRow[] }>('/api/v1/turns?limit=40').then((got) => wanted && setTurns(distinct(got.turns ?? [])), () => {});
    };
    load();
    const off = onTurn(load);
    return () => { wanted = false; off(); };
  }, [me]);
  return turns;
}

function Nav({ route, me }: { route: Route; me: Me }) {
  const w = useWords();
  const inAsk = route.name === 'ask' || route.name === 'why';
  return (
    <nav className="nav" aria-label={w.nav.label}>
      <a href="#/ask" aria-current={inAsk ? 'page' : undefined}><Icon name="ask" /><span>{w.nav.ask}</span></a>
      <a href="#/documents" aria-current={route.name === 'documents' || route.name === 'document' ? 'page' : undefined}><Icon name="documents" /><span>{w.nav.documents}</span></a>
      {mayManage(me) && <a href="#/manage" aria-current={route.name === 'manage' ? 'page' : undefined}><Icon name="people" /><span>{w.nav.manage}</span></a>}
    </nav>
  );
}

function Recent({ turns, route, onPick }: { turns: TurnRow[]; route: Route; onPick?: () => void }) {
  const w = useWords();
  if (turns.length === 0) return null;
  return (
    <section className="recent" aria-labelledby="recent">
      <h2 id="recent" className="eyebrow">{w.nav.recent}</h2>
      <ul>
        {turns.map((turn) => (
          <li key={turn.id}>
            <a href={whyHref(turn.id)} onClick={onPick} title={turn.question} aria-current={route.name === 'why' && route.id === turn.id ? 'page' : undefined}>
              <span className={turn.covered ? 'dot' : 'dot dot-none'} aria-hidden="true" />
              <span>{turn.question}</span>
              {!turn.covered && <span className="visually-hidden">({w.answer.notCovered})</span>}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function View({ route, me, who, fresh }: { route: Route; me: Me; who: Who | null; fresh: boolean }) {
  if (route.name === 'documents') return <Documents me={me} />;
  if (route.name === 'document') return <Reader me={me} id={route.id} page={route.page} start={route.start} end={route.end} />;
  if (route.name === 'why') return <Why id={route.id} />;
  if (route.name === 'account') return <AccountPage me={me} who={who} />;
  if (route.name === 'manage') return <Manage me={me} view={route.view} />;
  return <Ask me={me} fresh={fresh} />;
}

function titleOf(route: Route, w: ReturnType<typeof useWords>, coach: string): string {
  if (route.name === 'documents' || route.name === 'document') return w.documents.title;
  if (route.name === 'why') return w.why.title;
  if (route.name === 'account') return w.settings.account;
  if (route.name === 'manage') return w.manage.title;
  return w.ask.heading(coach);
}

function Inside({ me, who, fresh }: { me: Me; who: Who | null; fresh: boolean }) {
  const w = useWords();
  const route = useRoute();
  const wide = useMedia('(min-width: 1024px)');
  const [menu, setMenu] = useState(false);
  const turns = useRecent(me);
  const main = useRef<HTMLElement>(null);
  const place = route.name === 'document' || route.name === 'why' ? `${route.name}/${route.id}` : route.name === 'manage' ? `manage/${route.view}` : route.name;
  const before = useRef(place);
  const evidence = useEvidence();

  useEffect(() => { document.title = `${titleOf(route, w, me.coach?.name || 'Chiron')} · Chiron`; });
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    setMenu(false);
    forgetEvidence();
    if (route.name !== 'document') window.scrollTo({ top: 0 });
    main.current?.focus({ preventScroll: true });
  }, [place, route.name]);
  useEffect(() => { if (wide) setMenu(false); }, [wide]);

  return (
    <div className={`app${evidence ? ' app-evidence' : ''}`}>
      <a className="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{w.skip}</a>
      {wide ? (
        <header className="side">
          <a className="brand" href="#/ask"><Mark /><span>Chiron</span></a>
          <Nav route={route} me={me} />
          <Recent turns={turns} route={route} />
          <div className="side-foot"><Preferences /><Account me={me} /><Colophon version={me.version} /></div>
        </header>
      ) : (
        <header className="top">
          <a className="brand" href="#/ask" aria-label="Chiron"><Mark size={28} /><span>Chiron</span></a>
          <Nav route={route} me={me} />
          <button type="button" className="icon-button" onClick={() => setMenu(true)} aria-label={w.nav.menu} aria-haspopup="dialog"><Icon name="menu" /></button>
        </header>
      )}
      <main id="content" ref={main} tabIndex={-1}><View route={route} me={me} who={who} fresh={fresh} /></main>
      <EvidencePanel />
      {menu && !wide && (
        <Dialog title={w.settings.title} className="sheet" onClose={() => setMenu(false)}>
          <Recent turns={turns} route={route} onPick={() => setMenu(false)} />
          <Preferences />
          <Account me={me} />
          <Colophon version={me.version} />
        </Dialog>
      )}
    </div>
  );
}

export function App() {
  const w = useWords();
  usePreferences();
  const session = useSession();
  if (session.state === 'in') return <Inside key={`${session.me.creator_id}/${session.me.user_id}`} me={session.me} who={session.who} fresh={session.fresh} />;
  if (session.state === 'out') return <SignIn session={session} />;
  if (session.state === 'setup') return <SetUp session={session} />;
  if (session.state === 'link') return <LinkDoor key={session.token} session={session} />;
  if (session.state === 'nowhere') return <Nowhere session={session} />;
  if (session.state === 'unreachable') {
    return (
      <main className="door" id="content">
        <div className="door-card" role="alert">
          <p className="brand"><Mark size={36} /><span>Chiron</span></p>
          <h1>{w.start.unreachable}</h1>
          <p className="quiet">{explain({ status: session.error.status, words: session.error.message }, w).text}</p>
          <button type="button" className="button button-main" onClick={() => void start()}><Icon name="retry" size={16} />{w.retry}</button>
        </div>
      </main>
    );
  }
  return <main className="door" id="content"><p className="door-wait" role="status"><Mark size={44} /><span className="visually-hidden">{w.start.connecting}</span></p></main>;
}
