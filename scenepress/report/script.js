"use strict";
// Adds what needs a script: the slider over two renders, and the choice of light or dark.
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  prefersDark.addEventListener("change", nameTheme);
  theme.setAttribute("aria-label", "Switch between light and dark");
  theme.hidden = false;
  nameTheme();

  const views = [...document.querySelectorAll(".view")].map((view) => {
    const [source, test] = view.querySelectorAll("img");
    const label = view.querySelectorAll("figcaption")[1].textContent;
    return { name: view.querySelector("h3").firstChild.textContent.trim(), label, source, test };
  });
  if (views.length === 0) return;
  const closer = document.getElementById("closer");
  const slider = closer.querySelector(".slider");
  const [under, over] = slider.querySelectorAll("img");
  const thumbs = closer.querySelector(".thumbs");
  slider.querySelector("input").addEventListener("input", (event) => {
    slider.style.setProperty("--split", `${event.target.value}%`);
  });
  const show = (view, button) => {
    under.src = view.source.src;
    over.src = view.test.src;
    under.alt = `Source, ${view.name}`;
    over.alt = `${view.label}, ${view.name}`;
    slider.querySelector(".right").textContent = view.label;
    for (const other of thumbs.children) other.setAttribute("aria-pressed", String(other === button));
  };
  // Long names that start alike are told apart by their ends.
  let shared = 0;
  const names = views.map((view) => view.name);
  if (names.length > 1 && Math.max(...names.map((name) => name.length)) > 12) {
    while (names.every((name) => name.length > shared + 1 && name[shared] === names[0][shared])) shared++;
  }
  for (const view of views) {
    const button = document.createElement("button");
    button.type = "button";
    const image = new Image();
    image.src = view.source.src;
    image.alt = "";
    const name = document.createElement("span");
    name.textContent = view.name.slice(shared);
    button.title = view.name;
    button.append(image, name);
    button.addEventListener("click", () => show(view, button));
    thumbs.append(button);
  }
  show(views[0], thumbs.firstElementChild);
  closer.hidden = false;
})();
