// SPDX-License-Identifier: MIT
// Taking documents in and out as an owner. Every file is new (its words carry a number of this run), so that the tests
// can be repeated against the same server.
import type { Page } from '@playwright/test';
import { answered, ask, expect, flat, test, token } from './page.ts';

const run = Date.now().toString(36);
const file = (name: string, text: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
const upload = async (page: Page, ...files: ReturnType<typeof file>[]): Promise<void> => {
  await page.locator('input[type=file]').setInputFiles(files);
};
const item = (page: Page, name: string) => page.locator('.upload').filter({ hasText: name });
const row = (page: Page, name: string) => page.locator('.row').filter({ hasText: name });

// Whatever a test that failed has left behind must not answer another's questions.
test.afterAll(async ({ playwright, baseURL }) => {
  if (token === '') return;
  const api = await playwright.request.newContext({ baseURL: baseURL ?? '', extraHTTPHeaders: { Authorization: `Bearer ${token}` } });
  const { documents } = (await (await api.get('/api/v1/hub/documents?limit=100')).json()) as { documents: { id: string; filename: string }[] };
  for (const one of documents) if (one.filename.includes(run)) await api.delete(`/api/v1/hub/documents/${one.id}`);
  await api.dispose();
});

async function remove(page: Page, name: string): Promise<void> {
  await row(page, name).getByRole('button', { name: /^Delete / }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete this document?' });
  await expect(dialog).toContainText('cannot be undone');
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(row(page, name)).toHaveCount(0);
}

test('a text is added with progress, listed, asked about, deleted and gone', async ({ owner: page }) => {
  const name = `zorblatt-${run}.txt`;
  const fact = `The zorblatt stretch number ${run} is held for exactly ninety-seven seconds on each side, and it is done on a purple mat.`;
  await page.goto('/#/documents');
  await expect(page.getByRole('heading', { name: 'Documents', exact: true })).toBeVisible();
  await upload(page, file(name, `Zorblatt stretch ${run}\n\n${fact}\n\nIt is never done after a meal.\n`));
  await expect(item(page, name)).toBeVisible();
  await expect(item(page, name)).toContainText('Ready to be asked about', { timeout: 30_000 });
  await expect(row(page, name)).toContainText('Ready');
  await expect(row(page, name)).toContainText(/\d+ passages?/);

  // The same bytes again are recognised.
  await upload(page, file(name, `Zorblatt stretch ${run}\n\n${fact}\n\nIt is never done after a meal.\n`));
  await expect(item(page, name).last()).toContainText('Already in your material', { timeout: 15_000 });
  await expect(row(page, name)).toHaveCount(1);
  await page.getByRole('button', { name: 'Clear finished' }).click();
  await expect(item(page, name)).toHaveCount(0);

  await page.goto('/#/ask');
  await ask(page, 'How long is the zorblatt stretch held on each side?');
  const answer = await answered(page);
  await expect(answer.locator('.answer-text')).toContainText('ninety-seven seconds');
  await answer.locator('button.chip').first().click();
  const mark = page.locator('.evidence-page mark');
  await expect(mark.first()).toBeVisible();
  expect(flat((await mark.allTextContents()).join(' '))).toContain('ninety-seven seconds');

  await page.goto('/#/documents');
  await row(page, name).locator('a.row-title').click();
  await expect(page.locator('.paper')).toContainText(fact);
  await page.getByRole('link', { name: 'Documents', exact: true }).last().click();
  await remove(page, name);
  await page.goto('/#/ask');
  await page.getByRole('button', { name: 'New conversation' }).click();
  await ask(page, 'How long is the zorblatt stretch held on each side?');
  await expect((await answered(page)).locator('.answer-text')).not.toContainText('ninety-seven');
});

test('deleting asks first, and cancel keeps the document and gives the focus back', async ({ owner: page }) => {
  await page.goto('/#/documents');
  const button = page.locator('.row').first().getByRole('button', { name: /^Delete / });
  await expect(button).toBeVisible();
  const before = await page.locator('.row').count();
  await button.click();
  const dialog = page.getByRole('dialog', { name: 'Delete this document?' });
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(button).toBeFocused();
  expect(await page.locator('.row').count()).toBe(before);
});

test('an upload is cancelled while its bytes are sent', async ({ owner: page }) => {
  const name = `cancelled-${run}.txt`;
  await page.goto('/#/documents');
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 200_000 });
  await upload(page, file(name, `${run} `.repeat(400_000)));
  await expect(item(page, name)).toContainText(/Uploading \d+%/);
  await expect(item(page, name).getByRole('progressbar')).toHaveAttribute('aria-valuenow', /^([1-9]|[1-8]\d)$/, { timeout: 15_000 });
  await item(page, name).getByRole('button', { name: `Cancel ${name}` }).click();
  await expect(item(page, name)).toContainText('Cancelled');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.reload();
  await expect(page.locator('.rows, .empty').first()).toBeVisible();
  await expect(row(page, name)).toHaveCount(0);
});

