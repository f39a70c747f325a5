// SPDX-License-Identifier: MIT
import type { Page } from '@playwright/test';
import { expect, needsToken, test, token } from './page.ts';

async function useToken(page: Page, text: string, lasting = true): Promise<void> {
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  const fold = page.getByText('Use an access token');
  if (await fold.isVisible()) await fold.click();
  await page.getByLabel('Access token').fill(text);
  if (!lasting) await page.getByLabel('Keep me signed in on this device').uncheck();
  await page.getByRole('button', { name: 'Sign in with the token' }).click();
}

test('a set-up link leaves the address bar at once, and a used one lets nobody in as owner', async ({ page }) => {
  await page.goto('/#setup=not-the-secret');
  await expect(page.getByRole('heading', { name: 'Own this instance' })).toBeVisible();
  await page.getByRole('button', { name: 'Later: go on with a token' }).click();
  await expect(page.getByText('set-up link has been used')).toBeVisible();
  await expect(page).not.toHaveURL(/setup=/);
  await page.goBack().catch(() => {});
  await expect(page).not.toHaveURL(/setup=/);
  await expect(page.getByText('You are set up as owner')).toHaveCount(0);
});

test('signing out forgets the token and the conversation', async ({ visitor: page }) => {
  await page.getByRole('textbox', { name: 'Your question' }).fill('How much protein do I need?');
  await page.keyboard.press('Enter');
  await expect(page.locator('article')).toHaveAttribute('aria-busy', 'false', { timeout: 20_000 });
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  const left = await page.evaluate(() => [localStorage.getItem('chiron.token'), sessionStorage.getItem('chiron.token'), sessionStorage.getItem('chiron.conversation')]);
  expect(left).toEqual([null, null, null]);
  await useToken(page, 'not.a.token');
  await expect(page.getByRole('alert')).toContainText('not accepted');
  await page.getByRole('button', { name: 'Look around as a demo visitor' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /^Ask / })).toBeVisible();
});

test('a token signs in, for this tab only when so chosen', async ({ visitor: page }) => {
  test.skip(token === '', needsToken);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await useToken(page, `  Bearer ${token}\n`, false);
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
  expect(await page.evaluate(() => localStorage.getItem('chiron.token'))).toBeNull();
  await page.reload();
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
});

test('a session that ended asks to sign in again', async ({ page }) => {
  await page.route('**/api/v1/demo/session', (route) => route.fulfill({ status: 404, json: { error: 'there is no demo here', code: 'not_found' } }));
  await page.addInitScript(() => localStorage.setItem('chiron.token', 'out.of.date'));
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
});

test('a server that cannot be reached is told in words, with a way on', async ({ page }) => {
  await page.route('**/api/v1/**', (route) => route.abort('connectionrefused'));
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Cannot reach Chiron' })).toBeVisible();
  await page.unroute('**/api/v1/**');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /^Ask / })).toBeVisible();
});

test('the page runs under a policy that allows nothing inline', async ({ page }) => {
  const reply = await page.goto('/');
  const policy = reply?.headers()['content-security-policy'] ?? '';
  expect(policy).toMatch(/default-src '(self|none)'/);
  expect(policy).not.toContain('unsafe');
  expect(await page.locator('script:not([src]), style, [onclick]').count()).toBe(0);
});

test('the page comes compressed to who takes gzip and plain to who does not', async ({ page, request }) => {
  const index = await (await request.get('/')).text();
  const script = /assets\/index-[\w-]+\.js/.exec(index)?.[0] ?? '';
  const loaded = page.waitForResponse((r) => r.url().endsWith(script));
  await page.goto('/');
  const small = await loaded;
  expect(await small.headerValue('content-encoding')).toBe('gzip');
  expect(await small.headerValue('vary')).toContain('Accept-Encoding');
  const plain = await request.get(`/${script}`, { headers: { 'Accept-Encoding': 'identity' } });
  expect(plain.headers()['content-encoding']).toBeUndefined();
  expect((await plain.body()).toString()).toBe((await small.body()).toString());
});
