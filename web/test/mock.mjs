// SPDX-License-Identifier: MIT
// Stands in for the server while the page is worked on: `node web/test/mock.mjs [PORT]` serves web/dist with the same policy and
// enough of the contract to look at every state. The tests of the product never use it. Questions with "unicorn" are
// refused, with "slow" crawl, with "fail" fail; uploads take a few seconds; a second argument, "user", is the role.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const port = Number(process.argv[2] ?? 21601);
const role = process.argv[3] ?? 'owner';
const dist = join(fileURLToPath(new URL('..', import.meta.url)), 'dist');
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain; charset=utf-8', '.webmanifest': 'application/manifest+json' };
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const bytes = (text) => Buffer.byteLength(text);

const methodText = `# The Steady Strength Method

I am Elena Marín, and for nineteen years I have coached people who thought that training was for somebody else: nurses on night shifts, new parents, people who had last run in school.

## What the method stands on

The method has five rules, and everything else in this handbook follows from them.

1. Show up three times a week. Two sessions keep what you have; three sessions build. A fourth session is allowed only after twelve weeks without a missed week.
2. Leave two repetitions in reserve. On every working set you stop when you could still have done two more clean repetitions.
3. Add one thing at a time. In any week you may add weight, or repetitions, or a set, but never two of these at once.
4. Walk every day. Walking is the base under everything: at least 7,000 steps on an ordinary day and 5,000 on a bad one — “café” counts, so does 🚶 the dog.
5. Sleep before effort. After a night under five hours you do the light version of the session, and you do it without guilt.

## The shape of a session

Every session takes between 40 and 50 minutes and has four parts. People who cut the rest short do not get fitter; they only get worse sets.
`;
const doc = (id, title, filename, media_type, more = {}) => ({ id, title, filename, media_type, language: 'en', content_type: 'document', user_id: '', sha256: 'x', metadata: {}, state: 'ready', job_id: null, error: null, size_bytes: 18234, text_bytes: 17800, pages: 0, chunks: 24, version: 1, created_at: '2026-11-20T09:12:00Z', updated_at: '2026-11-20T09:12:00Z', ...more });
const documents = new Map([
  doc('doc_method', 'The Steady Strength Method', '01-method.md', 'text/markdown'),
  doc('doc_plan', 'The 12-Week Beginner Plan', '02-twelve-week-plan.md', 'text/markdown', { chunks: 41, size_bytes: 30211 }),
  doc('doc_rec', 'Recovery', '04-recovery.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', { size_bytes: 15600, chunks: 19 }),
  doc('doc_pain', 'Pain, and When to Stop', '05-pain-and-when-to-stop.pdf', 'application/pdf', { pages: 4, chunks: 17, size_bytes: 48210 }),
  doc('doc_es', 'Guía en español', '07-guia-en-espanol.md', 'text/markdown', { language: 'es', chunks: 12, size_bytes: 11020 }),
  doc('doc_bad', 'scan-2019.pdf', 'scan-2019.pdf', 'application/pdf', { state: 'failed', error: 'the PDF is protected by a password', chunks: 0, size_bytes: 2_400_000 }),
  doc('doc_ex', 'Exercise library', 'exercises.jsonl', 'application/jsonl', { chunks: 873, size_bytes: 1_204_000, created_at: '2026-11-19T09:12:00Z' }),
].map((one) => [one.id, one]));
const texts = new Map([['doc_method', methodText]]);
const jobs = new Map();
const turns = new Map();

function cite(number, quote, answer_start, answer_end) {
  const at = methodText.indexOf(quote);
  const start_byte = bytes(methodText.slice(0, at));
  return { number, document_id: 'doc_method', title: 'The Steady Strength Method', heading: 'The Steady Strength Method > ' + (number < 3 ? 'What the method stands on' : 'The shape of a session'), chunk_id: `chunk_${number}`, page: 0, start_byte, end_byte: start_byte + bytes(quote), text: quote, score: 0.93 - number * 0.08, answer_start, answer_end };
}
const quotes = ['Show up three times a week. Two sessions keep what you have; three sessions build.', 'Walk every day. Walking is the base under everything: at least 7,000 steps on an ordinary day and 5,000 on a bad one — “café” counts, so does 🚶 the dog.', 'Every session takes between 40 and 50 minutes and has four parts.'];