test('reading a long document shows how far it is, and can be cancelled', async ({ owner: page }) => {
  const name = `long-${run}.txt`;
  const words = 'strength sleep protein walking patience balance effort rest tendon muscle breath habit'.split(' ');
  let text = `A long book ${run}.\n\n`;
  for (let i = 0; text.length < 3_000_000; i++) text += `Chapter ${i} speaks of ${words[i % 12]} and ${words[(i * 7) % 11]} in week ${i % 53}, and gives the number ${i * 31}.${i % 6 === 5 ? '\n\n' : ' '}`;
  await page.goto('/#/documents');
  await upload(page, file(name, text));
  await expect(item(page, name)).toContainText(/Reading the text|Understanding the passages|Filing the passages/, { timeout: 20_000 });
  await expect(item(page, name).getByRole('progressbar')).toBeVisible();
  await item(page, name).getByRole('button', { name: `Cancel ${name}` }).click();
  await expect(item(page, name)).toContainText('Cancelled', { timeout: 20_000 });
  await item(page, name).getByRole('button', { name: `Dismiss ${name}` }).click();
  await expect(item(page, name)).toHaveCount(0);
  // Nothing half-read can be found; what is left of it can be deleted like any other.
  await page.reload();
  await expect(page.locator('.rows, .empty').first()).toBeVisible();
  await expect(row(page, name).filter({ hasText: 'Ready' })).toHaveCount(0);
  if (await row(page, name).count()) await remove(page, name);
});

test('several files are dropped at once; what cannot be read says why', async ({ owner: page }) => {
  await page.goto('/#/documents');
  await expect(page.locator('.drop')).toBeVisible();
  const names = [`drop-a-${run}.txt`, `drop-b-${run}.md`, `broken-${run}.pdf`, `empty-${run}.txt`];
  const transfer = await page.evaluateHandle(([a, b, c, d, id]) => {
    const data = new DataTransfer();
    data.items.add(new File([`First dropped note ${id} about warm rooms.`], a as string, { type: 'text/plain' }));
    data.items.add(new File([`# Second ${id}\n\nA dropped note about cold rooms.`], b as string, { type: 'text/markdown' }));
    data.items.add(new File([`%PDF-1.7 ${id} not really a PDF`], c as string, { type: 'application/pdf' }));
    data.items.add(new File([], d as string, { type: 'text/plain' }));
    return data;
  }, [...names, run]);
  const target = page.locator('.documents');
  await target.dispatchEvent('dragenter', { dataTransfer: transfer });
  await expect(page.getByText('Drop to add to the material')).toBeVisible();
  await target.dispatchEvent('drop', { dataTransfer: transfer });
  await expect(item(page, names[0] as string)).toContainText('Ready to be asked about', { timeout: 30_000 });
  await expect(item(page, names[1] as string)).toContainText('Ready to be asked about', { timeout: 30_000 });
  await expect(item(page, names[3] as string)).toContainText('The file is empty.');
  await expect(item(page, names[2] as string)).toHaveClass(/upload-failed/, { timeout: 30_000 });
  expect((await item(page, names[2] as string).locator('.upload-words').textContent())?.length).toBeGreaterThan(10);
  await page.reload();
  for (const name of names.slice(0, 3)) {
    await expect(page.locator('.row').first()).toBeVisible();
    if (await row(page, name).count()) await remove(page, name);
  }
});

test('a document with pages is read page by page', async ({ owner: page }) => {
  await page.goto('/#/documents');
  await row(page, '.pdf').first().locator('a.row-title').click();
  const paper = page.locator('.paper');
  await expect(paper).toBeVisible();
  const pager = page.getByRole('navigation', { name: /^Page 1 of \d+/ }).first();
  await expect(pager.getByRole('button', { name: 'Previous page' })).toBeDisabled();
  const first = await paper.textContent();
  await pager.getByRole('button', { name: 'Next page' }).click();
  await expect(page).toHaveURL(/page=2$/);
  await expect(paper).not.toHaveText(first ?? '');
  await page.getByRole('textbox', { name: 'Page' }).first().fill('1');
  await page.keyboard.press('Enter');
  await expect(paper).toHaveText(first ?? '');
  await page.goBack();
  await expect(page).toHaveURL(/page=2$/);
  await page.getByRole('link', { name: 'Documents', exact: true }).last().click();
  await expect(page.getByRole('heading', { name: 'Documents', exact: true })).toBeVisible();
});

test('the list is filtered by what one types, without minding accents', async ({ owner: page }) => {
  await page.goto('/#/documents');
  await expect(page.locator('.row').first()).toBeVisible();
  await page.getByRole('searchbox', { name: 'Filter documents' }).fill('español GUIA'.split(' ')[0]!.replace('ñ', 'n'));
  await expect(page.locator('.tools-count')).toContainText(' of ');
  await page.getByRole('searchbox', { name: 'Filter documents' }).fill('no such document at all');
  await expect(page.getByText('No document matches')).toBeVisible();
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await expect(page.locator('.row').first()).toBeVisible();
});

test('who may only ask sees no upload, and is told who may', async ({ visitor: page }) => {
  await page.goto('/#/documents');
  await expect(page.getByRole('heading', { name: 'Documents belong to the owner' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Add documents' })).toHaveCount(0);
  await expect(page.locator('input[type=file]')).toHaveCount(0);
});
