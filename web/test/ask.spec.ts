// SPDX-License-Identifier: MIT
import type { Page } from '@playwright/test';
import type { Turn } from '../src/api.ts';
import { answered, ask, expect, flat, test } from './page.ts';

const QUESTION = 'How many days a week should I train?';
const UNKNOWN = 'Which unicorn breed wins the most horse races on Jupiter?';

/** Keeps a copy of the stream as it comes, to hold the page against what the server really said. */
function listen(): void {
  const real = window.fetch.bind(window);
  window.fetch = async (...request) => {
    const reply = await real(...request);
    if (!String(request[0]).endsWith('/coaching/ask') || !reply.body) return reply;
    const [page, copy] = reply.body.tee();
    (window as unknown as { heard: Promise<string> }).heard = new Response(copy).text();
    return new Response(page, { status: reply.status, headers: reply.headers });
  };
}

async function said(page: Page): Promise<{ sentences: number; turn: Turn }> {
  const events = (await page.evaluate(() => (window as unknown as { heard: Promise<string> }).heard)).split(/\n\n/);
  const done = events.find((one) => /^event: ?done/m.test(one));
  expect(done, 'the stream ends with the whole turn').toBeTruthy();
  return {
    sentences: events.filter((one) => /^event: ?sentence/m.test(one)).length,
    turn: JSON.parse(/^data: ?(.*)$/m.exec(done as string)?.[1] as string) as Turn,
  };
}

// One of the Markdown, one that the PDF answers page by page, one in Spanish: bytes are not characters there.
for (const question of [QUESTION, 'My knee hurts on stairs. Can I still squat?', '¿Cuánta proteína necesito?']) test(`every citation opens exactly the cited words: ${question}`, async ({ visitor: page }) => {
  await page.evaluate(listen);
  await ask(page, question);
  const answer = await answered(page);
  const { sentences, turn } = await said(page);
  expect(sentences).toBeGreaterThan(0);
  expect(turn.covered).toBe(true);
  expect(turn.citations.length).toBeGreaterThan(0);
  // The words are the turn's, without its markers (a citation's own number stands in a button).
  const shown = await answer.locator('.answer-text').evaluate((node) => {
    const copy = node.cloneNode(true) as HTMLElement;
    copy.querySelectorAll('button').forEach((one) => one.remove());
    return [...copy.children].map((one) => one.textContent).join(' ');
  });
  const bare = (text: string): string => flat(text.replace(/\s*\[\d+\]/g, '').replace(/^\s*(?:[-*•]|\d+\.)\s+/gm, '')).replace(/\s/g, '');
  expect(bare(shown)).toBe(bare(turn.answer));

  await answer.getByRole('button', { name: /^Source 1:/ }).first().click();
  const panel = page.getByRole('complementary', { name: 'Source' });
  for (let i = 0; i < turn.citations.length; i++) {
    const at = await panel.locator('.evidence-title .chip').textContent();
    const citation = turn.citations.find((one) => String(one.number) === at);
    expect(citation).toBeTruthy();
    await expect(panel.getByRole('heading')).toHaveText(citation?.title ?? '');
    const marks = panel.locator('.evidence-page mark');
    await expect(marks.first()).toBeVisible();
    await expect(async () => expect(flat((await marks.allTextContents()).join(' '))).toBe(flat(citation?.text ?? ''))).toPass();
    await expect(marks.first()).toBeInViewport();
    if (turn.citations.length > 1) await panel.getByRole('button', { name: 'Next source' }).click();
  }
  // The same words are marked in the document itself.
  const { hash, text } = await panel.evaluate((node) => ({
    hash: node.querySelector<HTMLAnchorElement>('.evidence-open')?.hash ?? '',
    text: [...node.querySelectorAll('mark')].map((one) => one.textContent).join(' '),
  }));
  await panel.getByRole('link', { name: 'Open in the document' }).click();
  await expect(page).toHaveURL(new RegExp(`${hash.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`));
  await expect(page.locator('.paper mark').first()).toBeInViewport();
  expect(flat((await page.locator('.paper mark').allTextContents()).join(' '))).toBe(flat(text));
});

test('what the material does not cover gets an honest no with what is nearest', async ({ visitor: page }) => {
  await ask(page, UNKNOWN);
  const answer = await answered(page);
  await expect(answer.getByText('Not in my material', { exact: true })).toBeVisible();
  await expect(answer.locator('.answer-foot')).toContainText('Not covered');
  await expect(answer.locator('.confidence')).toHaveCount(0);
  const nearest = answer.locator('.source');
  if (await nearest.count()) {
    await expect(answer.getByRole('heading', { name: 'What comes nearest' })).toBeVisible();
    await nearest.first().click();
    await expect(page.locator('.evidence-page mark').first()).toBeVisible();
  }
});

