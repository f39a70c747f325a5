// SPDX-License-Identifier: MIT
// Accounts as a person meets them, against the real server: every test makes an account of its own.
import { createHmac, randomBytes } from 'node:crypto';
import type { APIRequestContext, Page } from '@playwright/test';
import { expect, test } from './page.ts';

const fresh = (): { name: string; email: string; password: string } => {
  const mark = randomBytes(6).toString('hex');
  return { name: `Niña Ω ${mark} 🧗`, email: `coach-${mark}@example.com`, password: `seven quiet ${mark} ladders` };
};

/** RFC 6238, as the app on a phone would reckon it. */
function totp(secret: string, at = Date.now()): string {
  const bits = [...secret.replace(/=+$/, '')].map((ch) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(ch).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []);
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac('sha1', key).update(step).digest();
  const offset = (mac.at(-1) as number) & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

async function out(page: Page): Promise<void> {
  await page.goto('/');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
}

async function signUp(page: Page, who = fresh()): Promise<ReturnType<typeof fresh>> {
  await out(page);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('Your name').fill(who.name);
  await page.getByLabel('E-mail').fill(who.email);
  await page.getByLabel('New password').fill(who.password);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
  return who;
}

async function signIn(page: Page, who: { email: string; password: string }): Promise<void> {
  await page.getByLabel('E-mail').fill(who.email);
  await page.getByLabel('Password', { exact: true }).fill(who.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function leave(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
}

const asked = (request: APIRequestContext, key: string) => request.get('/api/v1/me', { headers: { 'X-API-Key': key } });

test('a coach signs up, comes back after a reload, and nothing that opens the account is left where scripts read', async ({ page }) => {
  const who = await signUp(page);
  await page.reload();
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
  const left = await page.evaluate(() => [...Object.values({ ...localStorage }), ...Object.values({ ...sessionStorage }), document.cookie].join(' '));
  expect(left).not.toMatch(/eyJ/);
  const cookie = (await page.context().cookies()).find((one) => one.name === 'chiron_refresh');
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/api/v1/auth' });
  await page.goto('/#/account');
  await expect(page.getByText(who.email)).toBeVisible();
  await expect(page.getByLabel('Your name')).toHaveValue(who.name);
});

test('a weak password and a taken address are told at their fields', async ({ page }) => {
  const who = await signUp(page);
  await leave(page);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('Your name').fill('Second');
  await page.getByLabel('E-mail').fill('someone-else@example.com');
  await page.getByLabel('New password').fill('password1');
  await page.getByRole('button', { name: 'Create an account' }).click();
  await expect(page.getByLabel('New password')).toHaveAttribute('aria-invalid', 'true');
  await page.getByLabel('E-mail').fill(who.email.toUpperCase());
  await page.getByLabel('New password').fill(who.password);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await expect(page.getByRole('alert')).toContainText('has an account already');
});

test('a wrong password says neither that the address is known nor that it is not', async ({ page }) => {
  const who = await signUp(page);
  await leave(page);
  await signIn(page, { email: who.email, password: 'not the one I chose' });
  await expect(page.getByRole('alert')).toHaveText('E-mail or password is wrong.');
  await signIn(page, { email: `nobody-${who.email}`, password: 'not the one I chose' });
  await expect(page.getByRole('alert')).toHaveText('E-mail or password is wrong.');
  await signIn(page, who);
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
});

test('a second factor is switched on, asked for, and a recovery code stands in once (CRE-015)', async ({ page }) => {
  const who = await signUp(page);
  await page.goto('/#/account');
  await page.getByRole('button', { name: 'Switch on' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Present password').fill(who.password);
  await dialog.getByRole('button', { name: 'Next' }).click();
  const secret = (await dialog.locator('.secret-line code').textContent()) ?? '';
  await expect(dialog.getByRole('img')).toBeVisible();
  await dialog.getByLabel('Code from').fill(totp(secret));
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  const codes = ((await page.locator('pre.secret').textContent()) ?? '').split('\n');
  expect(codes).toHaveLength(10);
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await leave(page);
  await signIn(page, who);
  await page.getByLabel('Code from').fill(totp(secret, Date.now() + 30_000));
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByText('Owner', { exact: true })).toBeVisible();
  for (const works of [true, false]) {
    await leave(page);
    await signIn(page, who);
    await page.getByRole('button', { name: 'Use a recovery code' }).click();
    await page.getByLabel('Recovery code', { exact: true }).fill(codes[0] as string);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    if (works) await expect(page.getByText('Owner', { exact: true })).toBeVisible();
    else await expect(page.getByRole('alert')).toContainText('used already');
  }
});

test('a key is shown once, opens the API, and stops when it is revoked (CRE-016)', async ({ page, request }) => {
  await signUp(page);
  await page.goto('/#/manage/keys');
  await page.getByRole('button', { name: 'New key' }).click();
  await page.getByLabel('What is it for?').fill('Booking <b>site</b>');
  await page.getByRole('button', { name: 'Make the key' }).click();
  const key = ((await page.locator('pre.secret').textContent()) ?? '').trim();
  expect(key).toMatch(/^chk_/);
  await page.getByRole('button', { name: 'I have kept it' }).click();
  expect((await asked(request, key)).status()).toBe(200);
  await expect(page.getByText('Booking <b>site</b>')).toBeVisible();
  expect(await page.content()).not.toContain(key);
  await page.getByRole('button', { name: /^Revoke / }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
  await expect(page.getByText('Revoked', { exact: true })).toBeVisible();
  expect((await asked(request, key)).status()).toBe(401);
});

test('a colleague comes in by invitation, with the rights of their role and no others (CRE-012)', async ({ page, browser, baseURL }) => {
  await signUp(page);
  await page.goto('/#/manage/members');
  await page.getByRole('button', { name: 'Invite' }).click();
  const colleague = fresh();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('E-mail').fill(colleague.email);
  await dialog.getByLabel('Role').selectOption('editor');
  await dialog.getByRole('button', { name: 'Invite' }).click();
  const link = ((await page.locator('pre.secret').textContent()) ?? '').trim();
  await page.getByRole('button', { name: 'I have kept it' }).click();
  const other = await browser.newContext({ locale: 'en-GB', ...(baseURL ? { baseURL } : {}) });
  const theirs = await other.newPage();
  await theirs.goto(`/${link.slice(link.indexOf('#'))}`);
  await expect(theirs.getByRole('heading', { name: 'Choose a password' })).toBeVisible();
  await theirs.getByLabel('Your name').fill(colleague.name);
  await theirs.getByLabel('New password').fill(colleague.password);
  await theirs.getByRole('button', { name: 'Set the password' }).click();
  await expect(theirs.getByText('Editor', { exact: true })).toBeVisible();
  await expect(theirs).not.toHaveURL(/link=/);
  await theirs.goto('/#/manage/keys');
  await expect(theirs.getByText('keys:write')).toBeVisible();
  await page.reload();
  await expect(page.getByText(colleague.email).first()).toBeVisible();
  await other.close();
});

test('signing out everywhere ends the other browser within a moment', async ({ page, browser, baseURL }) => {
  const who = await signUp(page);
  const other = await browser.newContext({ locale: 'en-GB', ...(baseURL ? { baseURL } : {}) });
  const theirs = await other.newPage();
  await out(theirs);
  await signIn(theirs, who);
  await expect(theirs.getByText('Owner', { exact: true })).toBeVisible();
  await page.goto('/#/account');
  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await theirs.goto('/#/documents');
  await theirs.reload();
  await expect(theirs.getByText('Owner', { exact: true })).toHaveCount(0);
  await other.close();
});

test('what was done stands in the log, and the log is whole (CRE-063)', async ({ page }) => {
  await signUp(page);
  await page.goto('/#/manage/keys');
  await page.getByRole('button', { name: 'New key' }).click();
  await page.getByLabel('What is it for?').fill('x');
  await page.getByRole('button', { name: 'Make the key' }).click();
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await page.goto('/#/manage/audit');
  await expect(page.locator('.audit li').first()).toBeVisible();
  await page.getByRole('button', { name: 'Check the log' }).click();
  await expect(page.getByText('are as they were written')).toBeVisible();
});

test('every view of a creator’s affairs opens, and fits the screen', async ({ page }) => {
  await signUp(page);
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [view, heading] of [['members', 'Team'], ['keys', 'API keys'], ['people', 'People'], ['audit', 'Audit log'], ['retention', 'Retention'], ['limits', 'Limits'], ['creator', 'Creator']] as const) {
      await page.goto(`/#/manage/${view}`);
      await expect(page.getByRole('heading', { level: 2, name: heading, exact: true })).toBeVisible();
      await expect(page.locator('.waiting')).toHaveCount(0);
      await expect(page.locator('.failure')).toHaveCount(0);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), view).toBe(0);
      await page.screenshot({ path: `../build/web-screens/manage-${view}-${width}.png`, fullPage: true });
    }
  }
});

test('an owner takes everything along, erases the creator and then themself, each with a certificate (CRE-062)', async ({ page }) => {
  const who = await signUp(page);
  await page.goto('/#/account');
  const archive = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  expect((await archive).suggestedFilename()).toMatch(/\.zip$/);
  const erase = async (password: string, typed: string): Promise<void> => {
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByRole('button', { name: 'Erase', exact: true })).toBeDisabled();
    await dialog.getByLabel('Present password').fill(password);
    await dialog.getByLabel(/^Type/).fill(typed);
    await dialog.getByRole('button', { name: 'Erase', exact: true }).click();
  };
  await page.getByRole('button', { name: 'Erase me' }).click();
  await erase(who.password, 'erase');
  await expect(page.getByRole('dialog').getByRole('alert')).toContainText('only owner');
  await page.keyboard.press('Escape');

  await page.goto('/#/manage/creator');
  const id = ((await page.locator('.panel code').first().textContent()) ?? '').trim();
  await page.getByRole('button', { name: 'Erase this creator' }).click();
  const first = page.waitForEvent('download');
  await erase(who.password, id);
  expect((await first).suggestedFilename()).toContain(id);
  await expect(page.getByText('Your data has been erased.')).toBeVisible();

  await signIn(page, who);
  await expect(page.getByRole('heading', { name: 'No coach here is yours' })).toBeVisible();
  await page.getByRole('button', { name: 'Erase me' }).click();
  const second = page.waitForEvent('download');
  await erase(who.password, 'erase');
  expect((await second).suggestedFilename()).toMatch(/certificate\.json$/);
  await expect(page.getByText('Your data has been erased.')).toBeVisible();
  await signIn(page, who);
  await expect(page.getByRole('alert')).toHaveText('E-mail or password is wrong.');
});
