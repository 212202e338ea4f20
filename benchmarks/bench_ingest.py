"""From a real PostgreSQL to a store, next to what the wire allows and to the original's way.

``python benchmarks/bench_ingest.py [--quick] [--only WORD]`` starts a server of its own, fills
a table for each layout and kind of cell, and prints frames a second. *drain* is psql sending
the same COPY statements to /dev/null, over as many connections and over one: the limit.
*original* is one SELECT a person, fetchall, numpy and to_zarr, on a part of the rows, scaled.
*decode* is the decoder alone on messages in memory, in MB/s of float32 temperatures. *peak* is
the memory, in MiB, of a process that does nothing but this run. Ours and the drains alternate;
figures are medians. Client and server share the machine.

*server*, *client* and *psql* are µs of processor time a frame: of all backends in our run, of
ours with its compression, and of the drain. They move little with other work on the machine,
the rates much. *bound* is what they say of two cores that do nothing else: the drain over one
connection takes the longer of *server* and *psql*, ours half of *server* + *client*.

*packed* is the original's way writing our encoding; by itself it writes plain float32 through
zstd. *goal* is two shards of float32 a connection and 200 MB, in MiB; *peak* is of a process
without the test extra's ``sparse``, which would bring numba, 80 MiB, to every import of dask.

20 000 frames on 2 cores of a virtual machine, alone (PostgreSQL 18; frames/s; *ours* and *peak*
with 1, 2 and 4 connections, processor time and drain with one; ``--repeats 2``, *smallint* with
8 000 frames; *tall* bytea and *long* with 3 repeats):

================== ===== ================ ======== ====== ======== ====== ====== =============
table              drain             ours original packed   decode server client          peak
================== ===== ================ ======== ====== ======== ====== ====== =============
wide real[][]       4587 3346  4850  4831      514    525 2.4 GB/s    194     94 343  479  680
tall real[][]       4693 3473  4752  5749      507    568 2.2 GB/s    205    100 347  448  612
wide smallint[][]   6004 4471  5438  5909      968    964 1.8 GB/s    178    117 273  304  387
wide bytea float32 19307 10780 7982  8605     2051   4551 2.8 GB/s     62     99 346  481  686
wide bytea uint16  23746 7092  6469  7866     3033   4784 1.6 GB/s     34    110 373  464  679
tall bytea float32 14525 5770  8512  9990     2835   2786 3.0 GB/s     49     91 349  461  655
long, a row a pixel  426  196   246   294      136    161 0.7 GB/s   5975    314 196  204  217
goal of memory                                                                   397  603 1015
================== ===== ================ ======== ====== ======== ====== ====== =============

Arrays: 0.73 to 0.74 of the drain over one connection with one of ours, 1.00 to 1.18 with two
(the default) and four (goal: 0.8), 6.5 to 11.3 times the original's way (goal: 5).

The rates of one table differ by a factor of two between runs: other runs of *wide bytea
float32* gave 7093, 5750, 9781 and 9167, 12325, 12241. Processor time is steadier: 73 to 104 µs
of the client, of which 20 are libpq's, 7 to 12 unpacking and packing, 3 the checksum, 19 the
codec and 9 zarr around it. So float32 bytes reach 0.45 to 0.78 of the drain over one connection
(goal: 0.5), and uint16, half as long on the wire but not to the codec, 0.26 to 0.32; that is
2.0 to 6.2 times the original's way (goal: 5). What two cores allow is (53 + 84) / 2 µs a frame:
14 600 frames/s. Pixels in rows are bound by the server's index scan, and go at 0.5 to 0.6 of
the drain, 1.4 to 2.2 times as fast as the original's way.

Through a real sshd on loopback, *wide bytea float32* with two connections, frames/s: direct
11 285, ``ssh -L`` 8 242, our openssh 7 283, sshtunnel 4 466.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
import xarray as xr

from fhemb_xr import testing
from fhemb_xr.io import encoding
from ingest.hints import Hints
from ingest.postgres import embedded_server
from ingest.postgres.copy_decoder import distinct, rows, runs
from ingest.postgres.source import PostgresSource
from ingest.run import ingest
from ingest.shards import Block, Counts

PEOPLE, SHAPE, SHARD, DISTINCT = 4, (60, 90), 5000, 250
_OIDS = {"real": (700, ">f4"), "double precision": (701, ">f8"), "smallint": (21, ">i2")}
_BYTES = {"float32": "<f4", "float64": "<f8", "uint16": "<u2"}


@dataclass(frozen=True)
class Case:
    """One table."""

    layout: str
    cell: str
    share: float = 1.0  # of the frames: pixels in rows of their own are a hundred times larger

    @property
    def schema(self) -> str:
        return f"{self.layout}_{self.cell.replace(' ', '_')}"

    @property
    def name(self) -> str:
        kind = "bytea " * (self.cell in _BYTES)
        return f"{self.layout} {kind}{self.cell}{'[][]' * (self.cell in _OIDS)}"

    @property
    def hints(self) -> Hints:
        scale = 0.01 if self.cell in ("smallint", "uint16") else None
        known = self.cell if self.cell in _BYTES else "float32"
        return Hints(bytes_dtype=known, scale=scale)


CASES = (
    Case("wide", "real"),
    Case("wide", "double precision"),
    Case("wide", "smallint"),
    Case("wide", "float32"),
    Case("wide", "uint16"),
    Case("tall", "real"),
    Case("tall", "float32"),
    Case("tall", "float64"),
    Case("tall", "uint16"),
    Case("long", "pixel", 0.04),
)


def faces() -> np.ndarray:
    """Some frames of one person, filled to their box: ``(t, y, x)``."""
    ds = testing.audience(1, DISTINCT / 25, shape=SHAPE).heatmap[0, 0].values
    return np.where(np.isfinite(ds), ds, 24).astype("f4")


def array_cell(frame: np.ndarray, kind: str) -> bytes:
    oid, dtype = _OIDS[kind]
    values = np.rint(frame / 0.01) if kind == "smallint" else frame
    size = np.dtype(dtype).itemsize
    elements = np.empty(frame.size, dtype=[("length", ">i4"), ("value", dtype)])
    elements["length"], elements["value"] = size, values.ravel()
    head = struct.pack("!iii4i", 2, 0, oid, frame.shape[0], 1, frame.shape[1], 1)
    return field(head + elements.tobytes())


def field(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


def cells(case: Case, frames: np.ndarray) -> list[bytes]:
    if case.cell in _OIDS:
        return [array_cell(f, case.cell) for f in frames]
    if case.cell == "uint16":
        frames = np.rint(frames / 0.01)
    shape = b"".join(field(struct.pack("!i", n)) for n in SHAPE)
    return [shape + field(f.astype(_BYTES[case.cell]).tobytes()) for f in frames]


def load(conn: psycopg.Connection[Any], case: Case, n_time: int) -> None:
    """Fill a table; frames repeat, since the server does not notice."""
    columns = {
        "wide": ", ".join(
            f"subj{40 + i} {case.cell}[]"
            if case.cell in _OIDS
            else f"subj{40 + i}_h integer, subj{40 + i}_w integer, subj{40 + i} bytea"
            for i in range(PEOPLE)
        ),
        "tall": "subject integer, "
        + (
            f"frame {case.cell}[]" if case.cell in _OIDS else "h integer, w integer, data bytea"
        ),
        "long": "subject integer, y smallint, x smallint, value real",
    }[case.layout]
    conn.execute(f"CREATE SCHEMA {case.schema}")
    conn.execute(f"CREATE TABLE {case.schema}.face_t (frame_number integer, {columns})")
    if case.layout == "long":
        load_pixels(conn, case, n_time)
    else:
        load_frames(conn, case, n_time)
    key = "frame_number" if case.layout == "wide" else "subject, frame_number"
    more = ", y, x" if case.layout == "long" else ""
    conn.execute(f"ALTER TABLE {case.schema}.face_t ADD PRIMARY KEY ({key}{more})")
    conn.execute(f"ANALYZE {case.schema}.face_t")
    conn.execute("CHECKPOINT")


def load_frames(conn: psycopg.Connection[Any], case: Case, n_time: int) -> None:
    made = cells(case, faces())
    command = f"COPY {case.schema}.face_t FROM STDIN (FORMAT binary)"
    with conn.cursor().copy(command) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for t in range(n_time):
            cell, clock = made[t % DISTINCT], field(struct.pack("!i", t))
            if case.layout == "wide":
                each = 1 if case.cell in _OIDS else 3
                copy.write(struct.pack("!h", 1 + each * PEOPLE) + clock + cell * PEOPLE)
                continue
            n_fields = 3 if case.cell in _OIDS else 5
            for i in range(PEOPLE):
                who = field(struct.pack("!i", 40 + i))
                copy.write(struct.pack("!h", n_fields) + clock + who + cell)
        copy.write(b"\xff\xff")


def load_pixels(conn: psycopg.Connection[Any], case: Case, n_time: int) -> None:
    high, wide = SHAPE
    conn.execute(
        f"INSERT INTO {case.schema}.face_t SELECT t, s, y, x, 30 + sin(t * y + x)"  # noqa: S608
        f" FROM generate_series(0, {n_time - 1}) t, generate_series(40, {39 + PEOPLE}) s,"
        f" generate_series(0, {high - 1}) y, generate_series(0, {wide - 1}) x"
    )


def statements(source: PostgresSource, case: Case, n_time: int) -> list[str]:
    """What ours asks for, shard by shard, as text for psql."""
    source.found()
    layout = source.layout(case.schema)
    with source.connect() as conn:
        return [
            layout.copy(40 + i, a, min(a + SHARD, n_time)).as_string(conn)
            for a in range(0, n_time, SHARD)
            for i in range(PEOPLE)
        ]


def drain(server: embedded_server.Server, queries: list[str], n: int) -> None:
    """psql to /dev/null, over ``n`` connections."""
    psql = embedded_server.binaries() / "psql"
    environment = {**os.environ, "PGPASSWORD": server.password}
    where = f"host={server.host} port={server.port} user={server.user} dbname={server.dbname}"
    running = []
    for k in range(n):
        command = [str(psql), "-qX", where]
        for query in queries[k::n]:
            command += ["-c", query]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))
    for process in running:
        if process.wait() != 0:
            raise RuntimeError("psql failed")


def ours(source: PostgresSource, workers: int, grid: tuple[int, int] | None = SHAPE) -> None:
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        ingest(source, Path(folder) / "a.zarr", grid=grid, workers=workers)


def original(server: embedded_server.Server, case: Case, n: int, packed: bool = False) -> None:
    """One SELECT a person, fetchall, numpy, ``to_zarr``; as it comes, or in our encoding."""
    ours = {
        **encoding.PACKING,
        "dtype": "int16",
        "compressors": encoding.compressors("int16"),
        "chunks": (1, min(n, encoding.CHUNK_FRAMES), *SHAPE),
    }
    with psycopg.connect(server.conninfo()) as conn, tempfile.TemporaryDirectory() as folder:
        people = [fetched(conn, case, who, n) for who in range(40, 40 + PEOPLE)]
        heat = xr.DataArray(np.stack(people), dims=("subject", "time", "y", "x"), name="heat")
        heat.chunk(subject=1, time=encoding.CHUNK_FRAMES).to_zarr(
            Path(folder) / "a.zarr",
            consolidated=False,
            encoding={"heat": ours} if packed else None,
        )


def fetched(conn: psycopg.Connection[Any], case: Case, who: int, n: int) -> np.ndarray:
    table, where = f"{case.schema}.face_t", f"frame_number < {n}"
    if case.layout == "wide":
        query = f"SELECT subj{who} FROM {table} WHERE {where} ORDER BY frame_number"  # noqa: S608
        found = conn.execute(query).fetchall()
        return as_frames(found, case)
    what = {"tall": "frame" if case.cell in _OIDS else "data", "long": "value"}[case.layout]
    order = "frame_number" + ", y, x" * (case.layout == "long")
    query = f"SELECT {what} FROM {table} WHERE {where} AND subject = {who} ORDER BY {order}"  # noqa: S608
    return as_frames(conn.execute(query).fetchall(), case)


def as_frames(found: list[Any], case: Case) -> np.ndarray:
    if case.cell in _BYTES:
        raw = [np.frombuffer(r[0], _BYTES[case.cell]) for r in found]
        return np.stack(raw).astype("f4").reshape(-1, *SHAPE)
    return np.array([r[0] for r in found], dtype="f4").reshape(-1, *SHAPE)


def decoding(source: PostgresSource, case: Case, n: int) -> float:
    """MB/s of float32 from messages in memory: into float32, in the block's place."""
    layout = source.layout(case.schema)
    with source.connect() as conn, conn.cursor().copy(layout.copy(40, 0, n)) as copy:
        messages = [bytes(m) for m in copy]

    def once() -> None:
        heat = np.empty((n, *SHAPE), "f4")
        block = Block(case.schema, 40, 0, heat, n)
        for run in runs(distinct(rows(messages), Counts()), layout.cell):
            block.place(run, layout.cell, lambda x: x, encoding.LIMITS)

    return n * 4 * SHAPE[0] * SHAPE[1] / 1e6 / min(spent(once) for _ in range(5))


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


