// SPDX-License-Identifier: MIT
// What every test starts with: a browser tab on the running server, as a visitor of the demo or with an owner's token.
import { type BrowserContextOptions, expect, type Page, test as base } from '@playwright/test';

export const token = process.env.CHIRON_TOKEN ?? '';
export const needsToken = 'needs an owner’s token: tools/web.sh test URL TOKEN';

interface Tabs { visitor: Page; owner: Page; errors: string[] }

export const test = base.extend<Tabs>({
  // A violation of the policy, a failed asset or a thrown error fails the test that met it.
  errors: [async ({ page }, use) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(`thrown: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) errors.push(`console: ${message.text()}`);
    });
    page.on('requestfailed', (request) => {
      if (/\.(js|css|woff2|svg)$/.test(request.url())) errors.push(`not loaded: ${request.url()}`);
    });
    await use(errors);
    expect(errors).toEqual([]);
  }, { auto: true }],
  visitor: async ({ page }, use) => {
    await page.goto('/');
    await expect(page.getByRole('textbox', { name: /question|pregunta/i })).toBeVisible();
    await use(page);
  },
  owner: async ({ page }, use) => {
    test.skip(token === '', needsToken);
    await page.addInitScript((value) => localStorage.setItem('chiron.token', value), token);
    await page.goto('/');
    await expect(page.getByRole('textbox', { name: /question|pregunta/i })).toBeVisible();
    await use(page);
  },
});

export const english: BrowserContextOptions = { locale: 'en-GB' };

export async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole('textbox', { name: /question|pregunta/i }).fill(question);
  await page.keyboard.press('Enter');
}

/** The last exchange, once its answer is whole. */
export async function answered(page: Page) {
  const last = page.locator('article').last();
  await expect(last).toHaveAttribute('aria-busy', 'false', { timeout: 20_000 });
  return last;
}

export const flat = (text: string): string => text.replace(/\s+/g, ' ').trim();
export { expect };
