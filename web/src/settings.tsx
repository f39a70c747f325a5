// SPDX-License-Identifier: MIT
import type { Me } from './api.ts';
import { Choice } from './parts.tsx';
import { type Language, setPreferences, type Theme, usePreferences, useWords } from './preferences.ts';
import { signOut } from './session.ts';

export function Preferences() {
  const w = useWords();
  const { language, theme } = usePreferences();
  return (
    <>
      <Choice<Language>
        legend={w.settings.language} value={language} onChange={(value) => setPreferences({ language: value })}
        options={[{ value: 'en', label: 'English', lang: 'en' }, { value: 'es', label: 'Español', lang: 'es' }]}
      />
      <Choice<Theme>
        legend={w.settings.theme} value={theme} onChange={(value) => setPreferences({ theme: value })}
        options={[{ value: 'system', label: w.settings.system }, { value: 'light', label: w.settings.light }, { value: 'dark', label: w.settings.dark }]}
      />
    </>
  );
}

export function Account({ me }: { me: Me }) {
  const w = useWords();
  const visiting = me.demo && (me.role === 'user' || me.role === 'visitor');
  const names: Record<string, string> = { owner: w.settings.owner, service: w.settings.service, user: w.settings.user, ...w.settings.roles };
  const role = visiting ? w.settings.visitor : names[me.role] ?? me.role;
  return (
    <div className="account">
      <a className="account-who" href="#/account"><strong>{role}</strong><span className="quiet small">{me.creator_id}</span></a>
      <button type="button" className="text-button" onClick={() => void signOut()}>{visiting ? w.settings.signIn : w.settings.signOut}</button>
    </div>
  );
}

export function Colophon({ version }: { version: string }) {
  const w = useWords();
  const licences = document.querySelector<HTMLLinkElement>('link[rel="license"]')?.href;
  return <p className="colophon quiet small">Chiron {version} · <a href="/docs">{w.settings.api}</a>{licences && <> · <a href={licences}>{w.settings.licences}</a></>}</p>;
}
