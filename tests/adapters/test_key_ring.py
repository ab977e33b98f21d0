"""Keys of live orders on disk: who is trusted, which files are refused, and what is never said.

Does not belong here: tokens (`test_pkcs11_signer.py`), or what is signed (`tests/domain/test_live_permits.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from resources.key_ring import LARGEST_BYTES, MOST_KEYS, KeyFile, KeyRing, public_pem, secret
from trading.config.live import key_id
from trading.errors import DaybookError, LiveKeyChanged, LiveKeyUntrusted, LiveKeyUnusable


def openssl(*words: object) -> bytes:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True).stdout


def made(folder: Path, name: str = "live.pem", kind: tuple[str, ...] = ("ed25519",)) -> Path:
    """A private key as people make one."""
    path = folder / name
    openssl("genpkey", "-algorithm", *kind, "-out", path)
    path.chmod(0o600)
    return path


def public_of(private: Path) -> bytes:
    """The public key of a file (32 bytes), by openssl: the last bytes of its DER form."""
    return openssl("pkey", "-in", private, "-pubout", "-outform", "DER")[-32:]


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A ring with one key, of `live.pem` beside it."""
    folder = tmp_path / "ring"
    folder.mkdir(mode=0o700)
    private = made(tmp_path)
    file = folder / f"{key_id(public_of(private))}.pub"
    openssl("pkey", "-in", private, "-pubout", "-out", file)
    file.chmod(0o644)
    return folder


# --- the ring ---------------------------------------------------------------------------------------------------------
def test_keys_that_a_person_put_there_are_trusted(ring: Path, tmp_path: Path) -> None:
    public = public_of(tmp_path / "live.pem")
    (ring / "readme.txt").write_text("who is who")
    assert KeyRing(ring).trusted() == {key_id(public): public}


def test_no_folder_is_nobody(tmp_path: Path) -> None:
    assert KeyRing(tmp_path / "none").trusted() == {}
    assert not (tmp_path / "none").exists()


def test_what_is_printed_of_a_key_is_what_a_ring_reads(tmp_path: Path) -> None:
    private = made(tmp_path)
    assert public_pem(KeyFile(private).public()).encode() == openssl("pkey", "-in", private, "-pubout")


def only(ring: Path) -> Path:
    return next(ring.glob("*.pub"))