test('why this answer shows stages, passages of both searches and the checked sentences', async ({ visitor: page }) => {
  await ask(page, QUESTION);
  await (await answered(page)).getByRole('link', { name: 'Why this answer' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Why this answer' })).toBeVisible();
  await expect(page.getByRole('heading', { name: QUESTION })).toBeVisible();
  expect(await page.locator('.stages li').count()).toBeGreaterThan(1);
  expect(await page.locator('table.passages tbody tr').count()).toBeGreaterThan(0);
  await expect(page.locator('table.passages .pill-good').first()).toHaveText('Used');
  await expect(page.locator('.checked li').first()).toContainText('Shown');
  await expect(page.locator('.facts')).toContainText(/Search\s*(hybrid|semantic|keyword)/);
  // A citation opens its passage here too.
  await page.locator('.why-words-answer').getByRole('button', { name: /^Source 1:/ }).first().click();
  await expect(page.locator('.evidence-page mark').first()).toBeVisible();
  // It can be found again among the recent questions.
  await page.goto('/#/ask');
  await expect(page.locator('.recent a').first()).toContainText(QUESTION);
});

test('an unknown turn says so in words', async ({ visitor: page }) => {
  await page.goto('/#/why/turn_nothing');
  await expect(page.getByRole('alert')).toContainText('not here');
});

test('the conversation survives a reload and another view, and a new one starts empty', async ({ visitor: page }) => {
  await ask(page, QUESTION);
  await answered(page);
  await page.getByRole('link', { name: 'Documents', exact: true }).click();
  await page.getByRole('link', { name: 'Ask', exact: true }).click();
  await expect(page.getByRole('heading', { name: QUESTION })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { name: QUESTION })).toBeVisible();
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /^Ask / })).toBeVisible();
});

test('a suggested question is asked by one click', async ({ visitor: page }) => {
  const first = page.getByRole('region', { name: 'Questions to start with' }).getByRole('button').first();
  const words = (await first.textContent()) ?? '';
  await first.click();
  await expect((await answered(page)).getByRole('heading', { name: words })).toBeVisible();
});

test('an answer can be stopped, and asked again', async ({ visitor: page }) => {
  await page.route('**/api/v1/coaching/ask', async (route) => {
    await new Promise((done) => setTimeout(done, 4000));
    await route.continue().catch(() => {});
  }, { times: 1 });
  await ask(page, QUESTION);
  await expect(page.getByText('Reading the material…')).toBeVisible();
  await page.getByRole('button', { name: 'Stop the answer' }).click();
  await expect(page.getByText('You stopped this answer.')).toBeVisible();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect((await answered(page)).getByRole('button', { name: /^Source 1:/ }).first()).toBeVisible();
});

test('a busy server and a lost connection are told in words, with a way on', async ({ visitor: page }) => {
  await page.route('**/api/v1/coaching/ask', (route) => route.fulfill({ status: 503, headers: { 'Retry-After': '1' }, json: { error: 'too many requests wait', code: 'busy', request_id: 'req_1' } }), { times: 1 });
  await ask(page, QUESTION);
  await expect(page.getByRole('alert')).toContainText('The server is busy');
  await page.route('**/api/v1/coaching/ask', (route) => route.abort('connectionreset'), { times: 1 });
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toContainText('cannot be reached');
  await page.route('**/api/v1/coaching/ask', (route) => route.fulfill({ status: 200, contentType: 'text/event-stream', body: 'event: error\ndata: {"error":"the question took too long","code":"timeout","request_id":"req_7"}\n\n' }), { times: 1 });
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toContainText('Reference req_7');
  // A stream that ends without its last event is not taken for a whole answer.
  await page.route('**/api/v1/coaching/ask', (route) => route.fulfill({ status: 200, contentType: 'text/event-stream', body: 'event: sentence\ndata: {"text":"Half","citations":[]}\n\n' }), { times: 1 });
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toContainText('cannot be reached');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect((await answered(page)).getByRole('button', { name: /^Source 1:/ }).first()).toBeVisible();
});

