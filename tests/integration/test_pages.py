"""The pages in a real Chromium: by ear, by keyboard, on a phone, and the CSP has no complaint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.harness.bad_minute import (
    ANSWERS,
    CAUSE,
    CAUSES,
    FIX,
    JOB_ID,
    NOW,
    PreparedDesk,
    prepared,
)
from tests.harness.identity_provider import CLIENT, SECRET, identity_provider
from tests.harness.installed import program
from tests.harness.served_pages import served

from jobstream.answers.app_site import Site
from jobstream.operate.fix import Fixed
from jobstream.settings import Settings
from jobstream.web import asgi
from jobstream.web.callers import TokenRole
from jobstream.web.oidc_options import OidcOptions
from jobstream.web.tokens import TokenFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route
    from tests.integration.by_command import Shop

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: make setup")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe: make setup")
CHROMIUM = "/usr/bin/chromium"

PATHS = (
    "/", "/queues", "/queues/mail", "/jobs", f"/jobs/{JOB_ID}", "/dead-letters", "/types",
    "/schedules", "/limits", "/workers", "/audit", "/health", "/operations", "/sign-in",
    f"/dead-letters?fingerprint={CAUSE}", f"/dead-letters/fix?id={JOB_ID}",
    "/cancel?types=send_receipt",
    f"/dead-letters/close?way=redrive&fingerprints={CAUSE}",
)  # fmt: skip
HOSTILE = "W" * 8_000 + "\u202e<b onclick=alert(1)>"
WAIT_MS = 120_000
"""Guards against hanging only: the machine may be busy."""
AXE = """async (options) => (await axe.run(document, options)).violations.map(
    (each) => [each.id, each.nodes[0].html])"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> PreparedDesk:
    return PreparedDesk(tmp_path_factory.mktemp("pages"), dict(ANSWERS), open_to_loopback=True)


