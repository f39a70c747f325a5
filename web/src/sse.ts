// SPDX-License-Identifier: MIT
// Server-sent events from a fetch body: EventSource cannot send a POST or a credential. Events may be cut anywhere,
// inside a character too; comments are heartbeats.

export interface ServerEvent { event: string; data: string }

export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pending = '';
  let event = '';
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      pending += done ? decoder.decode() : decoder.decode(value, { stream: true });
      // A CR at the end may be the first half of CRLF: wait for what follows it.
      const lines = (done || !pending.endsWith('\r') ? pending : pending.slice(0, -1)).split(/\r\n|\n|\r/);
      const rest = lines.pop() ?? '';
      pending = !done && pending.endsWith('\r') ? `${rest}\r` : rest;
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { event: event || 'message', data: data.join('\n') };
          event = '';
          data = [];
          continue;
        }
        const colon = line.indexOf(':');
        if (colon === 0) continue;
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') event = text;
        else if (field === 'data') data.push(text);
      }
      if (done) return; // an event without its closing blank line was cut off and does not count
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
