// SPDX-License-Identifier: MIT
// One answer: its sentences with their citations, or an honest no with what comes nearest, and how it was made.
import { Fragment, memo, useMemo, useState } from 'react';
import type { Citation } from './api.ts';
import type { Exchange } from './conversation.ts';
import { again } from './conversation.ts';
import { openEvidence, useEvidence } from './evidence.tsx';
import { milliseconds, percent, section, withoutSigns } from './format.ts';
import { Icon } from './icons.tsx';
import { Failure, Meter } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { asPlainText, type Inline, layOut, refusalWords } from './rich.ts';
import { whyHref } from './route.ts';

export function confidenceWord(share: number, words: { high: string; medium: string; low: string }): string {
  return share >= 0.66 ? words.high : share >= 0.4 ? words.medium : words.low;
}

interface Cited { from: string; citations: Citation[] }

function Chip({ cited, index }: { cited: Cited; index: number }) {
  const w = useWords();
  const open = useEvidence();
  const citation = cited.citations[index];
  if (!citation) return null;
  const current = open?.from === cited.from && open.at === index;
  return (
    <button
      type="button" className="chip" aria-label={w.answer.source(citation.number, citation.title)} aria-pressed={current}
      onClick={() => openEvidence({ ...cited, at: index })}
    >
      {citation.number}
    </button>
  );
}

/** A citation never stands alone at the start of a line: it keeps the word before it. */
function Run({ parts, cited }: { parts: Inline[]; cited: Cited }) {
  return parts.map((part, i) => {
    if (part.kind === 'cite') return parts[i - 1]?.kind === 'text' ? null : <Chip key={i} cited={cited} index={part.index} />;
    if (part.kind === 'text') {
      const next = parts[i + 1];
      if (next?.kind !== 'cite') return <Fragment key={i}>{part.text}</Fragment>;
      const cut = part.text.search(/\S+\s*$/);
      const at = cut < 0 || part.text.length - cut > 40 ? part.text.length : cut;
      return <Fragment key={i}>{part.text.slice(0, at)}<span className="held">{part.text.slice(at)}<Chip cited={cited} index={next.index} /></span></Fragment>;
    }
    const inner = <Run parts={part.children} cited={cited} />;
    return part.kind === 'strong' ? <strong key={i}>{inner}</strong> : <code key={i}>{inner}</code>;
  });
}

export function AnswerText({ from, answer, citations, covered }: Cited & { answer: string; covered: boolean }) {
  const blocks = useMemo(() => (covered ? layOut(answer, citations) : layOut(refusalWords(answer, citations), [])), [answer, citations, covered]);
  const cited = { from, citations };
  return blocks.map((block, i) => {
    if (block.kind === 'ul' || block.kind === 'ol') {
      const List = block.kind;
      return <List key={i}>{block.items.map((item, j) => <li key={j}><Run parts={item} cited={cited} /></li>)}</List>;
    }
    return <p key={i} className={block.kind === 'h' ? 'answer-heading' : undefined}>{block.items.map((item, j) => <Run key={j} parts={item} cited={cited} />)}</p>;
  });
}

interface Place { citation: Citation; index: number; numbers: number[] }

/** Citations of one place in the material together, in the order of their numbers. */
function places(citations: Citation[]): Place[] {
  const found = new Map<string, Place>();
  const order = citations.map((citation, index) => ({ citation, index })).sort((a, b) => a.citation.number - b.citation.number);
  for (const { citation, index } of order) {
    const key = JSON.stringify([citation.document_id, citation.heading, citation.page]);
    const place = found.get(key);
    if (!place) found.set(key, { citation, index, numbers: [citation.number] });
    else if (!place.numbers.includes(citation.number)) place.numbers.push(citation.number);
  }
  return [...found.values()];
}