@pytest.fixture(scope="module")
def address(desk: PreparedDesk) -> Iterator[str]:
    with served(prepared(desk)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as play:
        made = play.chromium.launch(
            executable_path=program(CHROMIUM), args=["--no-sandbox"], timeout=WAIT_MS
        )
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; the test fails for what the browser complains of on it."""
    made = browser.new_page(viewport={"width": 1180, "height": 800})
    made.set_default_timeout(WAIT_MS)
    complaints: list[str] = []
    made.on("console", lambda said: complaints.append(said.text) if said.type != "log" else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    made.close()
    assert complaints == []


def test_every_page_is_usable_without_sight_in_both_themes(page: Page, address: str) -> None:
    script, found = axe.Axe().axe_script, []
    for path in PATHS:
        page.emulate_media(color_scheme="light")
        page.goto(address + path)
        page.evaluate(script)
        found += [(path, *each) for each in page.evaluate(AXE, {"resultTypes": ["violations"]})]
        page.emulate_media(color_scheme="dark")
        found += [(path, *each) for each in page.evaluate(AXE, {"runOnly": ["color-contrast"]})]

    assert found == []


def test_every_page_fits_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})

    for path in PATHS:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path


def test_hostile_texts_break_no_layout(page: Page, address: str, desk: PreparedDesk) -> None:
    row = replace(
        ANSWERS["queues"].queues[0], name=HOSTILE, types={HOSTILE: 1.0}, waits={HOSTILE: 2.0}
    )
    desk.answers = {
        **ANSWERS,
        "queues": replace(ANSWERS["queues"], queues=(row,)),
        "overview": replace(ANSWERS["overview"], queues=(row,), app=HOSTILE),
        "letter_groups": replace(
            CAUSES,
            groups=(
                replace(
                    CAUSES.groups[0],
                    pattern=HOSTILE,
                    place=HOSTILE,
                    error=HOSTILE,
                    shares={HOSTILE: 1.0},
                    queues=(HOSTILE,),
                    type=HOSTILE,
                ),
            ),
        ),
        "fix_form": replace(
            FIX,
            fields=tuple(
                replace(each, name=HOSTILE, value=HOSTILE, told=HOSTILE) for each in FIX.fields
            ),
        ),
        "would_cancel": replace(
            ANSWERS["would_cancel"],
            jobs=(replace(ANSWERS["would_cancel"].jobs[0], id=HOSTILE, type=HOSTILE),),
        ),
        "job": replace(ANSWERS["job"], id=HOSTILE, type=HOSTILE, args={HOSTILE: HOSTILE}),
    }
    try:
        for width in (360, 1180):
            page.set_viewport_size({"width": width, "height": 740})
            for path in (
                "/", "/queues", "/jobs/any", "/dead-letters", "/dead-letters?fingerprint=any",
                "/dead-letters/fix?id=any", "/cancel?text=any",
            ):  # fmt: skip
                page.goto(address + path)
                assert page.evaluate("document.documentElement.scrollWidth") == width, path
                assert page.locator("b[onclick]").count() == 0
    finally:
        desk.answers = dict(ANSWERS)


def test_dead_job_is_corrected_by_keyboard(page: Page, address: str, desk: PreparedDesk) -> None:
    desk.answers = {**ANSWERS, "fix_letter": Fixed("the-new-one", JOB_ID, "")}
    desk.asked.clear()
    try:
        page.goto(f"{address}/dead-letters/fix?id={JOB_ID}")
        page.locator("[name='arg.to']").focus()
        page.keyboard.press("End")
        page.keyboard.press("Backspace")
        page.keyboard.type("m")
        for _ in range(2):
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/the-new-one")
    finally:
        desk.answers = dict(ANSWERS)

    (changes,) = [given[2] for name, given in desk.asked if name == "fix_letter"]
    assert changes == {"to": "grace@example.com", "colour": "BLUE"}


def test_keys_lead_to_pages_rows_filter_and_help(page: Page, address: str) -> None:
    page.clock.set_fixed_time(NOW)  # `j` is the second half of `g j` for a second and a half
    page.goto(address + "/")

    page.keyboard.press("Tab")
    assert page.locator(":focus").text_content() == "Skip to the content"
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs")
    page.keyboard.press("/")
    page.keyboard.type("card jk?")
    assert page.locator("input[data-filter]").input_value() == "card jk?"
    page.locator("main").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    rows = page.locator("tbody tr")
    assert rows.nth(1).get_attribute("aria-selected") == "true"
    assert page.locator("[aria-selected]").count() == 1
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys")
    assert "Dead letters" in (help_.text_content() or "")
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelector('dialog') === null")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/019ad0c5-0002-*")


def test_regions_follow_what_changes_and_leave_what_is_written(
    page: Page, address: str, desk: PreparedDesk
) -> None:
    page.clock.install()
    page.goto(address + "/queues")
    page.get_by_label("Name contains").fill("half a wo")
    page.get_by_label("Name contains").focus()
    page.keyboard.press("Escape")
    page.get_by_label("Name contains").fill("half a wo")
    changed = replace(ANSWERS["queues"].queues[0], lag=777)
    desk.answers = {**ANSWERS, "queues": replace(ANSWERS["queues"], queues=(changed,))}
    try:
        page.clock.run_for(3_100)
        page.get_by_role("cell", name="777").wait_for()
        assert page.get_by_label("Name contains").input_value() == "half a wo"
        assert page.locator("#queues tbody tr").count() == 1
        page.get_by_role("button", name="Pause updates").click()
        desk.answers = dict(ANSWERS)
        page.clock.run_for(30_000)
        assert page.locator("#queues tbody tr").count() == 1
    finally:
        desk.answers = dict(ANSWERS)


def test_an_answer_that_comes_after_the_pause_changes_nothing(
    page: Page, address: str, desk: PreparedDesk
) -> None:
    page.clock.install()
    page.goto(address + "/queues")
    rows = page.locator("#queues tbody tr")
    before = rows.count()
    assert before > 1
    held: list[Route] = []
    page.route("**/queues", lambda route: held.append(route))  # noqa: PLW0108 - no built-in is taken
    with page.expect_request("**/queues"):
        page.clock.run_for(3_100)
    desk.answers = {
        **ANSWERS, "queues": replace(ANSWERS["queues"], queues=ANSWERS["queues"].queues[:1]),
    }  # fmt: skip
    try:
        page.get_by_role("button", name="Pause updates").click()
        with page.expect_response("**/queues") as answered:
            held[0].continue_()
        answered.value.finished()
        page.clock.run_for(30_000)
        assert (rows.count(), len(held)) == (before, 1)
    finally:
        desk.answers = dict(ANSWERS)


def test_everything_is_there_without_a_script(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address + "/queues")

    page.get_by_label("Name contains").fill("pay")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="payments").click()
    page.get_by_role("button", name="dark").click()

    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.url.endswith("/queues/payments")
    context.close()


def test_signing_in_by_a_provider_of_another_site(browser: Browser, tmp_path: Path) -> None:
    with identity_provider() as provider:
        options = OidcOptions(
            issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET,
            roles={"ops": TokenRole.OPERATE},
        )  # fmt: skip
        with served(prepared(PreparedDesk(tmp_path, oidc=options))) as address:
            page = browser.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{address}/queues/mail")
            page.keyboard.press("Tab")
            page.get_by_role("link", name="Sign in with 127.0.0.1").click()
            page.wait_for_url("**/queues/mail")
            assert page.locator(".caller").text_content() == "oidc:u-17"
            page.reload()
            assert page.get_by_role("heading", level=1).text_content() == "Queue mail"
            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url("**/sign-in")
            page.close()


def test_signing_in_leads_back_to_the_page(browser: Browser, tmp_path: Path) -> None:
    desk = PreparedDesk(tmp_path)
    token = desk.tokens.add("ada", {TokenRole.READ})
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)

    with served(prepared(desk)) as address:
        page.goto(address + "/workers")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/workers")
        assert page.get_by_role("heading", level=1).text_content() == "Workers"
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
    context.close()


@pytest.mark.kafka
def test_job_is_found_and_its_queue_paused_in_a_browser(
    browser: Browser, shop: Shop, tmp_path: Path
) -> None:
    job_id = shop.run("enqueue", "shop:app", "send_receipt", '{"order_id": "A-17"}').split()[-1]
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.add("ada", {TokenRole.OPERATE})
    site = Site.named(shop.name, Settings.load(shop.environ))
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)

    with served(asgi(site, tokens=tokens.path)) as address:
        page.goto(address + "/jobs?state=waiting")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name=job_id).click()
        page.get_by_text('"order_id": "A-17"').wait_for()
        assert page.locator("rect.stretch.queue").count() == 1
        page.get_by_role("link", name="mail").first.click()
        page.get_by_text("Pause the queue…").click()
        page.get_by_label("Reason, for the audit").fill("the mail server is away")
        page.get_by_role("button", name="Pause the queue").click()
        page.get_by_text("Queue mail is paused").wait_for()
        page.get_by_text("by ada@127.0.0.1: the mail server is away").wait_for()
        held = shop.run("control", "list", "shop:app")
        assert "the mail server is away" in held
        page.get_by_role("button", name="Resume the queue").click()
        page.get_by_text("Queue mail goes on.").wait_for()
    context.close()
    site.close()
