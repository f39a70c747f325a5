// SPDX-License-Identifier: MIT
// One line of a form: its label, its input, and what is wrong with it, tied together for those who hear the page.
import { type InputHTMLAttributes, type ReactNode, useId, useState } from 'react';
import { ApiError } from './api.ts';
import { explain, problemOf } from './parts.tsx';
import { useWords } from './preferences.ts';

export function Field({ label, problem, hint, ...input }: { label: string; problem?: string; hint?: ReactNode } & InputHTMLAttributes<HTMLInputElement>) {
  const made = useId();
  const id = input.id ?? made;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input {...input} id={id} aria-invalid={Boolean(problem)} aria-describedby={problem ? `${id}-problem` : hint ? `${id}-hint` : undefined} />
      {hint && !problem && <p id={`${id}-hint`} className="quiet small">{hint}</p>}
      {problem && <p id={`${id}-problem`} className="field-error" role="alert">{problem}</p>}
    </div>
  );
}

export interface Sending { busy: boolean; problem: ApiError | null; send: (run: () => Promise<void>) => Promise<boolean>; clear: () => void }
/** One request at a time, and what came of it. */
export function useSending(): Sending {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  return {
    busy, problem,
    clear: () => setProblem(null),
    async send(run) {
      if (busy) return false;
      setBusy(true);
      setProblem(null);
      try {
        await run();
        return true;
      } catch (cause) {
        setProblem(cause instanceof ApiError ? cause : new ApiError(0, String(cause), 'unknown', null));
        return false;
      } finally {
        setBusy(false);
      }
    },
  };
}

/** The words for a whole form: what is said at one of its fields stands there instead. */
export function FormProblem({ problem, fields = [] }: { problem: ApiError | null; fields?: string[] }) {
  const w = useWords();
  if (!problem || (problem.field && fields.includes(problem.field))) return null;
  return <p className="field-error" role="alert">{explain(problemOf(problem), w).text}</p>;
}

export const atField = (problem: ApiError | null, field: string): string => (problem?.field === field ? problem.message.charAt(0).toUpperCase() + problem.message.slice(1) : '');
