"use strict";
// "Save this view": one HTML file with the scripts, styles and answers of what is shown.
// It loads nothing; the scripts take the stored answers instead of asking a server.
const save = (() => {
  const MAX_FILE_BYTES = 30e6;

  async function text(address) {
    const response = await fetch(address, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`${address}: status ${response.status}`);
    return response.text();
  }

  function dataUrl(blob) {
    return new Promise((done, fail) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => fail(reader.error);
      reader.readAsDataURL(blob);
    });
  }

  // JSON without characters of HTML; in JSON they occur within strings only.
  function harmless(content) {
    return JSON.stringify(content).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }

  function nonce() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, "");
  }

  async function page() {
    await app.complete();
    const answers = Object.fromEntries(api.answers), files = {};
    let left = MAX_FILE_BYTES;
    for (const path of api.files) {
      const blob = await fetch(path, { credentials: "same-origin" }).then((r) => (r.ok ? r.blob() : null));
      if (!blob || blob.size > left) continue;
      left -= blob.size;
      files[path] = await dataUrl(blob);
    }
    const scripts = [...document.querySelectorAll("script[src]")].map((s) => s.getAttribute("src"));
    const styles = [...document.querySelectorAll('link[rel="stylesheet"]')].map((s) => s.getAttribute("href"));
    if (window.echarts && !scripts.some((s) => s.includes("echarts"))) scripts.unshift("assets/echarts.min.js");
    const ordered = [...scripts.filter((s) => s.includes("echarts")), ...scripts.filter((s) => !s.includes("echarts"))];
    const code = await Promise.all(ordered.map(text)), style = await Promise.all(styles.map(text));
    const licences = await Promise.all(["LICENSE.uPlot", ...(window.echarts ? ["NOTICE.echarts", "LICENSE.echarts", "LICENSE.d3"] : [])].map((name) => text(`assets/${name}`)));
    const key = nonce(), { view, path, state } = router.current;
    const policy = `default-src 'none'; base-uri 'none'; form-action 'none'; script-src 'nonce-${key}'; style-src 'nonce-${key}'; img-src data:; media-src data:`;
    const content = { hash: router.href(view, path, state), time: new Date().toISOString(), answers, files };
    const parts = [
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"jaxmetrics\">\n",
      `<meta http-equiv="Content-Security-Policy" content="${policy}">\n`,
      '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n<title>jaxmetrics</title>\n',
      ...style.map((css) => `<style nonce="${key}">${css.replaceAll("</style", "<\\/style")}</style>\n`),
      "</head>\n",
      '<body class="viewer saved">\n<header class="topbar"><a id="brand" href="#/runs">jaxmetrics</a><nav id="views" aria-label="Views"></nav><span id="root"></span><span id="connection" role="status"></span></header>\n',
      '<div id="message" role="alert" hidden></div>\n<main id="main" tabindex="-1"></main>\n<footer></footer>\n',
      `<script id="saved" type="application/json" nonce="${key}">${harmless(content)}</` + "script>\n",
      ...code.map((script) => `<script nonce="${key}">${script.replace(/<\/script/gi, "<\\/script").replaceAll("<!--", "<\\!--")}</` + "script>\n"),
      `<script type="text/plain" nonce="${key}">${licences.join("\n\n").replace(/<\/script/gi, "")}</` + "script>\n",
      "</body>\n</html>\n",
    ];
    return new Blob(parts, { type: "text/html" });
  }

  async function download() {
    const blob = await page(), { view, path } = router.current;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${[view, ...path].join("-").replace(/[^\w.-]+/g, "_").slice(0, 80)}.html`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  return { page, download };
})();
