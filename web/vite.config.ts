// SPDX-License-Identifier: MIT
// The page is served under `default-src 'self'`: nothing may be inlined, neither scripts nor images as data: URLs.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

// Two files that no module imports, named by their content like the others, because assets are kept for ever:
// the script that must run before the first paint, and the licences of what ends up in the bundle.
function besides(names: string[]): Plugin {
  const files: Record<string, string> = {};
  return {
    name: 'besides',
    apply: 'build',
    generateBundle() {
      const licences = names
        .map((name) => `${name}\n${'-'.repeat(name.length)}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8').trim()}\n`)
        .join('\n\n');
      for (const [name, source] of [['theme.js', readFileSync('src/early/theme.js', 'utf8')], ['licences.txt', licences]] as const) {
        const at = name.lastIndexOf('.');
        const hash = createHash('sha256').update(source).digest('base64url').slice(0, 8);
        files[name] = `assets/${name.slice(0, at)}-${hash}${name.slice(at)}`;
        this.emitFile({ type: 'asset', fileName: files[name] as string, source });
      }
    },
    transformIndexHtml: {
      order: 'post',
      handler: () => [
        { tag: 'script', attrs: { src: `/${files['theme.js']}` }, injectTo: 'head-prepend' },
        { tag: 'link', attrs: { rel: 'license', href: `/${files['licences.txt']}` }, injectTo: 'head' },
      ],
    },
  };
}

export default defineConfig({
  base: '/',
  plugins: [
    react(),
    besides(['react', 'react-dom', 'scheduler', '@fontsource-variable/hanken-grotesk', '@fontsource-variable/source-serif-4']),
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
