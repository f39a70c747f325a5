// SPDX-License-Identifier: MIT
// Runs before the first paint, so that a chosen theme never flashes the other one.
try {
  var theme = localStorage.getItem('chiron.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch (e) { /* storage may be forbidden: the system's theme then */ }
