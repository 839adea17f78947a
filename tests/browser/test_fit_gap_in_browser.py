"""The fit-gap pages of all outcome sets in Chromium: nothing scrolls sideways, and every set can be opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from test_report_in_browser import browser as browser

from pipelines.fitgap.report import write_fit_gap
from pipelines.fitgap.run import load_fit_gap, run_fit_gap

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The pages of an institution that delivered nothing yet: every indicator has a cause and a repair."""
    folder = tmp_path_factory.mktemp("fitgap")
    (folder / "home" / "landing" / "ziekenhuis").mkdir(parents=True)
    fit_gap, today = load_fit_gap(MAPPINGS, []), date(2025, 12, 31)
    run = run_fit_gap(folder / "home", fit_gap, as_of=today, versions={}, on_progress=lambda done, total: None)
    write_fit_gap({**run, "comparison": None}, folder / "out")
    yield folder / "out"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", ["index", "ziekenhuis"])
def test_no_page_scrolls_sideways_with_everything_open(
    browser: webdriver.Chrome, pages: Path, name: str, width: int
) -> None:
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get((pages / f"{name}.html").as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_every_set_is_a_fold_with_its_indicators(browser: webdriver.Chrome, pages: Path) -> None:
    sets = load_fit_gap(MAPPINGS, []).sets
    browser.get((pages / "ziekenhuis.html").as_uri())
    folds = browser.find_elements(By.CSS_SELECTOR, "#indicatoren details")
    titles = [fold.find_element(By.TAG_NAME, "summary").text for fold in folds]
    assert [title.split(" ● ")[0].strip() for title in titles] == [each.title_nl for each in sets]
    browser.execute_script("document.querySelectorAll('#indicatoren details').forEach(each => each.open = true)")
    rows = [len(fold.find_elements(By.CSS_SELECTOR, "tbody tr")) for fold in folds]
    assert rows == [len(each.indicators) for each in sets]