function turnFor(question) {
  const id = `turn_${turns.size + 1}`;
  const refused = /unicorn/i.test(question);
  let answer = '';
  const citations = [];
  const pieces = [];
  if (refused) {
    pieces.push(["I don't have that in my material, so I won't guess.", []]);
    const k = cite(1, quotes[0], 0, 0);
    const lead = " The nearest I have is: “";
    k.answer_start = bytes(pieces[0][0] + lead);
    k.answer_end = k.answer_start + 20;
    citations.push(k, { ...cite(3, quotes[2], 0, 0), number: 2, answer_start: k.answer_start + 30 });
    pieces.push([`${lead}What the method stands on” [1], “The shape of a session” [2].`, citations]);
    answer = pieces.map((one) => one[0]).join('');
  } else {
    quotes.forEach((quote, i) => {
      const k = cite(i + 1, quote, bytes(answer), bytes(answer) + bytes(quote));
      citations.push(k);
      pieces.push([`${answer ? ' ' : ''}${quote} [${i + 1}]`, [k]]);
      answer += pieces[i][0];
    });
  }
  const turn = { id, conversation_id: 'conv_1', answer, language: 'en', covered: !refused, step: refused ? 'unknown' : 'extractive', confidence: refused ? 0.12 : 0.82, citations, provider: refused ? 'none' : 'extractive', model: refused ? '' : 'extractive', strategy: 'hybrid', usage: { prompt_tokens: 12, completion_tokens: 88 }, fell_back: /fallback/.test(question), fell_back_why: 'the provider did not answer in time', dropped: /drop/.test(question) ? 2 : 0, took_ms: 14.2 };
  turns.set(id, { ...turn, created_at: new Date().toISOString(), question, prompt_version: 'p1',
    stages: [{ name: 'query', start_ms: 0.1, took_ms: 0.4 }, { name: 'embed', start_ms: 0.6, took_ms: 5.2 }, { name: 'search', start_ms: 5.9, took_ms: 2.1 }, { name: 'context', start_ms: 8.1, took_ms: 4.3 }, { name: 'generate', start_ms: 12.5, took_ms: 0.9 }, { name: 'check', start_ms: 13.4, took_ms: 0.6 }],
    search: { strategy: 'hybrid', model: 'all-MiniLM-L6-v2', candidates: 71, cached: false },
    passages: [0, 1, 2, 3, 4].map((i) => ({ rank: i + 1, document_id: 'doc_method', title: i === 3 ? 'The 12-Week Beginner Plan' : 'The Steady Strength Method', heading: 'The Steady Strength Method > What the method stands on', page: 0, text: i < 4 ? quotes[i % 3].repeat(2) : undefined, score: 0.97 - i * 0.17, score_cos: i === 4 ? -2 : 0.71 - i * 0.05, score_bm25: i === 2 ? 0 : 8.2 - i, rank_semantic: i === 4 ? 0 : i + 1, rank_keyword: i === 2 ? 0 : i + 2, used: i < 2 && !refused, why: i < 2 ? 'cited by the answer' : i === 4 ? 'ranked too low to be read' : 'no sentence of it was needed' })),
    sentences: refused ? [] : [...quotes.map((text, i) => ({ text, passage: i + 1, support: 0.96 - i * 0.1, kept: true, why: "the material's own words" })), { text: 'You should train eleven times a week.', passage: 0, support: 0.08, kept: false, why: 'the number 11 stands nowhere in the material' }] });
  return { turn, pieces };
}

const json = (res, status, body) => { res.writeHead(status, { 'Content-Type': 'application/json', 'X-Request-ID': 'req_mock' }); res.end(JSON.stringify(body)); };
const fail = (res, status, error, code) => json(res, status, { error, code, request_id: 'req_mock' });
const read = async (req) => { const parts = []; for await (const part of req) parts.push(part); return Buffer.concat(parts); };

