"""The user's SSH key: it must exist, be private, and open with the given passphrase."""

from pathlib import Path
from typing import Any

from fhemb_xr.errors import ConfigError
from ingest.settings import Database, require_private

_KINDS = ("Ed25519Key", "ECDSAKey", "RSAKey")


def key_file(settings: Database) -> Path | None:
    """The file of the key; None for the agent's keys.

    Raises
    ------
    ConfigError
        The key is missing, readable by others, or no private key.
    """
    if not settings.ssh_username:
        raise ConfigError("REMOTE_HOST is set but SSH_USERNAME is not: the tunnel needs a user")
    if settings.ssh_pkey is None:
        if not _agent_keys():
            raise ConfigError(
                "SSH_PKEY is not set and no SSH agent holds a key: set one of them"
            )
        return None
    path = settings.ssh_pkey.expanduser()
    if not path.is_file():
        raise ConfigError(f"SSH_PKEY is {str(path)!r}, which does not exist")
    require_private(path, "the key")
    if b"PRIVATE KEY" not in path.read_bytes():
        raise ConfigError(f"the key {str(path)!r} is no private key")
    return path


def opened(path: Path, phrase: str | None) -> Any:
    """Open a private key with paramiko.

    Raises
    ------
    ConfigError
        The passphrase is missing or wrong, or paramiko does not know this kind of key. It is
        raised outside the ``except``, whose chain would hold the passphrase.
    """
    import paramiko

    why = "is of a kind that sshtunnel does not know: set TUNNEL=openssh"
    for kind in _KINDS:
        try:
            return getattr(paramiko, kind).from_private_key_file(str(path), password=phrase)
        except paramiko.PasswordRequiredException:
            why = ""
        except (ValueError, IndexError, paramiko.SSHException):  # another kind, or wrong phrase
            if phrase is not None:
                why = "cannot be opened: wrong SSH_PASSPHRASE"
    if not why:
        why = (
            "has a passphrase: set SSH_PASSPHRASE, or TUNNEL=openssh if your SSH agent has "
            "opened the key"
        )
    raise ConfigError(f"the key {str(path)!r} {why}")


def is_locked(path: Path) -> bool:
    """Whether a key has a passphrase, so that the SSH agent must hold it.

    Raises
    ------
    ConfigError
        The key has a passphrase and no agent holds any key; ssh would ask for the passphrase.
    """
    import paramiko

    for kind in _KINDS:
        try:
            getattr(paramiko, kind).from_private_key_file(str(path))
            return False
        except paramiko.PasswordRequiredException:
            break
        except (ValueError, IndexError, paramiko.SSHException):
            continue  # another kind, perhaps one that only the program ssh knows
    else:
        return False
    if not _agent_keys():
        raise _locked(path)
    return True


def _locked(path: Path) -> ConfigError:
    return ConfigError(
        f"the key {str(path)!r} has a passphrase: set SSH_PASSPHRASE, or add the key to your "
        "SSH agent"
    )


def _agent_keys() -> bool:
    import paramiko

    agent = paramiko.Agent()
    try:
        return bool(agent.get_keys())
    finally:
        agent.close()
