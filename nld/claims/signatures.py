"""Signatures of text by SSH keys, as git makes them: whoever has the public key can check them, with OpenSSH alone."""

import subprocess
import tempfile
from pathlib import Path

from nld.errors import InvalidInput, ToolError

NAMESPACE = "nld-evidence"  # so that no signature that was made for another purpose passes


def sign(content: bytes, key: Path) -> str:
    """The signature of ``content`` by the private key in a file, or by that of a public key which an agent holds.

    Raises:
        ToolError: ssh-keygen is missing or refuses the key.
    """
    return _ssh_keygen("sign", "-f", str(key), stdin=content)


def check(content: bytes, signature: str) -> str:
    """The fingerprint of the key that signed ``content``, such as "SHA256:…".

    Raises:
        ValueError: the signature is not one of this content.
        ToolError: ssh-keygen is missing.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        try:
            said = _ssh_keygen("check-novalidate", "-s", file.name, stdin=content)
        except ToolError as error:
            if isinstance(error.__cause__, OSError):
                raise
            raise InvalidInput(f"its signature does not hold: {error}") from error
    return next((word for word in said.split() if word.startswith("SHA256:")), "")


def _ssh_keygen(action: str, *options: str, stdin: bytes) -> str:
    command = ["ssh-keygen", "-Y", action, "-n", NAMESPACE, *options]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
    except OSError as error:
        raise ToolError(f"signatures need ssh-keygen, of OpenSSH 8.2 or later: {error}") from error
    if done.returncode:
        raise ToolError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).decode().strip()}")
    return done.stdout.decode()
