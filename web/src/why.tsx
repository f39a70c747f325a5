// SPDX-License-Identifier: MIT
// The kept trace of one turn, told in the order in which things happened.
import { useEffect, useState } from 'react';
import { getJson, type Trace, type TracePassage } from './api.ts';
import { AnswerText, confidenceWord } from './answer.tsx';
import { ask } from './conversation.ts';
import { count, dateTime, milliseconds, percent, section, withoutSigns } from './format.ts';
import { Icon } from './icons.tsx';
import { Failure, Meter, type Problem, problemOf, Waiting } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';
import { documentHref } from './route.ts';

function Stages({ trace }: { trace: Trace }) {
  const w = useWords();
  const { language } = usePreferences();
  const total = Math.max(trace.took_ms ?? 0, ...trace.stages.map((one) => one.start_ms + one.took_ms), 0.001);
  return (
    <ol className="stages">
      {trace.stages.map((stage, i) => (
        <li key={i}>
          <span className="stage-name">{w.why.stageNames[stage.name] ?? stage.name}</span>
          <span className="stage-track" aria-hidden="true">
            <span style={{ left: `${(stage.start_ms / total) * 100}%`, width: `${Math.max((stage.took_ms / total) * 100, 0.6)}%` }} />
          </span>
          <span className="stage-time">{milliseconds(stage.took_ms, language)}</span>
        </li>
      ))}
    </ol>
  );
}

const number = (value: number | null, digits: number, language: string): string =>
  value === null || value <= -2 ? '' : new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

function Leg({ name, rank, score }: { name: string; rank: number | null; score: string }) {
  const w = useWords();
  return (
    <td data-label={name}>
      {rank ? <><span className="leg-rank">{w.why.place(rank)}</span> {score && <span className="quiet small">{score}</span>}</> : <span className="quiet small">{w.why.notFound}</span>}
    </td>
  );
}

function PassageRow({ passage }: { passage: TracePassage }) {
  const w = useWords();
  const [open, setOpen] = useState(false);
  const { language } = usePreferences();
  return (
    <tr className={passage.used ? 'used' : undefined}>
      <td data-label={w.why.rank} className="rank">{passage.rank}</td>
      <th scope="row">
        <a href={documentHref(passage.document_id, passage.page, passage.start_byte, passage.end_byte)}>{passage.title}</a>
        <span className="quiet small">{[section(passage.heading, passage.title), passage.page > 0 ? w.page(passage.page, 0) : ''].filter(Boolean).join(' · ')}</span>
        {passage.text && <button type="button" className="unfold" aria-expanded={open} onClick={() => setOpen(!open)}><span>{withoutSigns(passage.text)}</span></button>}
      </th>
      <Leg name={w.why.meaning} rank={passage.rank_semantic} score={number(passage.score_cos, 3, language)} />
      <Leg name={w.why.wordsLeg} rank={passage.rank_keyword} score={passage.score_bm25 ? number(passage.score_bm25, 1, language) : ''} />
      <td data-label={w.why.score}>
        <span className="score"><Meter share={passage.score} label={w.why.score} tone={passage.used ? 'accent' : 'quiet'} /><span>{number(passage.score, 2, language)}</span></span>
      </td>
      <td data-label={w.why.use}>
        <span className={`pill ${passage.used ? 'pill-good' : ''}`}>{passage.used ? w.why.used : w.why.unused}</span>
        {passage.why && <span className="quiet small why-words">{w.why.reasons[passage.why] ?? passage.why}</span>}
      </td>
    </tr>
  );
}

