"""A headless Chromium for the tests of pages: that of Debian's packages ``chromium`` and ``chromium-driver``, or Chrome with its driver."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Browser:
    """A browser with the page of one test.

    Attributes:
        driver: that of Selenium.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, fragment: str = "") -> None:
        """Open a page anew, with nothing of former pages in the logs."""
        self.driver.get("about:blank")
        self.console()
        self.requests()
        self.driver.get(page.as_uri() + fragment)

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that are shown; those that one has to scroll to, too."""
        found = "[...document.querySelectorAll(arguments[0])].filter(each => each.checkVisibility())"
        return self.run(f"return {found}.map(each => each.textContent.trim())", selector)

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Wait until the page has followed a link that is opened meanwhile: browsers do that some time later."""
        self.run("window.moved = new Promise(done => addEventListener('hashchange', done, {once: true}))")
        yield
        self.driver.execute_async_script("const [done] = arguments; window.moved.then(() => done())")

    def go(self, fragment: str) -> None:
        """Open a link within the page."""
        with self.moving():
            self.run("location.hash = arguments[0]", fragment)

    def click(self, selector: str) -> None:
        """Click on the first such element, as a mouse does."""
        self.driver.find_element("css selector", selector).click()

    def type(self, *keys: str) -> None:
        """Press keys on whatever has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()
        self.run("return 0")  # what the keys lead to has happened

    def emulate(self, *, scheme: str = "light", media: str = "", width: int = 1200) -> None:
        """Set what the user prefers, the medium, and the width of the window."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def console(self) -> list[str]:
        """Return what was written to the console since the last call: errors, and what the policy has forbidden."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """Start the browser; skip the test where there is none, unless $MASKCHECK_BROWSER is ``required``."""
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    missing = [
        name
        for name, found in (
            ("selenium", find_spec("selenium")),
            ("chromium", binary),
            ("chromedriver", shutil.which("chromedriver")),
        )
        if not found
    ]
    if missing:
        message = (
            f"{' and '.join(missing)} not found: apt-get install chromium chromium-driver; pip install --group tests"
        )
        if os.environ.get("MASKCHECK_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(binary)
    # Without its sandbox it runs in containers, and as root.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver: Chrome) -> Browser:
    """A browser with a wide window that prefers light pages."""
    browser = Browser(driver)
    browser.emulate()
    return browser