ALONE = """
import json, sys, tempfile
sys.modules["sparse"] = None  # of the test extra: with it dask brings numba, 80 MiB
from ingest.hints import Hints
from ingest.run import ingest
from ingest.source import PostgresSource
asked = json.load(sys.stdin)
source = PostgresSource(asked["connection"], asked["schema"], hints=Hints(**asked["hints"]))
with tempfile.TemporaryDirectory() as folder:
    ingest(source, folder + "/a.zarr", grid=asked["grid"], workers=asked["workers"])
status = open("/proc/self/status").read()  # getrusage counts what was before exec
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def peak(server: embedded_server.Server, case: Case, workers: int) -> float:
    """MiB of a fresh process that does one run."""
    asked = {"connection": server.connection(), "schema": case.schema, "workers": workers}
    asked |= {"grid": SHAPE, "hints": {k: v for k, v in vars(case.hints).items() if v}}
    command = [sys.executable, "-c", ALONE]
    return float(subprocess.check_output(command, input=json.dumps(asked), text=True))


def limit_mib(n: int, n_time: int) -> float:
    """Two shards of float32 a connection, and 200 MB."""
    return (n * 2 * min(n_time, SHARD) * 4 * SHAPE[0] * SHAPE[1] + 200e6) / 2**20


def scratch() -> str:
    return tempfile.gettempdir()


def measure(
    server: embedded_server.Server,
    case: Case,
    n_time: int,
    connections: tuple[int, ...],
    repeats: int,
) -> None:
    n_time = max(20, int(n_time * case.share))
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        load(conn, case, n_time)
    source = PostgresSource(server.connection(), case.schema, hints=case.hints)
    queries, total = statements(source, case, n_time), n_time * PEOPLE
    part = {"long": 20}.get(case.layout, 1000 if case.cell in _BYTES else 250)
    part = min(n_time, part)
    original(server, case, min(part, 20))  # warm
    theirs, same = (
        part * PEOPLE / seconds(lambda p=p: original(server, case, part, p))
        for p in (False, True)
    )
    decoded = decoding(source, case, min(n_time, 1000))
    drain(server, queries, 1)  # warm
    for n in connections:
        limit, one, mine = rates(server, source, queries, n, repeats, total)
        there, here, _ = processor(server, lambda n=n: ours(source, n), total)
        sends, _, psql = processor(server, lambda: drain(server, queries, 1), total)
        bound = max(sends, psql) / ((there + here) / 2)
        print(
            f"{case.name:26} {n:4} {limit:8.0f} {one:8.0f} {mine:8.0f} {mine / one:6.2f}"
            f" {mine * 4 * SHAPE[0] * SHAPE[1] / 1e6:8.0f} {theirs:9.0f} {mine / theirs:6.1f}"
            f" {same:6.0f} {mine / same:6.1f} {decoded:8.0f} {peak(server, case, n):5.0f}"
            f" {limit_mib(n, n_time):5.0f} {there:7.0f} {here:7.0f}"
            f" {psql:5.0f} {bound:6.2f}",
            flush=True,
        )
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        conn.execute(f"DROP SCHEMA {case.schema} CASCADE")


def backends(server: embedded_server.Server) -> float:
    """Seconds of processor time of all backends that have ended."""
    with psycopg.connect(server.conninfo()) as conn:
        postmaster = psutil.Process(conn.info.backend_pid).parent()
    time.sleep(0.1)  # until it has buried this one
    spent = postmaster.cpu_times()
    return spent.children_user + spent.children_system


def processor(
    server: embedded_server.Server, work: Callable[[], object], total: int
) -> tuple[float, float, float]:
    """µs a frame of the server, of this process and of its children."""
    theirs, children = backends(server), resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = spent(work)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    psql = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return tuple(1e6 * s / total for s in (backends(server) - theirs, mine, psql))


def rates(
    server: embedded_server.Server,
    source: PostgresSource,
    queries: list[str],
    n: int,
    repeats: int,
    total: int,
) -> list[float]:
    """Frames/s of the drain over ``n`` connections, over one, and of ours."""
    took: tuple[list[float], list[float], list[float]] = ([], [], [])
    for _ in range(repeats):
        took[0].append(seconds(lambda: drain(server, queries, n)))
        took[1].append(seconds(lambda: drain(server, queries, 1)) if n > 1 else took[0][-1])
        took[2].append(seconds(lambda: ours(source, n)))
    return [total / statistics.median(t) for t in took]


@contextmanager
def ssh(folder: Path) -> Iterator[tuple[int, Path]]:
    """A real sshd on loopback with keys of its own: its port, and the client's key."""
    import getpass

    for name in ("host", "id"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    shutil.copy(folder / "id.pub", folder / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {words[0]} {words[1]}\n")
    options = {"HostKey": folder / "host", "AuthorizedKeysFile": folder / "authorized"}
    options |= {"PidFile": "none", "StrictModes": "no", "UsePAM": "no"}
    options |= {"ListenAddress": "127.0.0.1", "AllowUsers": getpass.getuser()}
    flags = [part for k, v in options.items() for part in ("-o", f"{k}={v}")]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin") or "sshd"
    command = [sshd, "-D", "-e", "-f", "/dev/null", "-p", str(port), *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port, folder / "id"
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answers at port {port}")


@contextmanager
def forwarded(server: embedded_server.Server, port: int, key: Path) -> Iterator[int]:
    """``ssh -L``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        local = free.getsockname()[1]
    command = ["ssh", "-F", "none", "-N", "-T", "-i", str(key), "-p", str(port), "127.0.0.1"]
    command += ["-o", f"UserKnownHostsFile={key.parent / 'known'}", "-o", "BatchMode=yes"]
    command += ["-L", f"127.0.0.1:{local}:{server.host}:{server.port}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(local)
        yield local
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def through_ssh(server: embedded_server.Server, case: Case, n_time: int, repeats: int) -> None:
    """The same run direct, through both of our tunnels, and through ``ssh -L``."""
    import getpass

    from ingest.settings import Database
    from ingest.ssh.tunnel import tunnel

    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        load(conn, case, n_time)
    with tempfile.TemporaryDirectory() as name, ssh(Path(name)) as (port, key):
        settings = {
            "db_name": server.dbname,
            "db_username": server.user,
            "remote_host": "127.0.0.1",
            "remote_port": port,
            "ssh_username": getpass.getuser(),
            "ssh_pkey": key,
            "remote_bind_host": server.host,
            "remote_bind_port": server.port,
        }
        known = [key.parent / "known"]
        with (
            tunnel(Database(tunnel="openssh", **settings), known) as openssh,
            tunnel(Database(tunnel="sshtunnel", **settings), known) as sshtunnel,
            forwarded(server, port, key) as theirs_port,
        ):
            ways = {"direct": server.port, "openssh": openssh.address[1]}
            ways |= {"sshtunnel": sshtunnel.address[1], "ssh -L": theirs_port}
            took: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(repeats):
                for way, at in ways.items():
                    where = server.connection() | {"port": at}
                    source = PostgresSource(where, case.schema, hints=case.hints)
                    took[way].append(seconds(lambda s=source: ours(s, 2)))
    rates = {w: n_time * PEOPLE / statistics.median(t) for w, t in took.items()}
    shown = ", ".join(f"{w} {r:.0f} ({r / rates['direct']:.2f})" for w, r in rates.items())
    print(f"{case.name:26} frames/s with 2 connections: {shown}", flush=True)
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        conn.execute(f"DROP SCHEMA {case.schema} CASCADE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 000 frames, once, 1 and 2 ways")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-ssh", action="store_true", help="leave out the tunnels")
    chosen = parser.parse_args()
    quick = chosen.quick
    n_time = (4000 if quick else chosen.frames) // PEOPLE
    connections, repeats = ((1, 2), 1) if quick else ((1, 2, 4), chosen.repeats)
    cases = [c for c in CASES if chosen.only in c.name]
    print(
        f"{PEOPLE} people, {n_time} frames of {SHAPE[0]}x{SHAPE[1]} each; frames/s; "
        "ratios to the drain over one connection and to the original"
    )
    print(
        f"{'table':26} {'conn':>4} {'drain':>8} {'by one':>8} {'ours':>8} {'ratio':>6}"
        f" {'MB/s f4':>8}"
        f" {'original':>9} {'ratio':>6} {'packed':>6} {'ratio':>6} {'decode':>8} {'peak':>5}"
        f" {'goal':>5} {'server':>7} {'client':>7}"
        f" {'psql':>5} {'bound':>6}"
    )
    with embedded_server.serve() as server:
        for case in cases:
            measure(server, case, n_time, connections, repeats)
        if chosen.no_ssh:
            return
        if shutil.which("sshd", path="/usr/sbin:/usr/bin") and shutil.which("ssh"):
            for case in (c for c in cases if c in (CASES[0], CASES[3])):
                through_ssh(server, case, n_time, repeats)
        else:
            print("no sshd or no ssh: the tunnel is not measured")


if __name__ == "__main__":
    sys.exit(main())