async function runJob(job, document) {
  const steps = [['extract', 0.25], ['embed', 0.6], ['embed', 0.85], ['store', 1]];
  for (const [stage, share] of steps) {
    job.state = 'running';
    job.progress = { stage, bytes_done: Math.round(document.size_bytes * share), bytes_total: document.size_bytes, pages_done: 0, pages_total: 0, chunks_done: Math.round(6 * share) };
    for (let i = 0; i < 8 && job.state === 'running'; i++) await sleep(100);
    if (job.state === 'cancelled') { documents.delete(document.id); return; }
  }
  job.state = 'done';
  document.state = 'ready';
  document.chunks = 6;
}

async function api(req, res, url) {
  const path = url.pathname;
  const part = path.split('/').filter(Boolean);
  if (path === '/api/v1/demo/session') return json(res, 200, { token: 'mock', creator: 'demo', role });
  if (path === '/api/v1/setup') return (JSON.parse(await read(req)).secret === 'good' ? json(res, 200, { token: 'mock', creator: 'demo', role: 'owner' }) : fail(res, 401, 'this link was used', 'unauthorized'));
  if (req.headers.authorization !== 'Bearer mock') return fail(res, 401, 'a bearer token is needed', 'unauthorized');
  if (path === '/api/v1/me') return json(res, 200, { creator_id: 'demo', user_id: role === 'owner' ? 'demo' : 'visitor_1', role, rights: role === 'owner' ? allRights : ['ask', 'self'], coach: { id: 'coach', name: 'Elena Marín', description: 'Strength for people who thought that training was for somebody else.', language: 'en', questions: { en: ['How many days a week should I train?', 'My knee hurts on stairs. Can I still squat?', 'How much protein do I need?', 'When should I add weight?'], es: ['¿Cuántos días por semana debo entrenar?'] } }, demo: true, version: '0.1.0' });
  if (path === '/api/v1/coaching/ask') {
    const { question } = JSON.parse(await read(req));
    if (/fail/i.test(question)) return fail(res, 503, 'too many requests wait', 'busy');
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const { turn, pieces } = turnFor(question);
    res.write(`event: turn\ndata: ${JSON.stringify({ conversation_id: 'conv_1' })}\n\n`);
    for (const [text, citations] of pieces) {
      await sleep(/slow/i.test(question) ? 2500 : 120);
      res.write(`: beat\n\nevent: sentence\ndata: ${JSON.stringify({ text, citations })}\n\n`);
    }
    res.end(`event: done\ndata: ${JSON.stringify(turn)}\n\n`);
    return;
  }
  if (path === '/api/v1/turns') return json(res, 200, { turns: [...turns.values()].reverse().slice(0, 8).map(({ id, question, covered, created_at, took_ms, confidence }) => ({ id, question, covered, created_at, took_ms, confidence })) });
  if (part[2] === 'turns') return turns.has(part[3]) ? json(res, 200, turns.get(part[3])) : fail(res, 404, 'no such turn', 'not_found');
  if (path === '/api/v1/hub/documents' && req.method === 'GET') {
    if (role !== 'owner') return fail(res, 403, 'this needs the right to read', 'forbidden');
    const all = [...documents.values()];
    const offset = Number(url.searchParams.get('offset') ?? 0);
    return json(res, 200, { documents: all.slice(offset, offset + Number(url.searchParams.get('limit') ?? 50)), total: all.length });
  }
  if (path === '/api/v1/hub/documents' && req.method === 'POST') {
    const body = (await read(req)).toString('utf8');
    const filename = /filename="([^"]+)"/.exec(body)?.[1] ?? 'file';
    const text = body.slice(body.indexOf('\r\n\r\n') + 4, body.lastIndexOf('\r\n--'));
    const known = [...texts.entries()].find(([, other]) => other === text)?.[0];
    if (known) return json(res, 202, { documents: [{ document_id: known, job_id: null, known: true, filename }] });
    if (/\.exe$/.test(filename)) return fail(res, 415, 'an executable is not a document', 'unsupported');
    const id = `doc_${documents.size + 1}`;
    const job = { id: `job_${jobs.size + 1}`, kind: 'ingest', state: 'queued', progress: {}, document_id: id, error: null };
    jobs.set(job.id, job);
    documents.set(id, doc(id, filename, filename, 'text/plain', { state: 'queued', job_id: job.id, size_bytes: bytes(text), created_at: new Date().toISOString() }));
    texts.set(id, text);
    void runJob(job, documents.get(id));
    return json(res, 202, { documents: [{ document_id: id, job_id: job.id, known: false, filename }] });
  }
  if (part[2] === 'hub') {
    const document = documents.get(part[4]);
    if (!document) return fail(res, 404, 'no such document', 'not_found');
    if (part[5] === 'pages') {
      const page = Number(part[6]);
      const text = texts.get(document.id) ?? `Page ${page} of ${document.title}.\n\nSharp pain means stop. A dull ache that fades within a day is information, not an emergency.\n`;
      return json(res, 200, { document_id: document.id, title: document.title, page, pages: document.pages, start_byte: 0, text });
    }
    if (req.method === 'DELETE') { documents.delete(document.id); texts.delete(document.id); res.writeHead(204); return res.end(); }
    return json(res, 200, document);
  }
  if (part[2] === 'jobs') {
    const job = jobs.get(part[3]);
    if (!job) return fail(res, 404, 'no such job', 'not_found');
    if (req.method === 'DELETE') { job.state = 'cancelled'; return json(res, 202, job); }
    if (part[4] === 'events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      while (job.state === 'queued' || job.state === 'running') { res.write(`event: progress\ndata: ${JSON.stringify(job)}\n\n`); await sleep(200); }
      return res.end(`event: done\ndata: ${JSON.stringify(job)}\n\n`);
    }
    return json(res, 200, job);
  }
  return fail(res, 404, 'no such route', 'not_found');
}

