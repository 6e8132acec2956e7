// Helpers of the tests that open pages in a browser. The environment variable BROWSER is
// the path of a Chromium.
"use strict";

const assert = require("node:assert/strict");
const { chromium } = require("playwright-core");

// openPage opens a URL in a browser of its own, until the test ends. The test fails if
// a script of the page fails or breaks the page's Content-Security-Policy.
exports.openPage = async (t, url, width) => {
  const timeout = 120_000; // For busy machines.
  const browser = await chromium.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox"], timeout });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width, height: 844 } });
  page.setDefaultTimeout(timeout);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) errors.push(line.text());
  });
  t.after(() => assert.deepEqual(errors, []));
  await page.goto(url);
  return page;
};

// checkFits fails if the page is wider than its window.
exports.checkFits = async (page) => {
  const wide = await page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    const isWide = (e) => e.getBoundingClientRect().right > clientWidth + 1 && !e.closest("pre, .scroll");
    const elements = [...document.querySelectorAll("body *")].filter(isWide);
    return scrollWidth > clientWidth || elements.length > 0 ? elements.map((e) => e.outerHTML.slice(0, 80)) : null;
  });
  assert.equal(wide, null);
};