function Body({ trace }: { trace: Trace }) {
  const w = useWords();
  const { language } = usePreferences();
  const total = trace.took_ms ?? Math.max(0, ...trace.stages.map((one) => one.start_ms + one.took_ms));
  const tokens = trace.usage && trace.usage.prompt_tokens + trace.usage.completion_tokens > 0
    ? w.why.tokensIn(count(trace.usage.prompt_tokens, language), count(trace.usage.completion_tokens, language))
    : w.why.noTokens;
  const facts: [string, string][] = [
    [w.why.made, dateTime(trace.created_at, language)],
    [w.why.total, milliseconds(total, language)],
    [w.why.step, w.answer.steps[trace.step] ?? trace.step],
    [w.why.model, [trace.provider, trace.model !== trace.provider ? trace.model : null].filter(Boolean).join(' · ')],
    [w.why.tokens, tokens],
    ...(trace.search
      ? [[w.why.search, [trace.search.strategy, trace.search.model, trace.search.cached ? w.why.cached : null].filter(Boolean).join(' · ')] as [string, string],
        [w.why.candidates, count(trace.search.candidates, language)] as [string, string]]
      : []),
    ...(trace.fell_back ? [[w.why.fellBack, trace.fell_back_why ?? '—'] as [string, string]] : []),
    ...(trace.degraded ?? []).map(d => [w.why.degraded, `${d.stage} → ${d.to} (${d.why})`] as [string, string]),
  ];
  return (
    <>
      <div className="why-answer">
        <h2 className="question">{trace.question}</h2>
        {!trace.covered && trace.step !== 'greeting' && <p className="refused-title"><Icon name="none" size={18} />{w.answer.notCovered}</p>}
        <div className="answer-text why-words-answer" lang={trace.language || undefined}>
          <AnswerText from={trace.id} answer={trace.answer} citations={trace.citations} covered={trace.covered} />
        </div>
        <div className="answer-foot">
          {trace.covered && <span className="confidence"><Meter share={trace.confidence} label={w.answer.confidence} /><span>{confidenceWord(trace.confidence, w.answer)} · {percent(trace.confidence, language)}</span></span>}
          <span className="answer-actions"><button type="button" className="text-button" onClick={() => { window.location.hash = '#/ask'; void ask(trace.question); }}><Icon name="retry" size={16} />{w.why.ask}</button></span>
        </div>
      </div>
      <section aria-labelledby="why-facts">
        <h2 id="why-facts">{w.why.facts}</h2>
        <dl className="facts">{facts.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      </section>
      {trace.stages.length > 0 && (
        <section aria-labelledby="why-stages">
          <h2 id="why-stages">{w.why.stages}</h2>
          <Stages trace={trace} />
        </section>
      )}
      <section aria-labelledby="why-passages">
        <h2 id="why-passages">{w.why.passages}</h2>
        <p className="quiet">{trace.passages.length > 0 ? w.why.passagesLead : w.why.noPassages}</p>
        {trace.passages.length > 0 && (
          <table className="passages">
            <thead>
              <tr>{[w.why.rank, w.why.passage, w.why.meaning, w.why.wordsLeg, w.why.score, w.why.use].map((name) => <th key={name} scope="col">{name}</th>)}</tr>
            </thead>
            <tbody>{trace.passages.map((passage) => <PassageRow key={passage.rank} passage={passage} />)}</tbody>
          </table>
        )}
      </section>
      <section aria-labelledby="why-sentences">
        <h2 id="why-sentences">{w.why.sentences}</h2>
        <p className="quiet">{trace.sentences.length > 0 ? w.why.sentencesLead : w.why.noSentences}</p>
        <ol className="checked">
          {trace.sentences.map((sentence, i) => (
            <li key={i} className={sentence.kept ? undefined : 'left-out'}>
              <p lang={trace.language || undefined}>{sentence.text}</p>
              <span className="checked-facts">
                <span className={`pill ${sentence.kept ? 'pill-good' : 'pill-bad'}`}>{sentence.kept ? w.why.kept : w.why.left}</span>
                <span className="score"><Meter share={sentence.support} label={w.why.support} tone={sentence.kept ? 'accent' : 'bad'} /><span>{w.why.support} {percent(sentence.support, language)}</span></span>
                {sentence.passage ? <span className="quiet small">{w.why.fromPassage(sentence.passage)}</span> : null}
                {sentence.why && <span className="quiet small">{w.why.reasons[sentence.why] ?? sentence.why}</span>}
              </span>
            </li>
          ))}
        </ol>
      </section>
    </>
  );
}

export function Why({ id }: { id: string }) {
  const w = useWords();
  const [trace, setTrace] = useState<Trace | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setTrace(null);
    setProblem(null);
    getJson<Trace>(`/api/v1/turns/${encodeURIComponent(id)}`, { signal: abort.signal }).then(
      (got) => setTrace({ ...got, stages: got.stages ?? [], passages: got.passages ?? [], sentences: got.sentences ?? [], citations: got.citations ?? [] }),
      (cause) => { if (!abort.signal.aborted) setProblem(problemOf(cause)); },
    );
    return () => abort.abort();
  }, [id, attempt]);
  return (
    <div className="sheet-page why">
      <a className="text-button back" href="#/ask"><Icon name="back" size={16} />{w.reader.backToAsk}</a>
      <h1>{w.why.title}</h1>
      {problem ? <Failure problem={problem} retry={problem.status === 404 ? undefined : () => setAttempt((n) => n + 1)} /> : trace ? <Body trace={trace} /> : <Waiting label={w.loading} lines={8} />}
    </div>
  );
}
