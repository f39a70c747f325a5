// SPDX-License-Identifier: MIT
// A server that has just started is still reading its demo in; questions asked too early would be refused.
const PATIENCE_MS = 180_000;

export default async function ready(): Promise<void> {
  const url = process.env.CHIRON_URL ?? 'http://127.0.0.1:8000';
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const visit = await fetch(`${url}/api/v1/demo/session`, { method: 'POST' });
    if (visit.status === 404) throw new Error(`${url} serves no demo: start it with --demo`);
    const token = process.env.CHIRON_TOKEN || ((await visit.json()) as { token: string }).token;
    const headers = { Authorization: `Bearer ${token}` };
    if (process.env.CHIRON_TOKEN) {
      const list = (await (await fetch(`${url}/api/v1/hub/documents?limit=100`, { headers })).json()) as { documents?: { state: string }[]; error?: string };
      if (!list.documents) throw new Error(`${url} does not list documents: ${list.error ?? 'no reason given'}`);
      if (list.documents.length > 0 && list.documents.every((one) => one.state !== 'queued')) return;
    } else {
      const body = JSON.stringify({ question: 'How many days a week should I train?' });
      const reply = await fetch(`${url}/api/v1/coaching/ask`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body });
      if (reply.ok && ((await reply.json()) as { covered: boolean }).covered) return;
    }
    if (Date.now() > until) throw new Error(`${url} has not read its demo in after ${PATIENCE_MS / 1000} s`);
    await new Promise((done) => setTimeout(done, 1000));
  }
}