SPOILED: dict[str, tuple[type[DaybookError], Callable[[Path, Path], object]]] = {
    "another key under a trusted name": (
        LiveKeyChanged,
        lambda ring, place: openssl("pkey", "-in", made(place, "b.pem"), "-pubout", "-out", only(ring)),
    ),
    "a key under a name of its own": (LiveKeyChanged, lambda ring, place: only(ring).rename(ring / "desk.pub")),
    "a file that others may write": (LiveKeyUntrusted, lambda ring, place: only(ring).chmod(0o664)),
    "a folder that others may write": (LiveKeyUntrusted, lambda ring, place: ring.chmod(0o777)),
    "a key of another kind": (
        LiveKeyUntrusted,
        lambda ring, place: openssl(
            "pkey", "-in", made(place, "b.pem", ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")), "-pubout", "-out",
            only(ring),
        ),
    ),
    "no key": (LiveKeyUntrusted, lambda ring, place: only(ring).write_text("ssh-ed25519 AAAA")),
    "an empty file": (LiveKeyUntrusted, lambda ring, place: only(ring).write_bytes(b"")),
    "a huge file": (LiveKeyUntrusted, lambda ring, place: only(ring).write_bytes(b"-" * (LARGEST_BYTES + 1))),
    "a broken link": (LiveKeyUntrusted, lambda ring, place: (ring / "a.pub").symlink_to(place / "gone")),
    "too many keys": (
        LiveKeyUntrusted, lambda ring, place: [(ring / f"{n}.pub").touch() for n in range(MOST_KEYS)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("refused", "spoil"), SPOILED.values(), ids=SPOILED)
def test_a_ring_that_is_not_certain_trusts_nobody(
    ring: Path, tmp_path: Path, refused: type[DaybookError], spoil: Callable[[Path, Path], object]
) -> None:
    spoil(ring, tmp_path)
    with pytest.raises(refused):
        KeyRing(ring).trusted()


PROGRAM = """
import sys
from pathlib import Path
from resources.key_ring import KeyFile, KeyRing
from trading.errors import LiveRefused
for ask in (KeyRing(Path(sys.argv[1])).trusted, KeyFile(Path(sys.argv[2])).public):
    try:
        ask()
    except LiveRefused as refused:
        print(type(refused).__name__)
"""


def test_nobody_waits_for_who_writes_into_a_pipe(ring: Path, tmp_path: Path, root: Path) -> None:
    os.mkfifo(ring / "x.pub", 0o600)
    os.mkfifo(tmp_path / "pipe.pem", 0o600)
    command = [sys.executable, "-c", PROGRAM, str(ring), str(tmp_path / "pipe.pem")]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == ["LiveKeyUntrusted", "LiveKeyUnusable"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
def test_a_file_of_another_user_than_the_ring_is_refused(ring: Path, tmp_path: Path) -> None:
    os.chown(only(ring), 65534, -1)
    with pytest.raises(LiveKeyUntrusted, match="belongs to user 65534, and the ring to user 0"):
        KeyRing(ring).trusted()
    os.chown(ring, 65534, -1)
    assert len(KeyRing(ring).trusted()) == 1, "whoever keeps the ring owns all of it"
    os.chown(only(ring), 0, -1)
    assert len(KeyRing(ring).trusted()) == 1, "root may write it anyway"
    os.chown(tmp_path / "live.pem", 65534, -1)
    with pytest.raises(LiveKeyUnusable, match="belongs to user 65534"):
        KeyFile(tmp_path / "live.pem").public()


# --- a key in a file --------------------------------------------------------------------------------------------------
def test_a_key_file_signs(tmp_path: Path) -> None:
    private = made(tmp_path)
    key = KeyFile(private)
    assert key.public() == public_of(private)
    Ed25519PublicKey.from_public_bytes(public_of(private)).verify(key.sign(b"words"), b"words")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o610, 0o644, 0o777])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    private = made(tmp_path)
    private.chmod(mode)
    with pytest.raises(LiveKeyUnusable, match=f"mode {mode:04o}"):
        KeyFile(private).sign(b"words")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_its_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    private = made(tmp_path)
    private.chmod(mode)
    assert len(KeyFile(private).sign(b"words")) == 64


def test_the_mode_that_counts_is_that_of_the_file_a_link_leads_to(tmp_path: Path) -> None:
    private = made(tmp_path)
    private.chmod(0o644)
    (tmp_path / "link.pem").symlink_to(private)
    with pytest.raises(LiveKeyUnusable, match="can be read by others"):
        KeyFile(tmp_path / "link.pem").public()


def with_a_passphrase(place: Path) -> Path:
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:abcd", "-out", place / "locked.pem")
    (place / "locked.pem").chmod(0o600)
    return place / "locked.pem"


def written(place: Path, content: bytes) -> Path:
    (place / "words.pem").write_bytes(content)
    (place / "words.pem").chmod(0o600)
    return place / "words.pem"


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no file": (lambda place: place / "none.pem", "No such file"),
    "a folder": (lambda place: place, "cannot be read|no file of a key"),
    "another kind": (lambda place: made(place, "b.pem", ("X25519",)), "another kind"),
    "a passphrase": (with_a_passphrase, "no private key that can be used"),
    "words": (lambda place: written(place, b"hunter2"), "no private key that can be used"),
    "a huge file": (lambda place: written(place, b"-" * (LARGEST_BYTES + 1)), "no file of a key"),
    "a public key": (
        lambda place: written(place, openssl("pkey", "-in", made(place), "-pubout")), "no private key that can be used",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_sign_is_refused(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    path = make(tmp_path)
    with pytest.raises(LiveKeyUnusable, match=said) as caught:
        KeyFile(path).sign(b"words")
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_read_from_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    path = written(tmp_path, b"1234\n")
    assert secret(path) == b"1234\n"
    path.chmod(0o640)
    with pytest.raises(LiveKeyUnusable, match="can be read by others"):
        secret(path)
    with pytest.raises(LiveKeyUnusable, match="cannot be read"):
        secret(tmp_path / "none")


def test_nothing_shows_a_private_key(tmp_path: Path) -> None:
    private = made(tmp_path)
    key = KeyFile(private)
    key.sign(b"words")
    inside = "".join(private.read_text().splitlines()[1:-1])
    assert inside not in repr(key) + repr(vars(key))
