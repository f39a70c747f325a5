// SPDX-License-Identifier: MIT
// axe over every view in both themes. The checker is evaluated from outside, the page's policy stays as it is.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { answered, ask, expect, test, token } from './page.ts';

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
interface Found { id: string; impact: string | null; nodes: { target: unknown; failureSummary?: string }[] }

async function check(page: Page, where: string): Promise<void> {
  await page.evaluate(source);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (options: object) => Promise<{ violations: Found[] }> } };
    return (await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })).violations;
  });
  const serious = violations
    .filter((one) => one.impact === 'serious' || one.impact === 'critical')
    .map((one) => `${one.id}: ${one.nodes.map((node) => `${JSON.stringify(node.target)} ${node.failureSummary ?? ''}`).join('; ')}`);
  expect(serious, where).toEqual([]);
}

for (const theme of ['light', 'dark'] as const) {
  for (const width of [360, 1440]) {
    test(`no serious barrier in the ${theme} theme at ${width} pixels`, async ({ page }) => {
      await page.setViewportSize({ width, height: 850 });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      if (token) await page.addInitScript((value) => localStorage.setItem('chiron.token', value), token);
      await page.goto('/');
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      await check(page, 'first');
      await ask(page, 'How many days a week should I train?');
      const answer = await answered(page);
      await check(page, 'answer');
      await answer.locator('button.chip').first().click();
      await expect(page.locator('.evidence-page mark').first()).toBeVisible();
      await check(page, 'evidence');
      await page.keyboard.press('Escape');
      await ask(page, 'Which unicorn breed wins the most horse races on Jupiter?');
      await answered(page);
      await check(page, 'refusal');
      await answer.getByRole('link', { name: 'Why this answer' }).click();
      await expect(page.locator('.stages')).toBeVisible();
      await check(page, 'why');
      await page.goto('/#/documents');
      await expect(page.locator('.row, .empty').first()).toBeVisible();
      await check(page, 'documents');
      if (token) {
        await page.locator('.row').first().getByRole('button', { name: /^Delete / }).click();
        await check(page, 'dialog');
        await page.keyboard.press('Escape');
        await page.locator('a.row-title').first().click();
        await expect(page.locator('.page-text')).toBeVisible();
        await check(page, 'reader');
      }
      if (width < 1024) {
        await page.getByRole('button', { name: 'Menu and settings' }).click();
        await check(page, 'menu');
      }
      await page.getByRole('button', { name: /^Sign (out|in)$/ }).click();
      await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await check(page, 'sign in');
    });
  }
}

for (const theme of ['light', 'dark'] as const) {
  test(`no serious barrier in the ${theme} theme where accounts are kept`, async ({ page }) => {
    await page.setViewportSize({ width: 1280, height: 850 });
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await page.goto('/');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('button', { name: 'Create an account' }).click();
    await check(page, 'sign up');
    const mark = `${Date.now()}-${theme}`;
    await page.getByLabel('Your name').fill('Ada');
    await page.getByLabel('E-mail').fill(`access-${mark}@example.com`);
    await page.getByLabel('New password').fill(`nine calm ${mark} harbours`);
    await page.getByRole('button', { name: 'Create an account' }).click();
    await expect(page.getByText('Owner', { exact: true })).toBeVisible();
    await page.goto('/#/account');
    await expect(page.getByRole('heading', { name: 'Where you are signed in' })).toBeVisible();
    await check(page, 'account');
    await page.getByRole('button', { name: 'Switch on' }).click();
    await check(page, 'second factor');
    await page.keyboard.press('Escape');
    for (const view of ['members', 'keys', 'people', 'audit', 'retention', 'limits', 'creator']) {
      await page.goto(`/#/manage/${view}`);
      await expect(page.locator('.panel').first()).toBeVisible();
      await expect(page.locator('.waiting')).toHaveCount(0);
      await check(page, view);
    }
    await page.goto('/#/manage/members');
    await page.getByRole('button', { name: 'New role' }).click();
    await check(page, 'role');
    await page.keyboard.press('Escape');
    await page.goto('/#/manage/keys');
    await page.getByRole('button', { name: 'New key' }).click();
    await check(page, 'key');
  });
}
