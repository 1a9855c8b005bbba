"""Pictures of the running demo for the readme: ``python -m testbench.demo.screenshot``.

Needs Chromium, which is why the demo itself does not do it.
"""

import argparse
import io
import shutil
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

_PAGES = {
    "overview": "/",
    "stations": "/estacoes",
    "sessions": "/sessoes",
    "consumption": "/consumo",
    "availability": "/disponibilidade",
    "costs": "/custos",
    "reports": "/relatorios?mes={last_month}",
    "quality": "/qualidade",
    "messages": "/mensagens",
    "about": "/sobre",
    "operations": "/operacoes",
    "registry": "/cadastros?parte=points",
}
_PHONE = {"overview": "/", "sessions": "/sessoes"}
_DARK = {"overview": "/", "availability": "/disponibilidade"}
# Pages about one thing are reached as people reach them: the first card, then its station.
_STATION = {"pt": "Estação", "en": "Station"}
_LANGUAGES = {"pt-BR": "pt", "en": "en"}
_WIDTH, _LEAST_HEIGHT, _MOST_HEIGHT = 1366, 768, 1800
_PHONE_WIDTH = 390
_IS_DRAWN = (
    "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    " && document.querySelectorAll('[data-testid=stSkeleton]').length === 0"
)
_WHOLE = (
    "Math.max(...[...document.querySelectorAll('[data-testid=stMain]')].map(e => e.scrollHeight))"
)
_RENDER_MS = 60_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="testbench.demo.screenshot", description=__doc__)
    parser.add_argument("--url", default="http://localhost:8501", help="of the dashboard")
    parser.add_argument("--folder", type=Path, default=Path("docs/screens"))
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium was found", file=sys.stderr)
        return 1
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": _WIDTH, "height": _LEAST_HEIGHT})
        for language in _LANGUAGES:
            _pages(page, arguments, language, _PAGES)
            _details(page, arguments, language)
        dark = browser.new_page(color_scheme="dark")
        phone = browser.new_page(has_touch=True, is_mobile=True)
        for language in _LANGUAGES:
            _pages(dark, arguments, language, _DARK, "-dark")
            _pages(phone, arguments, language, _PHONE, "-phone", _PHONE_WIDTH)
        browser.close()
    return 0


def _pages(
    page: Page,
    arguments: argparse.Namespace,
    language: str,
    pages: Mapping[str, str],
    kind: str = "",
    width: int = _WIDTH,
) -> None:
    last_month = f"{date.today().replace(day=1) - timedelta(days=1):%Y-%m}"
    for name, path in pages.items():
        address = path.format(last_month=last_month)
        mark = "&" if "?" in address else "?"
        page.goto(f"{arguments.url}{address}{mark}lang={_LANGUAGES[language]}")
        _picture(page, arguments.folder / f"{name}{kind}.{language}.png", width)


def _details(page: Page, arguments: argparse.Namespace, language: str) -> None:
    short = _LANGUAGES[language]
    page.goto(f"{arguments.url}/?lang={short}")
    page.locator("[class*=st-key-card_] a[href*=transacao]").first.click(timeout=_RENDER_MS)
    page.wait_for_url("**/sessao?**")
    _picture(page, arguments.folder / f"session.{language}.png")
    page.get_by_role("link", name=_STATION[short], exact=True).click()
    page.wait_for_url("**/estacao?**")
    _picture(page, arguments.folder / f"station.{language}.png")


def _picture(page: Page, file: Path, width: int = _WIDTH) -> None:
    """Wait until Streamlit has drawn the page and stands still, and take all of it."""
    page.set_viewport_size({"width": width, "height": _LEAST_HEIGHT})
    page.wait_for_selector("h1", timeout=_RENDER_MS)
    page.wait_for_function(_IS_DRAWN, timeout=_RENDER_MS)
    page.wait_for_timeout(2500)  # charts fade in
    height = min(max(int(page.evaluate(_WHOLE)), _LEAST_HEIGHT), _MOST_HEIGHT)
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(1500)  # they fit themselves to it
    picture = Image.open(io.BytesIO(page.screenshot(timeout=_RENDER_MS))).convert("RGB")
    # A third of the size; the colours that are rare, of legends and icons, stay what they are.
    small = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
