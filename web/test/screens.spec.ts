// SPDX-License-Identifier: MIT
// Every view at three widths in both themes: nothing may stand outside of the screen. The pictures are left in
// build/web-screens to be looked at.
import { answered, ask, expect, test, token } from './page.ts';

const widths = [360, 768, 1440];
const themes = ['light', 'dark'] as const;

for (const width of widths) {
  for (const theme of themes) {
    test(`everything fits at ${width} pixels in the ${theme} theme`, async ({ page }) => {
      await page.setViewportSize({ width, height: width === 360 ? 780 : width === 768 ? 1024 : 900 });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      if (token) await page.addInitScript((value) => localStorage.setItem('chiron.token', value), token);
      const look = async (name: string): Promise<void> => {
        await page.evaluate(() => document.fonts.ready);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(over, `${name} is wider than the screen`).toBe(0);
        await page.screenshot({ path: `../build/web-screens/${name}-${width}-${theme}.png` });
      };
      await page.goto('/');
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      await look('first');
      await ask(page, 'How many days a week should I train?');
      const answer = await answered(page);
      await look('answer');
      await answer.getByRole('button', { name: /^Source 1/ }).first().click();
      await expect(page.locator('.evidence-page mark').first()).toBeVisible();
      await look('evidence');
      await page.keyboard.press('Escape');
      await answer.getByRole('link', { name: 'Why this answer' }).click();
      await expect(page.getByRole('heading', { name: 'Where the time went' })).toBeVisible();
      await look('why');
      await page.screenshot({ path: `../build/web-screens/why-whole-${width}-${theme}.png`, fullPage: true });
      await page.goto('/#/ask');
      await ask(page, 'Which unicorn breed wins the most horse races on Jupiter?');
      await answered(page);
      await look('refusal');
      await page.goto('/#/documents');
      await expect(page.getByRole('heading', { name: 'Documents', exact: true })).toBeVisible();
      if (token) await expect(page.locator('.row').first()).toBeVisible();
      await look('documents');
      if (token) {
        await page.locator('a.row-title').first().click();
        await expect(page.locator('.page-text')).toBeVisible();
        await look('reader');
      }
    });
  }
}
