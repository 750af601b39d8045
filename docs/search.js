// The search of the guide pages: sections that hold all the words, those with them in the title first.
// `sections` and `up`, the way to the first page, stand before this text.
const box = document.getElementById("search");
const list = document.getElementById("found");

function score(section, words) {
  const title = section.title.toLowerCase();
  const all = `${title} ${section.text.toLowerCase()}`;
  if (!words.every(word => all.includes(word))) return 0;
  return 1 + words.filter(word => title.includes(word)).length * 2 + (title === words.join(" ") ? 10 : 0);
}

function excerpt(text, word) {
  const at = Math.max(text.toLowerCase().indexOf(word) - 40, 0);
  return (at ? "... " : "") + text.slice(at, at + 110);
}

function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = sections.map(section => [words.length ? score(section, words) : 0, section]);
  const best = scored.filter(([points]) => points).sort((a, b) => b[0] - a[0]).slice(0, 12);
  list.replaceChildren(...best.map(([, { page, anchor, title, text }]) => {
    const link = document.createElement("a");
    link.href = `${up}${page}#${anchor}`;
    link.textContent = title;
    const item = document.createElement("li");
    item.append(link, document.createElement("br"), excerpt(text, words[0]));
    return item;
  }));
  list.hidden = !best.length;
}

box.addEventListener("input", search);
box.addEventListener("keydown", event => {
  if (event.key === "Enter") list.querySelector("a")?.click();
  if (event.key === "Escape") { box.value = ""; search(); }
});
