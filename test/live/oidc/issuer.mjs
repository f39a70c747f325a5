// SPDX-License-Identifier: MIT
// A real OpenID Connect issuer for the tests (node-oidc-provider): anybody may sign in under any name; the address is NAME@example.org,
// verified unless the name begins with "loose".      usage: node issuer.mjs PORT REDIRECT_URI
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const key = (kind, options, alg) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `${alg}-1` });
const client = (id, more) => ({
  client_id: id, client_secret: `secret of ${id}: 100%+ sure`, redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'], ...more,
});
const provider = new Provider(issuer, {
  clients: [
    client('chiron-rs', { id_token_signed_response_alg: 'RS256' }),
    client('chiron-es', { id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_basic' }),
    { ...client('chiron-public', { token_endpoint_auth_method: 'none' }), client_secret: undefined },
  ],
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  pkce: { required: () => true, methods: ['S256'] },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['a key of this test'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: !id.startsWith('loose'), name: `${id} of the Issuer` }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