// ---- accounts: enough to look at every view; one account, e-mail any, password "password" is wrong, "totp@…" wants a code ----
const allRights = ['ask', 'documents:read', 'documents:write', 'settings:write', 'users:act_as', 'self', 'users:write', 'members:write', 'keys:write', 'audit:read', 'privacy:write', 'limits:write', 'creator:own'];
const iso = (days = 0) => new Date(Date.now() + days * 86_400_000).toISOString();
const account = { id: 'acc_1', email: 'elena@example.com', email_verified: false, full_name: 'Elena Marín', totp: false, created_at: iso(-40) };
const creators = [{ creator_id: 'demo', name: 'Steady Strength', role: 'owner' }, { creator_id: 'club', name: 'Runners’ Club', role: 'editor' }];
const signedIn = () => ({ access_token: 'mock', token_type: 'bearer', expires_in: 900, refresh_expires_in: 2592000, session_id: 'ses_1', account, creator_id: 'demo', role: 'owner', creators });
const members = [{ account_id: 'acc_1', email: account.email, full_name: account.full_name, role: 'owner', created_at: iso(-40), seen_at: iso() }, { account_id: 'acc_2', email: 'tomas@example.com', full_name: 'Tomás Oliveira-Fernández de la Vega', role: 'front-desk', created_at: iso(-9), seen_at: null }];
const invitations = [{ id: 'inv_1', email: 'new.colleague@a-long-domain-name.example', role: 'editor', created_at: iso(-1), expires_at: iso(6) }];
const roles = [...['owner', 'admin', 'editor', 'analyst'].map((name, i) => ({ name, permissions: allRights.slice(0, 13 - 3 * i), built_in: true })), { name: 'front-desk', permissions: ['ask', 'users:write'], built_in: false }];
const keys = [{ id: 'key_1', name: 'Booking site', prefix: 'chk_a1b2c3', scopes: ['ask', 'users:act_as'], created_at: iso(-30), expires_at: iso(60), last_used_at: iso(-1), state: 'active' }, { id: 'key_2', name: 'Old script', prefix: 'chk_zzzzzz', scopes: ['ask'], created_at: iso(-300), expires_at: null, last_used_at: null, state: 'revoked' }];
const users = Array.from({ length: 60 }, (_, i) => ({ id: `user_${i}`, kind: ['visitor', 'email', 'external'][i % 3], email: i % 3 === 1 ? `person${i}@example.com` : null, name: i % 3 ? `Person ${i}` : '', plan: i % 7 ? 'free' : 'premium', attributes: {}, created_at: iso(-i), seen_at: iso(-i / 2) }));
const entries = Array.from({ length: 80 }, (_, i) => ({ seq: 80 - i, at: iso(-i / 3), actor_kind: 'account', actor: 'acc_1', actor_name: 'Elena Marín', action: ['document.delete', 'account.login', 'key.create', 'privacy.erase'][i % 4], target: i % 2 ? 'doc_17' : '', outcome: i % 9 === 4 ? 'refused' : 'done', address: '192.0.2.0/24', request_id: 'req', details: i % 3 ? {} : { chunks: 12 } }));
const retention = { turns_days: 365, feedback_days: null, visitors_days: 30, sessions_days: 30, audit_days: 730, jobs_days: null };
let creator = { id: 'demo', name: 'Steady Strength', settings: { anonymous: true, email_users: false } };
let inside = false;

