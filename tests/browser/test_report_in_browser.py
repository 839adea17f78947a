"""The report opens in Chromium from disk: charts drawn, no error, nothing asked from the network."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

sys.path.append(str(Path(__file__).resolve().parents[1] / "feedback"))  # the reports' made-up results
import feedback_data as data

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,1000",
)  # fmt: skip
OFFLINE = ("file:", "data:", "blob:", "chrome:")  # chrome: the browser's own start page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if not (CHROMIUM.exists() and DRIVER.exists()):
        missing = f"no {CHROMIUM} with {DRIVER}; scripts/install-browser.sh installs them"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = Options()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield chrome
    chrome.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> webdriver.Chrome:
    path = data.write(data.OUTLIER, tmp_path_factory.mktemp("reports"))
    browser.get_log("performance")  # what Chromium did before this page
    browser.get(path.as_uri())
    drawn = "return document.querySelectorAll('.chart svg').length === document.querySelectorAll('.chart').length"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(drawn))
    return browser


@pytest.fixture(scope="module")
def requests(page: webdriver.Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


def test_nothing_is_asked_from_the_network(requests: list[str]) -> None:
    assert requests, "the log has to hold at least the page itself"
    assert [url for url in requests if not url.startswith(OFFLINE)] == []


def test_the_console_stays_silent(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []


def test_every_chart_holds_marks(page: webdriver.Chrome) -> None:
    marks = page.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.chart')].map(chart =>"
        " [chart.id, chart.querySelectorAll('svg .mark-symbol path, svg .mark-line path').length]))"
    )
    assert len(marks) > 2 * len(data.outcome_set().indicators)
    assert [chart for chart, count in marks.items() if count < 2] == []


def test_the_funnel_shows_every_institution_once(page: webdriver.Chrome) -> None:
    dots = page.execute_script(
        "return document.querySelectorAll('#hip-revision-1y-others .role-mark.mark-symbol path').length"
    )
    assert dots == len(data.INSTITUTIONS)


def test_axes_are_in_dutch_notation(page: webdriver.Chrome) -> None:
    labels = page.execute_script(
        "return [...document.querySelectorAll('.chart svg text')].map(label => label.textContent)"
    )
    assert any(label.endswith("%") and "," in label for label in labels)
    assert any(label.startswith(("mrt ", "mei ", "okt ", "jul ")) for label in labels)
    assert not [label for label in labels if label.endswith("%") and "." in label]


def test_headings_are_dutch(page: webdriver.Chrome) -> None:
    headings = [element.text for element in page.find_elements(By.CSS_SELECTOR, "h1, h2")]
    assert headings[:3] == ["Knie- en heupartrose: ziekenhuis-eem", "In het kort", "Alle indicatoren"]
    assert "Kwaliteit van de aangeleverde gegevens" in headings
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "nl"


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_never_scrolls_sideways(page: webdriver.Chrome, width: int) -> None:
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
