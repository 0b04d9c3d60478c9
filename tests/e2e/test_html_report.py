"""The HTML report in a real Chromium: safe, searchable, folded, drawn, printed, and read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gate.core.messages import msg
from gate.core.override import override
from gate.i18n.language import language
from gate.model import MetricSeries, Report, Timeline, TimelineEvent
from gate.render._timeline import svg
from gate.render.html import render
from tests.support import reports
from tests.support.browser import Browser, complaints, requests

pytestmark = pytest.mark.browser

MADE: dict[str, Callable[[str], Report]] = {
    "down": reports.all_down,
    "go": reports.go,
    "reserved": reports.reserved,
    "hostile": reports.hostile,
    "changed": reports.changed,
    "traced": reports.traced,
}


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Callable[..., Browser]:
    """Return a function that opens a report in the browser."""

    def opened(report: Report, code: str = "en", fragment: str = "") -> Browser:
        path = tmp_path / "report.html"
        path.write_text(render(report, code), encoding="utf-8")
        browser.window(1200, 900)
        browser.open(path, fragment)
        return browser

    return opened


Open = Callable[..., Browser]


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("name", MADE)
def test_it_asks_for_nothing_and_nothing_is_refused(page: Open, name: str, code: str) -> None:
    """The page needs no network, and its policy refuses nothing in it, with hostile evidence inside or without."""
    browser = page(MADE[name](code), code)
    assert (requests(browser), complaints(browser)) == ([], [])
    assert browser.run("document.documentElement.lang") == code


def test_hostile_evidence_is_only_text(page: Open) -> None:
    """No element comes from what a service said: one script, and no image, frame, form or handler of theirs."""
    browser = page(reports.hostile())
    assert browser.run("document.scripts.length") == 1
    assert (
        browser.run("document.querySelectorAll('img, iframe, object, embed, link, base, form:not(#tools)').length") == 0
    )
    handlers = (
        "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^(on|style$)/.test(a.name)))"
    )
    assert browser.run(f"{handlers}.length") == 0
    assert browser.run("[...document.links].filter(a => !a.getAttribute('href').startsWith('#')).length") == 0
    assert "<script>alert(1)</script>" in browser.run("document.querySelector('.evidence pre').textContent")


def test_the_policy_stops_a_script_that_is_not_ours(page: Open) -> None:
    """Even if something got through, the policy would not let it run."""
    browser = page(reports.go())
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.owned = 1'}))"
    )
    assert browser.run("typeof window.owned") == "undefined"
    browser.until(lambda: browser.run("1") and complaints(browser))
    assert "Content Security Policy" in complaints(browser)[0]


def test_the_verdict_is_the_heading(page: Open) -> None:
    """What a release manager reads first is the verdict, then what blocks, in order and with what to do."""
    browser = page(reports.all_down(), "fr")
    assert browser.run("document.querySelector('h1').textContent") == "NO-GO"
    assert browser.run("document.querySelectorAll('#blocks ~ .reasons > li').length") == 5
    advice = browser.run("document.querySelector('.reasons .advice').textContent")
    assert advice == "Démarrer api, ou corriger son adresse dans la checklist"


def visible_items(browser: Browser) -> int:
    """Return the number of visible items."""
    return int(browser.run("[...document.querySelectorAll('details.item')].filter(e => e.checkVisibility()).length"))


def test_search_by_keyboard(page: Open) -> None:
    """A slash goes to the search, typing filters, and Escape shows all again."""
    browser = page(reports.all_down())
    before = visible_items(browser)
    browser.press("/")
    browser.type("circuit_breaker")
    browser.until(lambda: visible_items(browser) == 2)
    assert browser.run("document.getElementById('shown').textContent") == "2 of 33 items shown"
    browser.press("Escape")
    browser.until(lambda: visible_items(browser) == before)


def test_search_finds_evidence_and_says_when_there_is_none(page: Open) -> None:
    """The search looks into the evidence, too; where nothing matches it says so."""
    browser = page(reports.all_down())
    browser.run("document.getElementById('search').focus()")
    browser.type("-rw-r--r-- 8192 docs/runbooks/db_down.md")
    browser.until(lambda: visible_items(browser) == 3)
    browser.type(" there is no such thing")
    browser.until(lambda: visible_items(browser) == 0)
    assert browser.run("document.getElementById('nothing').checkVisibility()")


def test_filter_by_status(page: Open) -> None:
    """A click on a status leaves its items, a second one more, and pressed buttons say so to a screen reader."""
    browser = page(reports.all_down())
    browser.click("button.fail")
    browser.until(lambda: visible_items(browser) == 3)
    assert browser.run("document.querySelector('button.fail').getAttribute('aria-pressed')") == "true"
    browser.click("button.pass")
    browser.until(lambda: visible_items(browser) == 13)
    browser.click("button.fail")
    browser.until(lambda: visible_items(browser) == 10)


def test_evidence_is_a_click_away(page: Open) -> None:
    """Evidence is folded until its item is clicked, or opened from the keyboard."""
    browser = page(reports.all_down())
    shown = "document.getElementById('item-health.readyz').querySelector('.evidence').checkVisibility()"
    assert browser.run(shown) is False
    browser.click("#item-health\\.readyz > summary")
    browser.until(lambda: browser.run(shown))
    browser.run("document.querySelector('#item-health\\\\.readyz > summary').focus()")
    browser.press("Enter")
    browser.until(lambda: not browser.run(shown))


def test_a_link_opens_what_it_leads_to(page: Open) -> None:
    """A reason's link, or one that somebody sent, opens the section and the item and brings them into view."""
    browser = page(reports.go(), fragment="#item-health.readyz")
    browser.until(lambda: browser.run("document.getElementById('item-health.readyz').open"))
    assert browser.run("document.getElementById('section-health').open")
    focused = "document.activeElement === document.getElementById('item-health.readyz').firstElementChild"
    browser.until(lambda: browser.run(focused))


