// SPDX-License-Identifier: MIT
// The server counts in UTF-8 bytes, the browser in UTF-16 units. Offsets inside a character snap to its start.

function unitBytes(unit: number): number {
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  return unit >= 0xd800 && unit <= 0xdfff ? 2 : 3; // half of a four-byte character
}

/** String index of a byte offset. Past the end: the text's length. */
export function indexOfByte(text: string, byte: number): number {
  let at = 0;
  let index = 0;
  while (index < text.length) {
    const unit = text.charCodeAt(index);
    const pair = unit >= 0xd800 && unit <= 0xdbff && index + 1 < text.length;
    const size = pair ? 4 : unitBytes(unit);
    if (at + size > byte) break;
    at += size;
    index += pair ? 2 : 1;
  }
  return index;
}

export interface Range { start: number; end: number }

/** The part of [startByte, endByte) of a document that lies on a page which begins at pageStart; null when none does. */
export function rangeOnPage(text: string, pageStart: number, startByte: number, endByte: number): Range | null {
  if (endByte <= startByte || endByte <= pageStart) return null;
  const start = indexOfByte(text, Math.max(0, startByte - pageStart));
  const end = indexOfByte(text, endByte - pageStart);
  return end > start ? { start, end } : null;
}
