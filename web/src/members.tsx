// SPDX-License-Identifier: MIT
// Who works for this creator and as what. A role is a set of rights; nobody can give more than they have, the server sees to it.
import { type FormEvent, useState } from 'react';
import { type Me, postJson, request, sendJson } from './api.ts';
import { atField, Field, FormProblem, useSending } from './field.tsx';
import { date } from './format.ts';
import { Icon } from './icons.tsx';
import { Confirm, Secret, Section, useLoaded, Whole } from './loaded.tsx';
import { Dialog } from './parts.tsx';
import { usePreferences, useWords } from './preferences.ts';

interface Member { account_id: string; email: string; full_name: string; role: string; created_at: string; seen_at: string | null }
interface Invitation { id: string; email: string; role: string; created_at: string; expires_at: string }
interface Role { name: string; permissions: string[]; built_in: boolean }
interface Roles { roles: Role[]; permissions: { name: string; about: string }[] }

function Invite({ roles, onClose, onDone }: { roles: string[]; onClose: () => void; onDone: (link: string | null) => void }) {
  const w = useWords();
  const [email, setEmail] = useState('');
  const [role, setRole] = useState(roles.includes('editor') ? 'editor' : roles[0] ?? '');
  const { busy, problem, send } = useSending();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => onDone((await postJson<{ link?: string }>('/api/v1/members', { email: email.trim(), role })).link ?? null));
  };
  return (
    <Dialog title={w.manage.invite} onClose={onClose}>
      <form onSubmit={submit}>
        <Field label={w.door.email} type="email" value={email} onChange={(event) => setEmail(event.target.value)} problem={atField(problem, 'email')} required data-first />
        <label className="field"><span>{w.manage.role}</span><select value={role} onChange={(event) => setRole(event.target.value)}>{roles.map((one) => <option key={one} value={one}>{w.manage.roleName(one)}</option>)}</select></label>
        <FormProblem problem={problem} fields={['email']} />
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>{w.cancel}</button>
          <button type="submit" className="button button-main" disabled={busy}>{w.manage.inviteYes}</button>
        </div>
      </form>
    </Dialog>
  );
}

function RoleDialog({ role, permissions, onClose, onDone }: { role: Role | null; permissions: Roles['permissions']; onClose: () => void; onDone: () => void }) {
  const w = useWords();
  const [name, setName] = useState(role?.name ?? '');
  const [chosen, setChosen] = useState(new Set(role?.permissions ?? ['ask', 'documents:read']));
  const { busy, problem, send } = useSending();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send(async () => { await sendJson('PUT', `/api/v1/roles/${encodeURIComponent(name.trim())}`, { permissions: [...chosen] }); onDone(); });
  };
  const toggle = (one: string): void => {
    const next = new Set(chosen);
    if (!next.delete(one)) next.add(one);
    setChosen(next);
  };
  return (
    <Dialog title={role ? w.manage.roleName(role.name) : w.manage.newRole} onClose={onClose}>
      <form onSubmit={submit}>
        <Field label={w.manage.roleLabel} value={name} onChange={(event) => setName(event.target.value)} problem={atField(problem, 'name')} pattern="[a-z0-9-]{1,40}" hint={w.manage.roleHint} disabled={role !== null} required />
        <fieldset className="ticks"><legend>{w.manage.permissions}</legend>
          {permissions.map((one) => (
            <label key={one.name} className="tick"><input type="checkbox" checked={chosen.has(one.name)} disabled={role?.built_in} onChange={() => toggle(one.name)} /><span>{w.manage.rights[one.name] ?? one.about} <code>{one.name}</code></span></label>
          ))}
        </fieldset>
        <FormProblem problem={problem} fields={['name']} />
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>{role?.built_in ? w.close : w.cancel}</button>
          {!role?.built_in && <button type="submit" className="button button-main" disabled={busy}>{w.account.save}</button>}
        </div>
      </form>
    </Dialog>
  );
}