async function accounts(req, res, url) {
  const path = url.pathname;
  const at = `${req.method} ${path}`;
  const body = ['POST', 'PUT', 'PATCH', 'DELETE'].includes(req.method) ? JSON.parse((await read(req)).toString() || '{}') : {};
  const none = () => { res.writeHead(204); res.end(); };
  if (at === 'GET /api/v1/auth/providers') return json(res, 200, { password: true, signup: true, mail: true, anonymous: true, oidc: [{ id: 'club', name: 'Club ID' }] });
  if (at === 'POST /api/v1/auth/login') {
    if (body.password === 'password') return fail(res, 401, 'e-mail or password is wrong', 'unauthenticated');
    if (/^totp@/.test(body.email) && !body.totp && !body.recovery_code) return fail(res, 401, 'a code is needed', 'totp_required');
    if (body.totp === '000000') return fail(res, 401, 'this code is wrong', 'unauthenticated');
    inside = true;
    return json(res, 200, signedIn());
  }
  if (at === 'POST /api/v1/auth/register' || (at === 'POST /api/v1/setup' && body.email)) {
    if (/taken/.test(body.email)) return fail(res, 409, 'this e-mail has an account', 'conflict');
    inside = true;
    return json(res, 201, signedIn());
  }
  if (at === 'POST /api/v1/setup') return json(res, 200, { token: 'mock', creator: 'demo', role: 'owner' });
  if (at === 'POST /api/v1/auth/refresh') return inside ? json(res, 200, signedIn()) : fail(res, 401, 'sign in again', 'unauthenticated');
  if (at === 'POST /api/v1/auth/logout') { inside = false; return none(); }
  if (at === 'POST /api/v1/auth/link') return json(res, 202, { sent: true });
  if (at === 'POST /api/v1/auth/link/redeem') {
    if (body.token === 'used') return fail(res, 401, 'this link was used', 'unauthenticated');
    if (body.token === 'password' && !body.password) { res.writeHead(422, { 'Content-Type': 'application/json' }); return res.end(JSON.stringify({ error: 'password is needed', code: 'invalid', request_id: 'r', details: { field: 'password' } })); }
    if (body.token === 'verify' || body.token === 'password') return none();
    inside = true;
    return json(res, 200, signedIn());
  }
  if (at === 'GET /api/v1/auth/me') return inside ? json(res, 200, { ...account, creators, creator_id: 'demo', role: 'owner', rights: allRights, session_id: 'ses_1' }) : fail(res, 403, 'this needs an account', 'forbidden');
  if (at === 'PATCH /api/v1/auth/me') return json(res, 200, Object.assign(account, body));
  if (at === 'DELETE /api/v1/auth/me') { inside = false; return json(res, 200, { tables: [] }); }
  if (at === 'POST /api/v1/auth/password') return body.current_password === 'wrong' ? fail(res, 403, 'the present password is wrong', 'forbidden') : none();
  if (at === 'POST /api/v1/auth/totp') return json(res, 200, { secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', uri: 'otpauth://totp/Chiron:elena%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Chiron' });
  if (at === 'POST /api/v1/auth/totp/confirm') { account.totp = true; return json(res, 200, { recovery_codes: Array.from({ length: 10 }, (_, i) => `abcd-${1000 + i}-wxyz`) }); }
  if (at === 'DELETE /api/v1/auth/totp') { account.totp = false; return none(); }
  if (at === 'GET /api/v1/auth/sessions') return json(res, 200, { sessions: [{ id: 'ses_1', kind: 'member', creator_id: 'demo', address: '192.0.2.0/24', agent: 'Firefox on Linux', created_at: iso(-1), used_at: iso(), expires_at: iso(29), current: true }, { id: 'ses_2', kind: 'member', creator_id: 'demo', address: '2001:db8:7::/48', agent: 'Safari on iPhone', created_at: iso(-3), used_at: iso(-2), expires_at: iso(27), current: false }] });
  if (path.startsWith('/api/v1/auth/sessions/')) return none();
  if (at === 'GET /api/v1/members') return json(res, 200, { members, invitations });
  if (at === 'POST /api/v1/members') return json(res, 201, { invited: true, link: 'http://127.0.0.1:8000/#/link=Zm9vYmFy', expires_at: iso(7) });
  if (at === 'GET /api/v1/roles') return json(res, 200, { roles, permissions: allRights.map((name) => ({ name, about: name })) });
  if (at === 'GET /api/v1/keys') return json(res, 200, { keys });
  if (path.startsWith('/api/v1/keys') && req.method === 'POST') return json(res, 201, { ...keys[0], key: 'chk_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1v' });
  if (at === 'GET /api/v1/users') {
    const q = url.searchParams.get('q') ?? '';
    const found = users.filter((one) => `${one.id} ${one.name} ${one.email}`.includes(q));
    const offset = Number(url.searchParams.get('offset') ?? 0);
    return json(res, 200, { users: found.slice(offset, offset + 50), total: found.length });
  }
  if (at === 'GET /api/v1/audit') {
    const before = Number(url.searchParams.get('before') ?? 1e9);
    const found = entries.filter((one) => one.seq < before && one.action.includes(url.searchParams.get('q') ?? '')).slice(0, 50);
    return json(res, 200, { entries: found, next: found.length === 50 ? found.at(-1).seq : null });
  }
  if (at === 'GET /api/v1/audit/verify') return json(res, 200, { entries: 80, whole: true, first_broken: null, head: 'x' });
  if (path === '/api/v1/privacy/retention') return json(res, 200, req.method === 'PUT' ? Object.assign(retention, body) : retention);
  if (at === 'POST /api/v1/privacy/retention/run') return json(res, 200, { removed: { turn: 12, session: 3, person: 0 } });
  if (at === 'GET /api/v1/limits') return json(res, 200, { limits: [{ policy: 'rag', key: 'ratelimit:rag:user_7', limit: 600, used: 540, remaining: 60, reset_s: 20, window_s: 60, factor: 1 }, { policy: 'auth', key: 'ratelimit:auth:192.0.2.1', limit: 15, used: 15, remaining: 0, reset_s: 40, window_s: 60, factor: 0.5 }] });
  if (path === '/api/v1/creator') return json(res, 200, req.method === 'PUT' ? (creator = { ...creator, ...body }) : creator);
  return none();
}
const ours = /^\/api\/v1\/(auth|setup|members|invitations|roles|keys|users|audit|privacy|limits|creator)\b/;

createServer(async (req, res) => {
  const url = new URL(req.url, 'http://mock');
  try {
    if (ours.test(url.pathname)) return await accounts(req, res, url);
    if (url.pathname.startsWith('/api/')) return await api(req, res, url);
    const path = normalize(url.pathname === '/' ? '/index.html' : url.pathname);
    const body = await readFile(join(dist, path));
    res.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream', 'Content-Security-Policy': csp });
    res.end(body);
  } catch (cause) {
    if (!res.headersSent) fail(res, cause.code === 'ENOENT' ? 404 : 500, String(cause), 'error');
    else res.end();
  }
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
