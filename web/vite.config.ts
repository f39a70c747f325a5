// SPDX-License-Identifier: MIT
// The page is served under `default-src 'self'`: nothing may be inlined, neither scripts nor images as data: URLs.
import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

// What ends up in the bundle is other people's work too: their licences travel with it.
function licences(names: string[]): Plugin {
  return {
    name: 'licences',
    apply: 'build',
    generateBundle() {
      const source = names
        .map((name) => `${name}\n${'-'.repeat(name.length)}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8').trim()}\n`)
        .join('\n\n');
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source });
    },
  };
}

export default defineConfig({
  base: '/',
  plugins: [
    react(),
    licences(['react', 'react-dom', 'scheduler', '@fontsource-variable/hanken-grotesk', '@fontsource-variable/source-serif-4']),
  ],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { host: '127.0.0.1', port: 5173, proxy: Object.fromEntries(
    ['/api', '/v1', '/health', '/openapi.json', '/docs'].map((path) => [path, process.env.CHIRON_URL ?? 'http://127.0.0.1:8000'])) },
});
