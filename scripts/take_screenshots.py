"""Pictures of the dashboard for the documentation: desktop, dark, phone, and a peer's page.

    python scripts/take_screenshots.py [--rendezvous DSN] [--out docs/pictures]

Without a rendezvous it runs a lab of three peers on digits, whose leader is killed and in whose place
another peer joins, and takes the pictures at its end. It needs playwright (`pip install playwright`)
and a chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from p2pgan.dashboard.server import Dashboard

ROOT = Path(__file__).parents[1]
LAB = """
name: pictures
about: The leader is killed, another peer joins, and the faces emerge.
peers: 3
minutes: {minutes}
config:
  gan: {{model: {{width: 16}}}}
  sync: {{round_seconds: 2}}
  commit_seconds: 1
  unit_images: 128
  sample_every: 2
  score_every: 5
faults:
  - {{do: kill, target: leader, at_s: 40}}
  - {{do: join, target: peer-4, at_s: 70}}
"""


def take(url: str, out: Path) -> None:
    """Takes all pictures of the newest run at ``url``."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        views: dict[str, dict[str, object]] = {
            "desktop": {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "light"},
            "dark": {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "dark"},
            "phone": {
                "viewport": {"width": 390, "height": 844},
                "color_scheme": "light",
                "device_scale_factor": 2,
                "is_mobile": True,
            },
        }
        for name, view in views.items():
            page = browser.new_page(**view)  # type: ignore[arg-type]  # playwright types each argument
            page.goto(url)
            _settled(page)
            page.screenshot(path=out / f"dashboard-{name}.png", full_page=name != "phone")
            page.close()
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        _settled(page)
        page.locator("tbody th a").first.click()
        _settled(page, faces=False)
        page.screenshot(path=out / "dashboard-peer.png", full_page=True)
        browser.close()


def _settled(page: Page, faces: bool = True) -> None:
    """Waits until everything is drawn."""
    page.wait_for_selector(".pulse[data-state='live'], .pulse[data-state='over']")
    if faces:
        page.wait_for_selector("img.faces:not([hidden])")
        page.wait_for_selector(".cell")
    page.wait_for_selector(".uplot canvas")
    page.wait_for_selector(".events li")
    page.wait_for_timeout(3500)  # the second reading of curves


@contextlib.contextmanager
def _lab(minutes: float) -> Iterator[str]:
    """The DSN of a lab near its end."""
    with tempfile.TemporaryDirectory(prefix="p2pgan-pictures-") as folder:
        Path(folder).chmod(0o755)
        scenario = Path(folder) / "pictures.yaml"
        scenario.write_text(LAB.format(minutes=minutes + 2), encoding="utf-8")
        command = [*(sys.executable, "-m", "p2pgan", "lab"), "--scenario", str(scenario)]
        lab = subprocess.Popen(
            [*command, "--out", f"{folder}/out"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            encoding="utf-8",
        )
        try:
            assert lab.stdout is not None
            url = ""
            for line in lab.stdout:
                url = url or "".join(re.findall(r"http://\S+", line))
                if re.match(rf"\s*{int(minutes)}:", line) and "%" in line:
                    break
            else:
                sys.exit("the lab ended before the pictures were taken")
            yield url
        finally:
            lab.terminate()
            lab.communicate()


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rendezvous", metavar="DSN", help="Take them of what is there.")
    parser.add_argument("--minutes", type=float, default=3, help="How long the lab trains before.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", metavar="DIR")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.rendezvous:
        with Dashboard(options.rendezvous, port=0) as page:
            take(page.url, options.out)
    else:
        with _lab(options.minutes) as url:
            take(url, options.out)


if __name__ == "__main__":
    main()
