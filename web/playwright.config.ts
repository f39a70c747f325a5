// SPDX-License-Identifier: MIT
// The tests drive a server that is already running (CHIRON_URL) in Debian's chromium; playwright downloads nothing.
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'test',
  globalSetup: './test/ready.ts',
  outputDir: '../build/web-test',
  fullyParallel: false,
  workers: 1,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [['list']],
  use: {
    baseURL: process.env.CHIRON_URL ?? 'http://127.0.0.1:8000',
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--no-first-run', '--disable-dev-shm-usage'],
    },
  },
});
