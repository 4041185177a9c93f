"""Under which account a private server runs.

Postgres refuses to run as root. As root it runs in a user namespace of its own in which the same
files belong to `nobody`: no user is added and no directory opened. Where namespaces are denied,
it runs as an unprivileged account that is given the data directory.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from api.servers.failure import ServerFailed

NOBODY = 65534
NAMESPACE = ["unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]


@dataclass(frozen=True, slots=True)
class Account:
    """A command to put in front, and the user and group to change to (None: stay)."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def own(self, directory: Path) -> None:
        """Make `directory` this account's."""
        if self.user is not None and self.group is not None:
            os.chown(directory, self.user, self.group)


def account_for(directory: Path, *, namespaces: bool = True) -> Account:
    """The account for a server whose data are in or below `directory`, which exists.

    As root: the directory's owner if that is another user, else `nobody` in a user namespace, else
    the account `postgres` or `nobody`. `namespaces=False` does without user namespaces.
    """
    if os.geteuid() != 0:
        return Account()
    owner = directory.stat()
    if owner.st_uid != 0:
        return Account(user=owner.st_uid, group=owner.st_gid)
    if namespaces and _namespace_works():
        return Account(prefix=tuple(NAMESPACE))
    return _unprivileged()


def require_reach(account: Account, program: Path, directory: Path) -> None:
    """Raise ServerFailed unless `account` can run `program` and write in `directory`."""
    test = 'test -x "$1" && test -w "$2"'
    command = [*account.prefix, "/bin/sh", "-c", test, "sh", str(program), str(directory)]
    done = subprocess.run(  # noqa: S603 - a fixed script
        command, check=False, user=account.user, group=account.group, cwd="/"
    )
    if done.returncode:
        name = "this user" if account.user is None else f"user id {account.user}"
        raise ServerFailed(
            f"the private Postgres runs as {name}, which cannot reach {program} and {directory}; "
            "run as an ordinary user, choose STONETOWN_DATA elsewhere, or set DATABASE_URL"
        )


def _namespace_works() -> bool:
    if shutil.which(NAMESPACE[0]) is None:
        return False
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user=entry.pw_uid, group=entry.pw_gid)
    raise ServerFailed("Postgres cannot run as root and there is no account `nobody`")
