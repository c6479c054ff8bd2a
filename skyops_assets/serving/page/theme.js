// Before anything is drawn: the colours that were chosen here before, else the system's.
{
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme =
    localStorage.getItem("theme") ?? (dark ? "dark" : "light");
}
