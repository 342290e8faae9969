"""How the tests open a page: what it asked for, what it complained of, and when it is at rest."""

from dataclasses import dataclass, field

SIZE = {"width": 1280, "height": 900}


@dataclass
class Opened:
    """A page in the browser with all that it asked for and complained of."""

    page: object
    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Take down what happens from now on."""
        page = self.page
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.on("response", lambda answer: self.failed.append(answer.url) if answer.status >= 400 else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def go(self, address: str, wait: bool) -> "Opened":
        """Open an address and, with ``wait``, wait until its formulas are typeset and its pictures are there."""
        self.page.goto(address, wait_until="load")
        if wait:
            settle(self.page)
        return self

    def forget(self) -> None:
        for events in (self.requests, self.failed, self.complaints):
            events.clear()


class Tab:
    """One tab for many pages: a window and its processes cost more than a page, and each page starts from nothing.

    A test that opens a page in a shared tab is done with the page before it.
    """

    def __init__(self, browser):
        self._context = browser.new_context(viewport=SIZE)
        self._opened = Opened(self._context.new_page())
        self._opened.listen()

    def open(self, address: str, wait: bool = True, scheme: str = "light", size=SIZE) -> Opened:
        """Open an address as a first visitor does, in a window of this size, in this colour scheme."""
        opened = self._opened
        if opened.page.url != "about:blank":
            opened.page.evaluate("localStorage.clear()")
            opened.page.goto("about:blank")  # what the page before still asks for ends here
        opened.page.mouse.move(0, 0)  # where it hovers over nothing
        opened.page.set_viewport_size(size)
        opened.page.emulate_media(media="screen", color_scheme=scheme)
        opened.forget()
        return opened.go(address, wait)

    def close(self) -> None:
        self._context.close()


def open_window(browser, address: str, wait: bool = True, **options) -> Opened:
    """Open an address in a window of its own, with an empty cache, for what a shared tab cannot do."""
    opened = Opened(browser.new_context(viewport=SIZE, **options).new_page())
    opened.listen()
    return opened.go(address, wait)


def settle(page) -> None:
    page.evaluate("async () => { if (window.MathJax?.startup) await MathJax.startup.promise; }")
    page.evaluate("""async () => {
      const shown = [...document.images].filter(image => image.checkVisibility());
      for (const image of shown) image.loading = 'eager';
      await Promise.all(shown.map(image => image.decode().catch(() => {})));
    }""")