def test_sections_fold(page: Open) -> None:
    """Sections that are clean start folded, the others open; one button unfolds and folds them all."""
    browser = page(reports.all_down())
    opened = "[...document.querySelectorAll('details.section')].map(e => e.open)"
    assert browser.run(opened) == [True, True, True, True, True, True, False]
    browser.click("#unfold")
    assert browser.run(opened) == [True] * 7
    assert browser.run("document.querySelectorAll('details.item[open]').length") == 33
    browser.click("#unfold")
    assert browser.run(opened) == [False] * 7


def test_a_drill_is_drawn(page: Open) -> None:
    """A drill has its moments in order of time, its band, and the metric's own curve; a table has its words."""
    browser = page(reports.go())
    picture = "document.querySelector('svg.timeline')"
    kinds = browser.run(f"[...{picture}.querySelectorAll('.moment')].map(e => e.classList[1])")
    assert kinds == ["fault", "seen", "pending", "firing", "restored", "recovered", "resolved"]
    assert browser.run(f"{picture}.querySelectorAll('.curve').length") == 2
    assert (
        browser.run(f"{picture}.getAttribute('role') + ' ' + {picture}.getAttribute('aria-label')")
        == "img DB down drill"
    )
    assert browser.run("document.querySelectorAll('.drill:first-of-type tbody tr').length") == 7


def test_labels_of_a_timeline_do_not_overlap(page: Open) -> None:
    """No two labels lie on each other, and none leaves the picture."""
    browser = page(reports.go())
    boxes = browser.run(
        "[...document.querySelector('svg.timeline').querySelectorAll('.moment text')].map(e => e.getBBox())"
        ".map(b => [b.x, b.y, b.x + b.width, b.y + b.height])"
    )
    over = [
        (a, b)
        for number, a in enumerate(boxes)
        for b in boxes[:number]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] - 1 and b[1] < a[3] - 1
    ]
    assert over == []
    assert [box for box in boxes if box[0] < 0 or box[2] > 960 or box[1] < 0] == []


NUMBERS = [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, 0.0, 1.0]


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("other", NUMBERS)
def test_no_number_breaks_a_picture(value: float, other: float) -> None:
    """Whatever a metric says, every coordinate of the picture is a number."""
    drill = reports.drill()
    timeline = Timeline(curves=(MetricSeries(name="c", points=((0.0, value), (1.0, other), (other, value))),))
    item = drill.replace(outcome=drill.outcome.replace(timeline=timeline))
    text = render(reports.report([reports.section("d", "D", item)]), "en")
    picture = text[text.find('class="timeline"') :].split("</svg>")[0]
    assert re.search(r"(?i)[\"HVM ](nan|-?inf)", picture) is None


def test_a_thousand_items(page: Open) -> None:
    """A thousand items open and filter: every one is there, and a filter leaves exactly those that match."""
    browser = page(reports.many())
    assert browser.run("document.querySelectorAll('details.item').length") == 1000
    browser.click("button.fail")
    browser.until(lambda: browser.run("document.querySelectorAll('details.item:not([hidden])').length") == 100)
    duration = browser.run(
        "(() => { const s = document.getElementById('search'); const t = performance.now(); s.value = 'number 99';"
        "s.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - t })()"
    )
    assert duration < 1000


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("name", MADE)
def test_no_page_scrolls_sideways(page: Open, name: str, width: int) -> None:
    """On a phone as on a wide screen, nothing sticks out, long hostile words included."""
    browser = page(MADE[name]("fr"), "fr")
    browser.window(width, 800)
    browser.run("document.getElementById('unfold').click()")
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


