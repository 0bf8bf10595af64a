"""Published weights come whole and right, or not at all: a local https server that also misbehaves."""

import hashlib
import json
import shutil
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from imgtool.classifiers import fetching, published
from imgtool.classifiers.fetching import fetch
from imgtool.classifiers.published import PUBLISHED, Published, cache_folder, find
from imgtool.cli.messages import explain
from imgtool.errors import DataError, OutputError, ParameterError
from locations import ROOT

CERTIFICATE = ROOT / "tests" / "certificates" / "localhost.pem"
CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "small@test"
FILE = f"small-{DIGEST[:8]}.pth"


class Server(ThreadingHTTPServer):
    """Answers by the first part of a path: `/short/FILE` is FILE's content, cut."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of clients that went away."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        manner, _, file = self.path.strip("/").partition("/")
        getattr(self, f"answer_{manner.replace('-', '_')}")(file)

    def head(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def answer_right(self, file):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT)

    def answer_without_length(self, file):
        self.head()
        self.wfile.write(CONTENT)

    def answer_wrong(self, file):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[::-1])

    def answer_short(self, file):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[:1000])

    def answer_short_without_length(self, file):
        self.head()
        self.wfile.write(CONTENT[:1000])

    def answer_endless(self, file):
        self.head()
        while True:
            self.wfile.write(CONTENT)

    def answer_huge(self, file):
        self.head(Content_Length=10**12)
        self.wfile.write(CONTENT)

    def answer_stalled(self, file):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT[:1000])
        self.wfile.flush()
        time.sleep(3)

    def answer_dripping(self, file):
        self.head(Content_Length=len(CONTENT))
        for byte in CONTENT[:60]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def answer_silent(self, file):
        time.sleep(3)

    def answer_missing(self, file):
        self.send_error(404, "Not Found")

    def answer_elsewhere(self, file):
        self.head(302, Location=f"/right/{file}")

    def answer_unsafe(self, file):
        self.head(302, Location=f"http://localhost:{self.server.server_port}/right/{file}")

    def answer_local(self, file):
        self.head(302, Location="file:///etc/hostname")

    def answer_round(self, file):
        self.head(302, Location=self.path)

    def answer_closed(self, file):
        self.connection.close()


@pytest.fixture(scope="module")
def port():
    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ask(port, tmp_path, monkeypatch):
    """A function that fetches the small file, the server answering in a manner."""
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setitem(PUBLISHED, NAME, Published(FILE, len(CONTENT) / (1 << 20), 50.0, 75.0))
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.5)

    def ask(manner, **how):
        monkeypatch.setattr(published, "ADDRESS", f"https://localhost:{port}/{manner}/")
        return fetch(NAME, **how)

    return ask


@pytest.mark.parametrize("manner", ["right", "without-length", "elsewhere"])
def test_what_is_fetched_is_whole_and_recorded(manner, ask):
    heard = []
    path = ask(manner, events=heard.append)
    assert path == cache_folder() / FILE == find(NAME)
    assert path.read_bytes() == CONTENT
    assert published.recorded_digest(path) == published.check(NAME) == DIGEST
    assert sorted(each.name for each in path.parent.iterdir()) == [FILE, f"{FILE}.json"]
    assert heard[-1].done == len(CONTENT) <= heard[-1].total
    time_before = path.stat().st_mtime_ns
    assert ask("wrong") == path  # is here: nothing is asked
    assert path.stat().st_mtime_ns == time_before


MISBEHAVIOR = {
    "wrong": "is not the published file: its SHA-256 begins with",
    "short": "ended after 1000 of 10240 bytes; try again",
    "short-without-length": "is not the published file",
    "endless": "has more than the 1058816 bytes that small@test can have",
    "huge": "has 1000000000000 bytes, and small@test at most 1058816",
    "stalled": "nothing came for 0.5 seconds; put https://localhost",
    "dripping": "nothing came for 0.5 seconds; put https://localhost",
    "silent": "nothing came for 0.5 seconds; put https://localhost",
    "missing": "the server says 404 Not Found; put https://localhost",
    "unsafe": "which is not https; put https://localhost",
    "local": "Redirection to url 'file:///etc/hostname' is not allowed; put https://localhost",
    "round": "; put https://localhost",
    "closed": "; put https://localhost",
}


@pytest.mark.parametrize("manner", MISBEHAVIOR)
@pytest.mark.parametrize("before", [None, b"the old file"])
def test_N1_a_server_that_misbehaves_is_one_line_and_nothing_is_kept(manner, before, ask):
    path = cache_folder() / FILE
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    with pytest.raises(DataError) as caught:
        ask(manner, overwrite=True)
    assert MISBEHAVIOR[manner] in str(caught.value)
    assert "\n" not in str(caught.value)
    if before is None:
        assert not path.parent.exists() or not [*path.parent.iterdir()]
    else:
        assert [*path.parent.iterdir()] == [path]
        assert path.read_bytes() == before


def test_N1_a_certificate_that_nobody_vouches_for_is_refused(ask, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DataError, match="certificate verify failed"):
        ask("right")


def test_N1_plain_http_is_never_asked(ask, monkeypatch, port):
    ask("right")
    monkeypatch.setattr(published, "ADDRESS", f"http://localhost:{port}/right/")
    with pytest.raises(ParameterError, match="is not https"):
        fetch(NAME, overwrite=True)


@pytest.mark.parametrize("value", ["1", "yes"])
def test_offline_nothing_is_asked_and_the_line_says_which_file_to_put_where(value, ask, monkeypatch):
    monkeypatch.setenv("IMGTOOL_OFFLINE", value)
    with pytest.raises(DataError) as caught:
        ask("right")
    assert str(caught.value) == (
        f"{NAME}: IMGTOOL_OFFLINE is set, so nothing is fetched; put {published.ADDRESS}{FILE} into {cache_folder()}"
    )
    cache_folder().mkdir()
    (cache_folder() / FILE).write_bytes(CONTENT)  # as the line said
    assert ask("right") == cache_folder() / FILE
    assert published.check(NAME) == DIGEST


def test_no_network_ends_in_the_same_advice(ask, monkeypatch):
    ask("right", overwrite=True)
    shutil.rmtree(cache_folder())
    monkeypatch.setattr(published, "ADDRESS", "https://localhost:1/")
    with pytest.raises(DataError, match=f"connection refused; put https://localhost:1/{FILE} into {cache_folder()}"):
        fetch(NAME)


def test_what_pytorch_fetched_is_found(ask, tmp_path):
    place = tmp_path / "torch" / "hub" / "checkpoints"
    place.mkdir(parents=True)
    (place / FILE).write_bytes(CONTENT)
    assert ask("missing") == place / FILE
    assert published.check(NAME) == DIGEST
    (place / FILE).write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match="is not the published file"):
        published.check(NAME)


def test_a_changed_bit_is_found_by_the_record_and_by_the_name(ask):
    path = ask("right")
    path.write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(DataError, match="is not the published file"):
        published.check(NAME)
    path.write_bytes(CONTENT)
    record = path.with_name(f"{FILE}.json")
    stored = json.loads(record.read_text())
    record.write_text(json.dumps({**stored, "sha256": DIGEST[:8] + "0" * 56}))
    with pytest.raises(DataError, match="is not the published file"):
        published.check(NAME)
    for odd in ("", "[]", "{}", json.dumps({**stored, "bytes": 1}), json.dumps({**stored, "sha256": 5})):
        record.write_text(odd)
        assert published.recorded_digest(path) is None
        assert published.check(NAME) == DIGEST


def test_F25_the_advice_to_fetch_works(ask, run):
    with pytest.raises(DataError) as caught:
        published.locate(NAME)
    assert explain(caught.value).endswith("imgtool models fetch gets them")
    with pytest.raises(DataError):
        ask("missing")
    published.ADDRESS = published.ADDRESS.replace("/missing/", "/right/")
    done = run("models", "fetch", NAME)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{NAME}: {published.locate(NAME)}, 0.0 MB\n"
    published.locate(NAME).write_bytes(b"damaged")
    done = run("models", "verify", NAME)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.endswith("imgtool models fetch --force gets it anew\n")
    assert run("models", "fetch", NAME).status == 0  # is here, whatever it is
    assert run("models", "fetch", "--force", NAME).status == 0
    assert published.check(NAME) == DIGEST


def test_a_place_that_cannot_be_written_to_is_one_line(ask, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be written"):
        ask("right")


def test_an_unknown_name_says_which_there_are(ask):
    with pytest.raises(ParameterError, match="did you mean alexnet@imagenet"):
        fetch("alexnet@imagnet")


def test_the_table_names_files_by_their_hashes_and_architectures_that_are_here():
    from imgtool.networks.catalogue import CATALOGUE

    assert len({each.file for each in PUBLISHED.values()}) == len(PUBLISHED)
    for name, each in PUBLISHED.items():
        assert len(each.digits) == 8
        own = CATALOGUE[name.partition("@")[0]]
        network = own.declare(1000, own.parameters, own.preprocessing)
        numbers = network.parameters()
        assert each.megabytes * (1 << 20) == pytest.approx(4 * numbers, rel=0.02 if numbers > 5e6 else 0.05)
        assert 50 < each.top1 < each.top5 < 100
