// SPDX-License-Identifier: MIT
// The conversation and the place to ask. Enter sends; what streams in is announced politely, sentence by sentence.
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import type { Document, Me } from './api.ts';
import { getJson } from './api.ts';
import { Answer } from './answer.tsx';
import { ask, newConversation, stop, useConversation } from './conversation.ts';
import { bytes } from './format.ts';
import { Icon } from './icons.tsx';
import { useMedia } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';

const LIMIT_QUERY_BYTES = 32 * 1024;

let draft = ''; // survives a look at another view

function useSuggestions(me: Me): string[] {
  const w = useWords();
  const { language } = usePreferences();
  const [titles, setTitles] = useState<string[]>([]);
  const given = me.coach?.questions?.[language] ?? me.coach?.questions?.[me.coach.language ?? ''];
  const own = !given && me.rights.includes('documents:read');
  useEffect(() => {
    if (!own) return;
    let wanted = true;
    getJson<{ documents: Document[] }>('/api/v1/hub/documents?offset=0&limit=20').then(
      ({ documents }) => wanted && setTitles(documents.filter((one) => one.state === 'ready').slice(0, 4).map((one) => one.title)),
      () => {}, // suggestions are a courtesy
    );
    return () => { wanted = false; };
  }, [own]);
  return given ?? titles.map(w.ask.about);
}

function Composer({ busy, follow }: { busy: boolean; follow: boolean }) {
  const w = useWords();
  const { language } = usePreferences();
  const [text, setText] = useState(draft);
  const field = useRef<HTMLTextAreaElement>(null);
  const roomy = useMedia('(min-width: 768px) and (pointer: fine)');
  const size = new TextEncoder().encode(text).length;
  const tooLong = size > LIMIT_QUERY_BYTES;

  useEffect(() => { draft = text; }, [text]);
  useEffect(() => { if (roomy) field.current?.focus({ preventScroll: true }); }, [roomy]);
  useEffect(() => {
    const box = field.current;
    if (!box || CSS.supports('field-sizing', 'content')) return;
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);

  const submit = (event?: FormEvent): void => {
    event?.preventDefault();
    const question = text.trim();
    if (busy || question === '' || tooLong) return;
    setText('');
    void ask(question);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer-box">
        <label className="visually-hidden" htmlFor="question">{w.ask.label}</label>
        <textarea
          id="question" ref={field} rows={1} value={text} onChange={(event) => setText(event.target.value)} onKeyDown={onKey}
          placeholder={follow ? w.ask.followUp : w.ask.placeholder} aria-describedby="question-hint" aria-invalid={tooLong} enterKeyHint="send"
        />
        {busy
          ? <button type="button" className="send send-stop" onClick={stop} aria-label={w.ask.stop}><Icon name="stop" /></button>
          : <button type="submit" className="send" disabled={text.trim() === '' || tooLong} aria-label={w.ask.send}><Icon name="send" /></button>}
      </div>
      <p id="question-hint" className={tooLong ? 'composer-error' : 'composer-hint'} role={tooLong ? 'alert' : undefined}>
        {tooLong ? w.ask.tooLong(bytes(LIMIT_QUERY_BYTES, language)) : w.ask.hint}
      </p>
    </form>
  );
}

export function Ask({ me, fresh }: { me: Me; fresh: boolean }) {
  const w = useWords();
  const { exchanges } = useConversation();
  const suggestions = useSuggestions(me);
  const last = exchanges[exchanges.length - 1];
  const busy = last?.state === 'streaming';
  const seen = useRef(last?.key);

  useEffect(() => {
    if (!last || seen.current === last.key) return;
    seen.current = last.key;
    document.getElementById(`exchange-${last.key}`)?.scrollIntoView({ block: 'start' });
  }, [last]);

  const announced = last?.state === 'done' && last.turn
    ? last.turn.covered ? w.ask.complete(new Set(last.citations.map((one) => one.number)).size) : w.ask.notCoveredAnnounced
    : '';
  return (
    <div className={`ask${exchanges.length === 0 ? ' ask-first' : ''}`}>
      {exchanges.length === 0 ? (
        <div className="welcome">
          {fresh && <p className="note note-good"><Icon name="check" size={16} />{w.start.welcome}</p>}
          <h1>{w.ask.heading(me.coach?.name || 'Chiron')}</h1>
          <p className="lead" lang={me.coach?.description ? me.coach.language || undefined : undefined}>{me.coach?.description || w.ask.lead}</p>
        </div>
      ) : (
        <div className="conversation">
          <div className="conversation-head">
            <h1 className="visually-hidden">{w.ask.conversation}</h1>
            <button type="button" className="text-button" onClick={newConversation}><Icon name="plus" size={16} />{w.nav.newConversation}</button>
          </div>
          {exchanges.map((exchange) => <Answer key={exchange.key} exchange={exchange} />)}
        </div>
      )}
      <p className="visually-hidden" role="status">{announced}</p>
      <Composer busy={busy} follow={exchanges.length > 0} />
      {exchanges.length === 0 && suggestions.length > 0 && (
        <section className="suggestions" aria-labelledby="suggestions">
          <h2 id="suggestions" className="eyebrow">{w.ask.suggestions}</h2>
          <ul>
            {suggestions.map((one) => (
              <li key={one}><button type="button" onClick={() => void ask(one)}><span>{one}</span><Icon name="right" size={16} /></button></li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