export function Members({ me }: { me: Me }) {
  const w = useWords();
  const { language } = usePreferences();
  const members = useLoaded<{ members: Member[]; invitations: Invitation[] }>('/api/v1/members');
  const roles = useLoaded<Roles>('/api/v1/roles');
  const [inviting, setInviting] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Member | null>(null);
  const [editing, setEditing] = useState<Role | 'new' | null>(null);
  const { busy, problem, send } = useSending();
  const names = (roles.data?.roles ?? []).map((one) => one.name).filter((one) => !['user', 'visitor', 'service'].includes(one));
  const change = (member: Member, role: string): void => void send(async () => { await sendJson('PATCH', `/api/v1/members/${encodeURIComponent(member.account_id)}`, { role }); members.reload(); });
  const withdraw = (id: string): void => void send(async () => { await request(`/api/v1/invitations/${encodeURIComponent(id)}`, { method: 'DELETE' }); members.reload(); });
  const drop = (name: string): void => void send(async () => { await request(`/api/v1/roles/${encodeURIComponent(name)}`, { method: 'DELETE' }); roles.reload(); });
  return (
    <>
      <Section title={w.manage.views.members} lead={w.manage.membersLead} action={<button type="button" className="button button-main" onClick={() => setInviting(true)}><Icon name="plus" size={16} />{w.manage.invite}</button>}>
        <FormProblem problem={problem} />
        <Whole loaded={members}>{(got) => (
          <ul className="list">
            {got.members.map((one) => (
              <li key={one.account_id}>
                <div><strong>{one.full_name || one.email}</strong><span className="quiet small">{[one.email, one.seen_at ? w.account.usedAt(date(one.seen_at, language)) : ''].filter(Boolean).join(' · ')}</span></div>
                <select aria-label={w.manage.roleOf(one.full_name || one.email)} value={one.role} disabled={busy} onChange={(event) => change(one, event.target.value)}>
                  {[...new Set([one.role, ...names])].map((name) => <option key={name} value={name}>{w.manage.roleName(name)}</option>)}
                </select>
                <button type="button" className="icon-button row-remove" aria-label={w.manage.removeMember(one.full_name || one.email)} onClick={() => setRemoving(one)}><Icon name="trash" size={18} /></button>
              </li>
            ))}
            {got.invitations.map((one) => (
              <li key={one.id}>
                <div><strong>{one.email}</strong><span className="quiet small">{w.manage.invited(w.manage.roleName(one.role), date(one.expires_at, language))}</span></div>
                <span className="pill pill-busy">{w.manage.waiting}</span>
                <button type="button" className="icon-button row-remove" aria-label={w.manage.withdraw(one.email)} disabled={busy} onClick={() => withdraw(one.id)}><Icon name="close" size={18} /></button>
              </li>
            ))}
          </ul>
        )}</Whole>
      </Section>
      <Section title={w.manage.roles} lead={w.manage.rolesLead} action={<button type="button" className="button" onClick={() => setEditing('new')}><Icon name="plus" size={16} />{w.manage.newRole}</button>}>
        <Whole loaded={roles}>{(got) => (
          <ul className="list">
            {got.roles.map((one) => (
              <li key={one.name}>
                <div><strong>{w.manage.roleName(one.name)}</strong><span className="quiet small">{one.permissions.map((right) => w.manage.rights[right] ?? right).join(', ')}</span></div>
                <button type="button" className="text-button" onClick={() => setEditing(one)}>{one.built_in ? w.manage.show : w.manage.edit}</button>
                {!one.built_in && <button type="button" className="icon-button row-remove" aria-label={w.manage.removeRole(one.name)} disabled={busy} onClick={() => drop(one.name)}><Icon name="trash" size={18} /></button>}
              </li>
            ))}
          </ul>
        )}</Whole>
      </Section>
      {inviting && <Invite roles={names} onClose={() => setInviting(false)} onDone={(got) => { setInviting(false); setLink(got); members.reload(); }} />}
      {link && <Secret title={w.manage.inviteLink} lead={w.manage.inviteLinkLead} lines={[link]} onClose={() => setLink(null)} />}
      {editing && roles.data && <RoleDialog role={editing === 'new' ? null : editing} permissions={roles.data.permissions} onClose={() => setEditing(null)} onDone={() => { setEditing(null); roles.reload(); }} />}
      {removing && (
        <Confirm
          title={w.manage.removeMember(removing.full_name || removing.email)} lead={w.manage.removeMemberLead(me.creator_id)} yes={w.manage.remove} onClose={() => setRemoving(null)}
          onYes={async () => { await request(`/api/v1/members/${encodeURIComponent(removing.account_id)}`, { method: 'DELETE' }); setRemoving(null); members.reload(); }}
        />
      )}
    </>
  );
}
