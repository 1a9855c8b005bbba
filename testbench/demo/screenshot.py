"""Pictures of the running demo for the readme: ``python -m testbench.demo.screenshot``.

Needs Chromium, which is why the demo itself does not do it.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_PAGES = {"overview": "/", "sessions": "/sessoes"}
_LANGUAGES = {"pt-BR": "pt", "en": "en"}
_WIDTH, _HEIGHT = 1440, 1000
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
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        for name, path in _PAGES.items():
            for language, short in _LANGUAGES.items():
                _show(page, f"{arguments.url}{path}?lang={short}")
                page.screenshot(path=arguments.folder / f"{name}.{language}.png")
        browser.close()
    return 0


def _show(page: Page, url: str) -> None:
    """Open a page and wait until Streamlit has drawn it and stands still."""
    page.goto(url)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=_RENDER_MS)
    page.wait_for_function(
        "document.querySelectorAll('[data-testid=stStatusWidget]').length === 0",
        timeout=_RENDER_MS,
    )
    page.wait_for_timeout(1500)  # charts fade in


if __name__ == "__main__":
    sys.exit(main())