function Sources({ exchange, heading, quoted }: { exchange: Exchange; heading: string; quoted: boolean }) {
  const w = useWords();
  const rows = places(exchange.citations);
  if (rows.length === 0) return null;
  return (
    <div className="sources">
      <h3 className="eyebrow">{heading}</h3>
      <ul className={quoted ? 'sources-quoted' : undefined}>
        {rows.map(({ citation, index, numbers }) => (
          <li key={index}>
            <button
              type="button" className="source"
              onClick={() => openEvidence({ from: exchange.key, citations: exchange.citations, at: index })}
            >
              <span className="source-numbers">{numbers.map((number) => <span key={number} className="chip chip-still">{number}</span>)}</span>
              <span className="source-words">
                <span className="source-title">{citation.title}</span>
                <span className="quiet small">{[section(citation.heading, citation.title), citation.page > 0 ? w.page(citation.page, 0) : ''].filter(Boolean).join(' · ')}</span>
                {quoted && <span className="source-quote">{withoutSigns(citation.text)}</span>}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Copy({ exchange }: { exchange: Exchange }) {
  const w = useWords();
  const [said, setSaid] = useState<'' | 'done' | 'refused'>('');
  const copy = async (): Promise<void> => {
    const text = asPlainText(exchange.question, exchange.answer, exchange.citations, (page) => w.page(page, 0));
    try {
      await navigator.clipboard.writeText(text);
      setSaid('done');
    } catch {
      setSaid('refused'); // an address without TLS other than this machine has no clipboard
    }
    setTimeout(() => setSaid(''), 2500);
  };
  return (
    <button type="button" className="text-button" onClick={() => void copy()}>
      <Icon name={said === 'done' ? 'check' : 'copy'} size={16} />
      <span aria-live="polite">{said === 'done' ? w.answer.copied : said === 'refused' ? w.answer.copyFailed : w.answer.copy}</span>
    </button>
  );
}

export const Answer = memo(function Answer({ exchange }: { exchange: Exchange }) {
  const w = useWords();
  const { language } = usePreferences();
  const { turn, state } = exchange;
  const refused = turn !== null && !turn.covered && turn.step !== 'greeting';
  const streaming = state === 'streaming';
  return (
    <article className="exchange" aria-busy={streaming} id={`exchange-${exchange.key}`}>
      <h2 className="question"><span className="visually-hidden">{w.ask.you}: </span>{exchange.question}</h2>
      <div className={`answer${refused ? ' answer-refused' : ''}`}>
        {refused && <p className="refused-title"><Icon name="none" size={18} />{w.answer.notCovered}</p>}
        <div className="answer-text" aria-live="polite" aria-atomic="false" lang={turn?.language || undefined}>
          <AnswerText from={exchange.key} answer={exchange.answer} citations={exchange.citations} covered={!refused} />
          {streaming && exchange.answer === '' && <p className="thinking"><span className="dots" aria-hidden="true"><i /><i /><i /></span>{w.ask.thinking}</p>}
          {streaming && exchange.answer !== '' && <span className="caret" aria-hidden="true" />}
        </div>
        {turn?.fell_back && <p className="note"><Icon name="warn" size={16} /><span>{w.answer.fellBack}{turn.fell_back_why ? <span className="quiet"> ({turn.fell_back_why})</span> : null}</span></p>}
        {state === 'stopped' && <p className="note"><Icon name="stop" size={16} /><span>{w.ask.stopped}</span><button type="button" className="text-button" onClick={() => again(exchange.key)}>{w.retry}</button></p>}
        {exchange.error && <Failure problem={exchange.error} title={w.ask.failed} retry={() => again(exchange.key)} />}
        {state !== 'streaming' && <Sources exchange={exchange} heading={refused ? w.answer.nearest : w.answer.sources} quoted={refused} />}
        {turn && (
          <div className="answer-foot">
            {turn.covered && (
              <span className="confidence">
                <Meter share={turn.confidence} label={w.answer.confidence} tone={turn.confidence >= 0.4 ? 'accent' : 'quiet'} />
                <span title={percent(turn.confidence, language)}>{confidenceWord(turn.confidence, w.answer)}</span>
              </span>
            )}
            <span className="made" title={`${turn.provider} · ${turn.model}`}>
              {w.answer.steps[turn.step] ?? turn.step}{turn.covered && turn.model && turn.model !== turn.step ? ` · ${turn.model}` : ''} · {milliseconds(turn.took_ms, language)}
            </span>
            <span className="answer-actions">
              <Copy exchange={exchange} />
              <a className="text-button" href={whyHref(turn.id)}><Icon name="why" size={16} />{w.answer.why}</a>
            </span>
            {turn.dropped > 0 && <span className="dropped">{w.answer.dropped(turn.dropped)}</span>}
          </div>
        )}
      </div>
    </article>
  );
});
