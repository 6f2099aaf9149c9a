"""Prefect's two user interfaces as a person uses them: start a run, look at it, answer it, cancel it.

Both are served by every server, `V2` at /v2/ and `V1` at /. They differ in where a button is and in how a choice is
made; what is written on the pages is the same.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Response, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime
from programs import find

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = (1440, 900)
PHONE = (390, 844)
# what a form calls its fields
LABELS = {
    "account_suffix": re.compile("characters of the account"),
    "household": re.compile("Name of the household"),
    "leave_out": re.compile("leave out"),
    "code": re.compile("One-time code"),
}
PATIENCE_MS = 60_000
PRESS_MS = 15_000
MOST_PRESSES = 4

# the lines of the first block of code of which every part can be seen without scrolling
LINES_IN_SIGHT = """dialog => {
  const code = dialog.querySelector("pre");
  const lines = code.innerText.trimEnd().split("\\n");
  const box = code.getBoundingClientRect();
  let [bottom, right] = [innerHeight, innerWidth];
  for (let each = code; each; each = each.parentElement) {
    if (getComputedStyle(each).overflowY === "visible") continue;
    bottom = Math.min(bottom, each.getBoundingClientRect().bottom);
    right = Math.min(right, each.getBoundingClientRect().right);
  }
  const height = box.height / lines.length;
  const is_wide = box.left < 0 || code.scrollWidth > Math.max(code.clientWidth, right - box.left);
  return is_wide ? [] : lines.filter((_, at) => box.top + height * (at + 1) <= bottom + 1);
}"""


@contextmanager
def chromium():
    """The Chromium of this machine, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(find("chromium")), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Pages:
    """The pages of one server in one window; `asked` collects every address that they asked for.

    `login` is what a window knows in which somebody has logged in.
    """

    browser: Browser
    server: str
    size: tuple[int, int] = DESKTOP
    login: Any = None
    asked: list[str] = field(default_factory=list)

    name = ""
    prefix = ""
    send_button = ""

    def __post_init__(self):
        width, height = self.size
        context = self.browser.new_context(viewport={"width": width, "height": height}, storage_state=self.login)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"localStorage.setItem('prefect-ui-version', '{self.name}')")
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))

    def log_in(self, password: str) -> None:
        """Through the form that the server shows to whoever has no password yet."""
        self._go("/dashboard")
        self.page.locator("input").first.fill(password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(re.compile("/dashboard"))
        self.login = self.page.context.storage_state()

    def start(self, deployment_id: str, **choices: str) -> None:
        """Start a run of the deployment with these choices in its parameter form."""
        self._go(f"/deployments/deployment/{deployment_id}/run")
        for label, value in choices.items():
            self._choose(self._field(self.page, re.compile(rf"^\s*{label}\b", re.IGNORECASE)), value)
        self.page.get_by_role("button", name="Submit").click()
        # the page is left when the server has the run
        self.page.wait_for_url(lambda address: not address.endswith("/run"))

    def show(self, flow_run_id: str) -> None:
        """The page of a run."""
        self._go(f"/runs/flow-run/{flow_run_id}")

    def form(self, flow_run_id: str) -> Locator:
        """The dialog that asks for the answer, opened on the page of the run."""
        self.show(flow_run_id)
        self._press("Resume")
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=self.send_button).wait_for()
        return dialog

    def lines_in_sight(self, dialog: Locator) -> list[str]:
        """The lines of the orders that can be read without scrolling; none when they are cut off at a side."""
        dialog.locator("pre").first.wait_for()
        return dialog.evaluate(LINES_IN_SIGHT)

    def await_picture(self, within: Locator | Page) -> None:
        """Wait until a picture there has been loaded."""
        picture = within.get_by_role("img", name="Weights in %").first
        self.page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())

    def answer(self, dialog: Locator, answer: str, *, approver: str, **texts: str) -> None:
        """Fill in the form, send it, and wait until the server has taken it."""
        self.fill(dialog, answer, approver=approver, **texts)
        answer = self.send(dialog)
        assert answer, "the server does not answer"
        assert answer.ok, f"the server answers {answer.status}: {answer.text()}"
        dialog.wait_for(state="hidden")

    def fill(self, dialog: Locator, answer: str, *, approver: str, **texts: str) -> None:
        """Fill in the form; each text goes into the field of that name. With a code the approver is chosen."""
        self._choose(self._field(dialog, "Answer"), answer)
        if "code" in texts:
            self._choose(self._field(dialog, re.compile("^Approver")), approver)
        else:
            self._field(dialog, "Your name").locator("textarea, input").fill(approver)
        for name, text in texts.items():
            self._field(dialog, LABELS[name]).locator("textarea, input").fill(text)

    def send(self, dialog: Locator) -> Response | None:
        """Send the form; what the server answers, whatever that is."""
        button = dialog.get_by_role("button", name=self.send_button)
        for _ in range(MOST_PRESSES):
            # a press while the page still takes in what was filled in does nothing; one that did something is not
            # repeated, however long the server takes to answer it: the second would be refused
            try:
                with self.page.expect_request("**/resume", timeout=PRESS_MS) as sent:
                    button.click()
            except NotInTime:
                continue
            return sent.value.response()
        raise AssertionError("the page does not send its form")

    def cancel(self, flow_run_id: str) -> None:
        """Cancel the run, and confirm that when asked."""
        self.show(flow_run_id)
        self._press("Cancel")
        dialog = self.page.get_by_role("dialog").or_(self.page.get_by_role("alertdialog"))
        dialog.get_by_role("button", name=re.compile("^(Cancel Flow Run|Confirm)$")).click()
        dialog.wait_for(state="hidden")

    def await_on_artifact(self, artifact_id: object, text: str) -> None:
        """Open the page of an artifact, and wait until the text can be read there: the page fills in bit by bit."""
        self._go(f"/artifacts/artifact/{artifact_id}")
        self.page.get_by_text(text).first.wait_for()

    def _go(self, path: str) -> None:
        self.page.goto(f"{self.server}{self.prefix}{path}")

    def _press(self, name: str) -> None:
        raise NotImplementedError

    def _field(self, within, label) -> Locator:
        raise NotImplementedError

    def _choose(self, field: Locator, value: str) -> None:
        raise NotImplementedError


class V2(Pages):
    """The newer one, which a browser gets that has chosen none."""

    name = "v2"
    prefix = "/v2"
    send_button = "Resume"

    def _press(self, name):
        self.page.locator("button[aria-haspopup=menu]").last.click()
        self.page.get_by_role("menuitem", name=name, exact=True).click()

    def _field(self, within, label):
        # labels are not tied to their fields
        return within.locator("div.group").filter(has=self.page.locator("label", has_text=label)).last

    def _choose(self, field, value):
        field.locator("fieldset button, button[role=combobox]").first.click()
        self.page.get_by_role("option", name=value, exact=True).click()


class V1(Pages):
    """The older one."""

    name = "v1"
    send_button = "Submit"

    def _press(self, name):
        button = self.page.get_by_role("button", name=name, exact=True).first
        menu = self.page.locator(".flow-run-menu button").last
        button.or_(menu).first.wait_for()
        if button.is_visible():
            button.click()
        else:
            menu.click()
            self.page.get_by_text(name, exact=True).last.click()

    def _field(self, within, label):
        return within.locator(".schema-form-property").filter(has=self.page.locator("label", has_text=label)).last

    def _choose(self, field, value):
        # a click opens it and closes it again
        field.locator("button.p-select-button__control").focus()
        self.page.keyboard.press("ArrowDown")
        self.page.locator(".p-select-option").get_by_text(value, exact=True).first.click()