CONTRAST = """
(() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const lum = (c) => rgb(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (rgb(c).length === 3 || rgb(c)[3] === 1) return c;
  } return "rgb(255,255,255)"; };
  const found = [];
  for (const e of document.querySelectorAll("body *:not(svg *):not(script)")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.offsetParent === null) continue;
    const [a, b] = [lum(getComputedStyle(e).color), lum(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) found.push(`${e.className || e.tagName} ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*MADE])
def test_contrast(page: Open, name: str, scheme: str) -> None:
    """All text has the contrast that WCAG 2 AA asks for, 4.5 to 1, light and dark."""
    browser = page(MADE[name]("en"))
    browser.window(1200, 900, scheme=scheme)
    browser.run("document.getElementById('unfold').click()")
    assert browser.run(CONTRAST) == []


def test_light_and_dark_differ(page: Open) -> None:
    """The page follows the scheme that its reader has chosen."""
    browser = page(reports.go())
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.window(1200, 900, scheme="dark")
    assert browser.run(ground) != light


def test_everything_has_a_name_for_a_screen_reader(page: Open) -> None:
    """Every control has a name in the accessibility tree, and the page has its landmarks."""
    browser = page(reports.reserved(), "fr")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "")) for node in nodes]
    controls = [name for role, name in roles if role in ("button", "link", "searchbox", "DisclosureTriangle", "image")]
    assert len(controls) > 10
    assert [name for name in controls if not name.strip()] == []
    assert {"banner", "main", "contentinfo", "search"} <= {role for role, _ in roles}


class Headings(HTMLParser):
    """The levels of the headings, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []

    @override
    def handle_starttag(self, tag: str, attrs: object) -> None:
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))


@pytest.mark.parametrize("name", MADE)
def test_no_level_of_headings_is_left_out(name: str) -> None:
    """There is one first heading, and each level comes below the one before it."""
    parser = Headings()
    parser.feed(render(MADE[name]("en"), "en"))
    assert parser.levels.count(1) == 1
    assert [pair for pair in zip(parser.levels, parser.levels[1:], strict=False) if pair[1] > pair[0] + 1] == []


def test_paper(page: Open) -> None:
    """Printing gives a PDF with the evidence of failures open, and leaves the page as it was."""
    browser = page(reports.all_down())
    opened = "document.querySelectorAll('details[open]').length"
    before = browser.run(opened)
    assert browser.pdf().startswith(b"%PDF-")
    assert browser.run(opened) == before
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.getElementById('item-health.live').open")
    assert browser.run("document.getElementById('section-docs').open")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(opened) == before


def test_paper_has_what_is_filtered_out(page: Open) -> None:
    """A page that is printed while it is filtered has every item on paper, and is filtered again afterwards."""
    browser = page(reports.all_down())
    browser.run("document.getElementById('search').focus()")
    browser.type("there is no such thing")
    browser.until(lambda: visible_items(browser) == 0)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert visible_items(browser) == 33
    assert browser.run("document.getElementById('nothing').checkVisibility()") is False
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert visible_items(browser) == 0
    assert browser.run("document.getElementById('nothing').checkVisibility()") is True


def test_a_link_ends_a_filter_that_hides_what_it_leads_to(page: Open) -> None:
    """A link to an item that is filtered out shows all items; one to an item that is shown leaves the filter."""
    browser = page(reports.all_down())
    browser.click("button.pass")
    browser.until(lambda: visible_items(browser) == 10)
    browser.click('.links a[href="#item-scrape.endpoint"]')
    browser.until(lambda: browser.run("document.getElementById('item-scrape.endpoint').checkVisibility()"))
    assert browser.run("document.querySelectorAll('details.item:not([hidden])').length") == 33
    assert browser.run("document.getElementById('shown').textContent") == ""
    assert browser.run("document.querySelector('button.pass').ariaPressed") == "false"
    browser.click("button.fail")
    browser.until(lambda: visible_items(browser) == 3)
    browser.click('.links a[href="#item-health.live"]')
    browser.until(lambda: browser.run("document.getElementById('item-health.live').open"))
    assert visible_items(browser) == 3


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", 'https://x/"><script>', " https://x"])
def test_only_web_addresses_become_links(url: str) -> None:
    """An address of a run that is no plain web address is text."""
    report = reports.go().replace(source=reports.go().source.replace(url=url))
    assert "noopener" not in render(report, "en")
    good = reports.go().source.replace(url="https://github.com/o/r/actions/runs/1")
    assert 'href="https://github.com/o/r/actions/runs/1"' in render(report.replace(source=good), "en")


def test_a_drawing_has_no_marks_of_code() -> None:
    """Backticks mean code in texts, and nothing in a drawing."""
    moments = (TimelineEvent(at=0.5, what=msg("`/readyz` answers 503")),)
    picture = svg(Timeline(events=moments), "`/readyz`", language("en"))
    assert "+0.5 s  /readyz answers 503</text>" in picture
