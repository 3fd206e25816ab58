for (const token of document.querySelectorAll("[data-due]")) {
  if (Date.now() > Date.parse(token.dataset.due)) {
    for (const part of token.querySelectorAll(".when-current")) part.hidden = true;
    for (const part of token.querySelectorAll(".when-stale")) part.hidden = false;
  }
}
