"""Debian's Chromium without a window, where it, its driver and Selenium are installed."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # for root, as in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1280,1100",
)


@contextlib.contextmanager
def browser(downloads: Path) -> Iterator["Browser"]:
    """A browser that stores its downloads in a folder; skips the test where there is none."""
    pytest.importorskip("selenium", reason="selenium is not installed: no test in a browser")
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: no test in a browser")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(switch)
    options.binary_location = shutil.which("chromium")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """Selenium's driver with what tests ask of a page, by CSS selectors."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def all(self, css: str) -> list:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str):
        return self.wait(lambda: self.all(css))[0]

    def texts(self, css: str) -> list[str]:
        return [element.text for element in self.all(css)]

    def wait(self, found: Callable[[], object], *, seconds: float = 20):
        """What is found, as soon as it is true; elements may be replaced meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(
            self.driver, seconds, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(lambda _: found())

    def requested(self) -> set[str]:
        """Addresses of all requests since the last call, in this tab."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }
