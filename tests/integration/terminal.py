"""The command line in the test's own process: quick, and a test may turn its clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from jobstream.cli.root import root

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from jobstream import App


_OBEYED = {"timeout": "2m"}
"""Workers of a busy machine may take longer to obey than an operator is made to wait."""
DEFAULTS = {
    "control": {
        **dict.fromkeys(("pause", "resume", "quiet", "unquiet", "drain"), _OBEYED),
        "breaker": dict.fromkeys(("open", "close", "release"), _OBEYED),
        "limit": dict.fromkeys(("set", "release"), _OBEYED),
    }
}
"""Of options that a test does not give."""


class Terminal:
    """An operator who has the app's name and nothing else."""

    def __init__(self, app: App, state_dir: Path | None = None) -> None:
        """On the machine of the app's workers, unless the folder of their files is another."""
        self.app = app
        self._environ = {
            "JOBSTREAM_BOOTSTRAP_SERVERS": app.settings.bootstrap_servers,
            "JOBSTREAM_STATE_DIR": str(state_dir or app.settings.state_dir),
            "JOBSTREAM_APP": app.name,
        }

    def run(self, *words: str, code: int = 0) -> str:
        """What it printed; after a failure, what it said beside it, too."""
        ran = self._ran(words, code)
        return ran.stdout if code == 0 else ran.output

    def said(self, *words: str, code: int = 0) -> str:
        """What it printed and what it said beside it."""
        return self._ran(words, code).output

    def _ran(self, words: tuple[str, ...], code: int) -> Result:
        ran = CliRunner().invoke(root, words, env=self._environ, default_map=DEFAULTS)
        assert ran.exit_code == code, f"{words}: {ran.exit_code}\n{ran.output}"
        return ran

    def json(self, *words: str) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.run(*words, "--json"))

    def lines(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]

    def held(self) -> list[tuple[str, str]]:
        return [(entry["kind"], entry["subject"]) for entry in self.json("control", "list")]
