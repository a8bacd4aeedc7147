"use strict";
// Differences of two texts, by words.
const diff = (() => {
  const { addElement } = format;
  const MAX_CELLS = 4e6;

  const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

  // Parts [{ text, isNew }] of `text`: those that are not in `before` are new.
  function parts(before, text) {
    const old = words(before), now = words(text);
    let start = 0, end = 0;
    while (start < old.length && start < now.length && old[start] === now[start]) start++;
    while (end < old.length - start && end < now.length - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
    const a = old.slice(start, old.length - end), b = now.slice(start, now.length - end);
    const isNew = new Array(now.length).fill(false);
    if (a.length * b.length > MAX_CELLS) isNew.fill(true, start, now.length - end);
    else {
      // lengths[i][j]: longest common subsequence of a[i..] and b[j..]
      const width = b.length + 1, lengths = new Uint32Array((a.length + 1) * width);
      for (let i = a.length - 1; i >= 0; i--) {
        for (let j = b.length - 1; j >= 0; j--) {
          lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
        }
      }
      let i = 0, j = 0;
      while (j < b.length) {
        if (i < a.length && a[i] === b[j]) { i++; j++; }
        else if (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
        else isNew[start + j++] = true;
      }
    }
    const out = [];
    now.forEach((word, n) => {
      const last = out[out.length - 1];
      if (last && (last.isNew === isNew[n])) last.text += word;
      else out.push({ text: word, isNew: isNew[n] });
    });
    return out;
  }

  // Adds a text to an element; what `before` does not have is marked.
  function fill(element, before, text) {
    if (typeof before !== "string" || before === text) { element.append(text); return; }
    for (const part of parts(before, text)) {
      if (part.isNew) addElement("mark", element, part.text); else element.append(part.text);
    }
  }

  return { parts, fill };
})();
