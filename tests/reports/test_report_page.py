"""The report's page in a real browser with the network off, and what it looks like."""

from __future__ import annotations

import pytest
from chromium import MISSING, Browser, find
from made_runs import make_run_at

from credo.config import CredoConfig
from credo.reports.report import write_report
from credo.reports.style import INK, SOFT, SURFACE, VERDICTS

EVIL = '<script>window.hacked=1</script>"><img src=x onerror=hacked=1>'
needs_chromium = pytest.mark.skipif(find() is None, reason=MISSING)

DRAWN = "[...document.querySelectorAll('section[data-figure]:not([hidden]) .chart')]"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two methods, two environments, one combination never run; a seed of each fate."""
    runs = tmp_path_factory.mktemp("runs")
    off = CredoConfig(mode="off")
    make_run_at(runs / "filter", ("healthy", "dead", "broken"))
    make_run_at(runs / "off", ("healthy", "weak", "weak"), credo=off)
    make_run_at(runs / "other", ("healthy",), environment=EVIL, demonstrations=EVIL)
    (runs / "off" / "DONE").touch()
    out = tmp_path_factory.mktemp("report")
    return write_report([runs], out, figures=False)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if find() is None:
        pytest.skip(MISSING)
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def opened(browser, report):
    """The page, fresh, on a desktop in light colours; at the end nothing may have gone wrong in it."""
    browser.messages.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.prefer("light")
    browser.open(report.page)
    browser.run("sessionStorage.clear()")
    browser.open(report.page)
    browser.wait("document.querySelector('#figure-return .chart')?.dataset.drawn === 'yes'")
    yield browser
    assert browser.messages == []
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "data"}
    assert browser.run("window.hacked === undefined && document.querySelectorAll('img').length === 0")


def click(browser, selector):
    browser.run(f"document.querySelector({selector!r}).click()")


def lines(browser, figure="return", panel=0):
    chart = f"document.querySelectorAll('#figure-{figure} .chart')[{panel}]"
    browser.wait(f"{chart}?.dataset.drawn === 'yes'")
    return browser.run(f"{chart}.querySelectorAll('.mark-line.role-mark path[stroke]').length")


@needs_chromium
def test_every_chart_draws_once_it_is_scrolled_to(opened, tmp_path):
    opened.run("document.documentElement.style.scrollBehavior = 'auto'")
    count = opened.run(f"{DRAWN}.length")
    assert count == 15
    for i in range(count):
        opened.run(f"{DRAWN}[{i}].scrollIntoView()")
        opened.wait(f"{DRAWN}[{i}].dataset.drawn === 'yes'")
    assert opened.run(f"{DRAWN}.every(chart => chart.querySelector('svg path') !== null)")
    opened.run("scrollTo(0, 0)")
    opened.screenshot(tmp_path / "light.png")
    assert (tmp_path / "light.png").stat().st_size > 20_000
    assert opened.run("document.querySelector('.headline').textContent") == "2 of 7 seeds diverged so far (2 weak)"


@needs_chromium
def test_methods_seeds_and_verdicts_can_be_hidden(opened):
    assert lines(opened) == 3
    click(opened, "#verdicts button:last-of-type")  # non-finite
    assert lines(opened) == 2
    click(opened, "#seeds button[aria-label='seed 0']")
    assert lines(opened) == 1
    click(opened, "#methods button")
    opened.wait("document.querySelectorAll('#figure-return .panel').length === 1")
    click(opened, "#everything")
    assert lines(opened) == 3


@needs_chromium
def test_the_axis_can_be_logarithmic(opened):
    ticks = "[...document.querySelectorAll('#figure-return .chart')[0].querySelectorAll('.role-axis-label text')]"
    before = opened.run(f"{ticks}.map(node => node.textContent)")
    click(opened, "#figure-return button.log")
    assert lines(opened) == 3
    after = opened.run(f"{ticks}.map(node => node.textContent)")
    heights = opened.run(
        f"{ticks}.filter(node => ['0', '100', '1k'].includes(node.textContent) &&"
        " node.closest('.role-axis').querySelector('.role-axis-title').textContent.includes('log'))"
        ".map(node => node.getBoundingClientRect().top)"
    )
    # log(101) is two thirds of log(1001).
    assert (heights[0] - heights[1]) / (heights[0] - heights[2]) == pytest.approx(0.668, abs=0.01)
    assert "1k" in after
    assert "100" in after
    assert "100" not in before
    assert opened.run("document.querySelector('#figure-return button.log').getAttribute('aria-pressed')") == "true"
    assert opened.run("document.querySelector('#figure-actor-gradient button.log').ariaPressed") == "true"


@needs_chromium
def test_gradients_that_vanish_are_told_apart(opened):
    assert opened.run("document.querySelectorAll('#figure-return button.small').length") == 0
    buttons = "[...document.querySelectorAll('#figure-actor-gradient button')].map(node => node.ariaPressed)"
    assert opened.run(buttons) == ["true", "false"]
    opened.run("document.querySelector('#figure-actor-gradient').scrollIntoView({behavior: 'instant'})")
    click(opened, "#figure-actor-gradient button.small")
    opened.wait("document.querySelectorAll('#figure-actor-gradient .chart')[0].dataset.drawn === 'yes'")
    assert opened.run(buttons) == ["false", "true"]
    labels = opened.run(
        "[...document.querySelectorAll('#figure-actor-gradient .chart')[0].querySelectorAll('.role-axis-label text')]"
        ".map(node => node.textContent)"
    )
    assert {"0", "1e-8", "1e-6", "1e-4", "0.01"} <= set(labels), labels
    click(opened, "#figure-actor-gradient button.small")
    assert opened.run(buttons) == ["false", "false"]


@needs_chromium
def test_pointing_at_a_curve_shows_its_seed_alone(opened):
    opened.run("document.querySelector('#figure-return').scrollIntoView({behavior: 'instant', block: 'center'})")
    assert lines(opened) == 3
    # A scroll that is still under way would hide what the pointer shows.
    opened.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))")
    # The dead seed lies at the bottom of the first panel.
    spot = opened.run(
        "(() => { const paths = [...document.querySelectorAll('#figure-return .chart')[0]"
        ".querySelectorAll('.mark-line.role-mark path[stroke]')];"
        "const low = paths.map(p => p.getBoundingClientRect()).sort((a, b) => b.top - a.top)[0];"
        "return [low.left + low.width / 2, low.top + low.height / 2]; })()"
    )
    opened.move(*spot)
    opened.wait("!document.getElementById('tip').hidden")
    tip = opened.run("document.getElementById('tip').textContent")
    assert tip.startswith("seed 1: dead\n20 at step")
    assert "actor inactive from step 2,048" in tip
    widths = (
        "[...document.querySelectorAll('#figure-return .chart')[0].querySelectorAll("
        "'.mark-line.role-mark path[stroke]')].map(p => p.getAttribute('stroke-width')).sort().join()"
    )
    opened.wait(f"{widths} === '1.5,1.5,3'")
    opened.move(2, 2)
    opened.wait(f"document.getElementById('tip').hidden && {widths} === '1.5,1.5,1.5'")


@needs_chromium
def test_dark_follows_the_system_and_can_be_chosen(opened, tmp_path):
    background = "getComputedStyle(document.querySelector('section')).backgroundColor"
    light = opened.run(background)
    opened.prefer("dark")
    opened.wait(f"{background} !== {light!r}")
    opened.wait("document.querySelector('#figure-return .chart')?.dataset.drawn === 'yes'")
    label = "document.querySelector('#figure-return .role-axis-label text').getAttribute('fill')"
    opened.wait(f"{label} === {INK['dark']!r}")
    opened.screenshot(tmp_path / "dark.png")
    click(opened, "#theme")
    assert opened.run(background) == light
    opened.wait(f"document.querySelector('#figure-return .role-axis-label text') && {label} === {INK['light']!r}")


@needs_chromium
def test_a_phone_needs_no_sideways_scrolling(opened, report, tmp_path):
    opened.size(360, 740, mobile=True)
    opened.open(report.page)
    opened.run("document.querySelector('#figure-return').scrollIntoView({behavior: 'instant'})")
    opened.wait("document.querySelector('#figure-return .chart')?.dataset.drawn === 'yes'")
    assert opened.run("document.documentElement.scrollWidth <= innerWidth && innerWidth === 360")
    assert opened.run("[...document.querySelectorAll('.chart svg')].every(s => s.getBoundingClientRect().right <= 360)")
    opened.screenshot(tmp_path / "phone.png")


@needs_chromium
def test_the_other_environment_has_its_own_figures_and_its_name_is_only_text(opened):
    names = opened.run("[...document.querySelectorAll('#environment option')].map(o => o.textContent)")
    assert sorted(names) == [EVIL, "Hopper-v5"]
    other = "[...document.querySelectorAll('#environment option')].find(o => o.textContent.startsWith('<')).value"
    opened.run(
        f"(() => {{ const s = document.getElementById('environment'); s.value = {other};"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert lines(opened) == 1
    assert opened.run("document.querySelectorAll('#figure-return .panel').length") == 1
    assert EVIL in opened.run("document.body.innerText")


@needs_chromium
def test_the_page_refuses_scripts_that_are_not_its_own_and_the_network(opened):
    opened.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))")
    assert opened.run("fetch('https://example.invalid/').then(() => 'asked', () => 'refused')") == "refused"
    assert opened.messages
    assert all("Content Security Policy" in message for message in opened.messages)
    opened.messages.clear()


@needs_chromium
def test_the_keyboard_and_screen_readers_find_everything(opened):
    opened.press("Tab")
    assert opened.run("document.activeElement.className") == "skip"
    opened.press("Tab")
    assert opened.run("document.activeElement.id") == "theme"
    assert opened.run("['header', 'main', 'nav', 'footer', 'h1'].every(t => document.querySelectorAll(t).length === 1)")
    assert opened.run(
        f"{DRAWN}.every(c => c.getAttribute('role') === 'img' && c.getAttribute('aria-label').length > 20)"
    )
    assert opened.run("[...document.querySelectorAll('button')].every(b => b.textContent || b.ariaLabel)")
    # Focusing a seed's button shows it alone; the numbers are there as a table too.
    opened.run("document.querySelector('.controls details').open = true")
    opened.run("document.querySelector('#seeds button').focus()")
    opened.wait("document.querySelector('#figure-return .mark-line.role-mark path[stroke-width=\"3\"]') !== null")
    opened.run("document.querySelector('#figure-return details.numbers').open = true")
    opened.wait("document.querySelectorAll('#figure-return table tbody tr').length === 6")
    row = opened.run("[...document.querySelectorAll('#figure-return table tbody tr')[0].cells].map(c => c.textContent)")
    assert row == ["td3 credo=filter", "0", "healthy", "580", "1,450", "2,030", "2,900", "290", "2,900"]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(theme):
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert min(contrast(ink[theme], SURFACE[theme]) for ink in (INK, SOFT)) >= 4.5
    assert min(contrast(colour, SURFACE[theme]) for colour in VERDICTS[theme].values()) >= 3


def test_no_name_from_a_file_becomes_markup(report):
    text = report.page.read_text()
    assert EVIL not in text
    assert "<script>window.hacked" not in text
    assert "<img" not in text.split("<script")[0]
