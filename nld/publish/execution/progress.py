"""What a person sees while chapters run: a live line on a terminal, plain lines elsewhere."""

import shutil


class Progress:
    """Progress of a build.

    Args:
        out: where to write; a live line is drawn only when it is a terminal.
        total: number of chapters to run.
        fresh: number of chapters whose outputs are kept from before.
    """

    def __init__(self, out, total: int, fresh: int):
        self.out, self.total, self.finished = out, total, 0
        self.live = bool(getattr(out, "isatty", lambda: False)())
        self._print(f"{total} chapter{'s' * (total != 1)} to run, {fresh} unchanged.")

    def update(self, running: dict[str, float]) -> None:
        """Redraw the live line: running chapters with their age in seconds."""
        if self.live and running:
            share = round(20 * self.finished / self.total)
            names = ", ".join(f"{name} {age:.0f} s" for name, age in running.items())
            line = f"[{'#' * share}{'.' * (20 - share)}] {self.finished}/{self.total}  {names}"
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:width], end="", file=self.out, flush=True)

    def done(self, name: str, seconds: float) -> None:
        """A chapter ended well."""
        self.finished += 1
        self._print(f"[{self.finished}/{self.total}] {name}: {seconds:.1f} s")

    def failed(self, name: str, verdict: dict, job) -> None:
        """A chapter failed: name it, its cell and its error, and where the remains are."""
        self.finished += 1
        where = f", cell {verdict['cell']}" if verdict.get("cell") else ""
        lines = [f"[{self.finished}/{self.total}] {name}{where}: {verdict['error']}"]
        lines += ["    " + line for line in verdict["source"].splitlines()]
        lines += ["    | " + line for line in verdict["traceback"]]
        lines += [f"    partial notebook: {job.output}"] if job.output.exists() else []
        lines += [f"    log: {job.log}"]
        self._print("\n".join(lines))

    def end(self) -> None:
        """Clear the live line."""
        if self.live:
            print("\r\x1b[K", end="", file=self.out, flush=True)

    def _print(self, text: str) -> None:
        print(("\r\x1b[K" if self.live else "") + text, file=self.out, flush=True)