test('model output is never taken for HTML', async ({ visitor: page }) => {
  const answer = 'Try <img src=x onerror=alert(1)> and [link](javascript:alert(1)) [1].';
  const turn = { id: 'turn_x', conversation_id: 'c', answer, language: 'en', covered: true, step: 'full', confidence: 0.5, citations: [{ number: 1, document_id: 'd', title: '<b>T</b>', heading: null, page: 0, start_byte: 0, end_byte: 4, text: '<i>', score: 0.5, answer_start: 0, answer_end: 60 }], provider: 'openai', model: 'm', fell_back: true, fell_back_why: 'timeout', dropped: 1, took_ms: 5 };
  await page.route('**/api/v1/coaching/ask', (route) => route.fulfill({ status: 200, contentType: 'text/event-stream', body: `event: done\ndata: ${JSON.stringify(turn)}\n\n` }), { times: 1 });
  await ask(page, 'x');
  const last = await answered(page);
  await expect(last).toContainText('<img src=x onerror=alert(1)>');
  await expect(last.locator('img, b, a[href^="javascript"]')).toHaveCount(0);
  await expect(last).toContainText('language model could not be used');
  await expect(last).toContainText('1 sentence was left out');
  await expect(last).toContainText('Fair confidence');
});

test('a question that is too long is not sent', async ({ visitor: page }) => {
  await page.getByRole('textbox', { name: 'Your question' }).fill('é'.repeat(17_000));
  await expect(page.getByRole('alert')).toContainText('longer than');
  await expect(page.getByRole('button', { name: 'Send the question' })).toBeDisabled();
});

test('the whole way can be gone by keyboard', async ({ visitor: page }) => {
  await page.getByRole('link', { name: 'Chiron' }).focus();
  await page.keyboard.press('Shift+Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('textbox', { name: 'Your question' })).toBeFocused();
  await page.keyboard.type(QUESTION);
  await page.keyboard.press('Enter');
  await answered(page);
  await page.locator('main').focus();
  const chip = page.locator('article button.chip').first();
  for (let i = 0; i < 8 && !(await chip.evaluate((node) => node === document.activeElement)); i++) await page.keyboard.press('Tab');
  await expect(chip).toBeFocused();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('complementary', { name: 'Source' });
  await expect(panel.getByRole('heading')).toBeFocused();
  await expect(panel.locator('mark').first()).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel).toHaveCount(0);
  await expect(chip).toBeFocused();
  const why = page.getByRole('link', { name: 'Why this answer' });
  for (let i = 0; i < 30 && !(await why.evaluate((node) => node === document.activeElement)); i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'Why this answer' })).toBeVisible();
});

test('on a small screen a citation opens a sheet that keeps the focus and gives it back', async ({ visitor: page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await ask(page, QUESTION);
  const chip = (await answered(page)).locator('button.chip').first();
  await chip.click();
  const sheet = page.getByRole('dialog', { name: 'Source' });
  await expect(sheet.locator('mark').first()).toBeInViewport();
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null)).toBe(true);
  }
  await page.keyboard.press('Escape');
  await expect(sheet).toHaveCount(0);
  await expect(chip).toBeFocused();
});

test('new sentences are announced politely', async ({ visitor: page }) => {
  await ask(page, QUESTION);
  const answer = await answered(page);
  await expect(answer.locator('.answer-text')).toHaveAttribute('aria-live', 'polite');
  await expect(page.getByRole('status').filter({ hasText: /^Answer complete, \d+ source/ })).toHaveCount(1);
});

test('Spanish is complete, answers in Spanish and is remembered', async ({ visitor: page }) => {
  await page.getByRole('radio', { name: 'Español' }).check({ force: true });
  await expect(page.locator('html')).toHaveAttribute('lang', 'es');
  await expect(page.getByRole('link', { name: 'Documentos' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { level: 1, name: /^Pregunte a / })).toBeVisible();
  await page.getByRole('region', { name: 'Preguntas para empezar' }).getByRole('button').first().click();
  const answer = await answered(page);
  await expect(answer.getByRole('button', { name: /^Fuente 1:/ }).first()).toBeVisible();
  await answer.getByRole('link', { name: 'Por qué esta respuesta' }).click();
  await expect(page.getByRole('heading', { name: 'En qué se fue el tiempo' })).toBeVisible();
  await expect(page.locator('main')).not.toContainText(/\b(cited by|needed|Confidence|Sources)\b/);
});

test('the dark theme is chosen, applied before the first paint and remembered', async ({ visitor: page }) => {
  await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  expect(Math.max(...(dark.match(/\d+/g) ?? []).slice(0, 3).map(Number))).toBeLessThan(60);
  await page.reload({ waitUntil: 'commit' });
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.getByRole('radio', { name: 'Dark' })).toBeChecked();
  expect(await ground()).toBe(dark);
  await page.getByRole('radio', { name: 'Light' }).check({ force: true });
  expect(await ground()).not.toBe(dark);
});
