// Light and dark: what the system says, until somebody chooses.

const dark = matchMedia("(prefers-color-scheme: dark)");

function show() {
  document.documentElement.dataset.theme = localStorage.getItem("theme") || (dark.matches ? "dark" : "light");
}

export function startLook() {
  show();
  dark.addEventListener("change", show);
  document.getElementById("theme")?.addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    show();
  });
}
