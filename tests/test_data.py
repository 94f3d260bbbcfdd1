"""The data sets: what is said of them is true, and those that are fetched arrive whole or not at all."""

import csv
import gzip
import hashlib
import http.server
import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bayescale import data, models
from bayescale.data.convert import CONVERSIONS, besiroglu2024, bnsl2022, llama3

EMBEDDED = [name for name in data.names() if data.describe(name)["embedded"]]
ELSEWHERE = [name for name in data.names() if not data.describe(name)["embedded"]]
RUNS = [name for name in EMBEDDED if data.describe(name)["kind"] != "table"]
FACTS = ("title", "file", "source", "licence", "url", "units", "steps", "rows", "sha256", "columns")

# A study with the form of a published file that this project may not redistribute, and made-up numbers.
PUBLISHED = (
    "x,y,color,Model Size,Training FLOP,hex_color,loss\n"
    + "".join(f"1,2,#fff,{1e8 * (i + 1)},{6e18 * (i + 1)},#fff,{3 - i / 8}\n" for i in range(7))
).encode()
TABLE = besiroglu2024(PUBLISHED.decode()).encode()


def rows_of(file: Path) -> list[list[str]]:
    content = file.read_bytes()
    text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
    return list(csv.reader(io.StringIO(text), strict=True))


@pytest.mark.parametrize("name", data.names())
def test_an_entry_says_where_a_table_comes_from(name):
    entry = data.describe(name)
    for fact in FACTS:
        assert entry[fact], fact
    assert entry["url"].startswith("https://")
    assert entry["kind"] in ("loss", "success", "table")
    assert entry["kind"] == "table" or entry["response"] in entry["columns"]
    for factor in entry.get("factors", []):
        assert factor in entry["columns"]
    for column in entry.get("names", {}).values():
        assert column in entry["columns"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_table_is_the_one_described(name):
    entry = data.describe(name)
    file = data.path(name)
    assert data.sha256(file) == entry["sha256"]
    header, *rows = rows_of(file)
    assert header == list(entry["columns"])
    assert len(rows) == entry["rows"]
    assert {len(row) for row in rows} == {len(header)}
    assert "none" not in entry["licence"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_table_that_is_fetched_names_a_commit_and_a_hash(name):
    entry = data.describe(name)
    assert not (Path(data.__file__).parent / entry["file"]).exists()
    assert entry["fetch"] == ("raw" in entry) == ("why" not in entry)
    if entry["fetch"]:
        assert entry["raw"]["url"].startswith("https://")
        assert any(len(part) == 40 for part in entry["raw"]["url"].split("/"))
        assert len(entry["raw"]["sha256"]) == 64
        assert entry["raw"]["convert"] in CONVERSIONS


@pytest.mark.parametrize("name", RUNS)
def test_an_embedded_table_of_runs_loads(name):
    entry = data.describe(name)
    runs = data.load(name)
    assert 0 < len(runs) <= entry["rows"]
    assert runs.kind == entry["kind"]
    for factor in entry["factors"]:
        assert factor in runs.levels


def test_options_replace_what_is_suggested():
    everything = data.load("muennighoff2023_repeated", where=None)
    assert len(data.load("muennighoff2023_repeated")) == 182
    assert len(everything) == 308


def test_a_table_of_numbers_is_not_loaded_as_runs():
    with pytest.raises(ValueError, match=r"published_fits is no table of runs.*published_fits\.csv"):
        data.load("published_fits")


def test_what_there_is_can_be_listed_without_jax():
    script = "import sys; from bayescale import data; data.names(); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_constants_of_papers_give_the_losses_that_papers_give():
    # Besiroglu et al. 2024 of 1e9 parameters and 2e10 tokens, written out; Kaplan et al. 2020, equation 1.5.
    chinchilla, kaplan = models.load("chinchilla"), models.load("kaplan")
    said = data.constants("besiroglu2024", chinchilla)
    by_hand = 1.81686 + 482.00572 * 1e9**-0.34781 + 2085.4342 * 2e10**-0.36585
    assert float(chinchilla({"N": 1e9, "D": 2e10}, said)) == pytest.approx(by_hand, rel=1e-5)
    said = data.constants("kaplan2020_LND", kaplan)
    by_hand = ((6.4e13 / 1e9) ** (0.076 / 0.103) + 1.8e13 / 2e10) ** 0.103
    assert float(kaplan({"N": 1e9, "D": 2e10}, said)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "law", "message"),
    [
        (
            "besiroglu",
            "chinchilla",
            "no published fit 'besiroglu' of law chinchilla; there are hoffmann2022, ",
        ),
        (
            "kaplan2020_LN",
            "kaplan",
            "no published fit 'kaplan2020_LN' of law kaplan; there are kaplan2020_LND",
        ),
        ("besiroglu2024", "coupled", "of law coupled; of that law none is known"),
    ],
)
def test_constants_that_are_not_known_are_refused(name, law, message):
    with pytest.raises(ValueError, match=message):
        data.constants(name, models.load(law))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="no data set 'chinchila'; there are pile_families_2023, "):
        data.describe("chinchila")
    with pytest.raises(KeyError, match="no data set 'chinchila'"):
        data.path("chinchila")


def test_a_description_is_a_copy():
    data.describe("pile_families_2023")["columns"].clear()
    assert data.describe("pile_families_2023")["columns"]


def test_a_table_that_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="bayescale data fetch besiroglu2024_chinchilla"):
        data.path("besiroglu2024_chinchilla")
    with pytest.raises(FileNotFoundError, match="cannot be fetched"):
        data.path("marin2026_isoflop")


def test_the_folder_is_the_users_cache_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv("BAYESCALE_DATA", raising=False)
    assert data.folder().name == "bayescale"
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path))
    assert data.folder() == tmp_path


def test_a_changed_table_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path))
    (tmp_path / "loss_besiroglu2024_chinchilla.csv").write_text("params,loss\n1,2\n")
    with pytest.raises(ValueError, match="is not the table that bayescale describes"):
        data.path("besiroglu2024_chinchilla")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The name of a study whose published file and table are those above, and an empty folder for it."""
    entry = data.describe("besiroglu2024_chinchilla")
    entry["raw"] |= {"sha256": hashlib.sha256(PUBLISHED).hexdigest()}
    entry |= {"sha256": hashlib.sha256(TABLE).hexdigest()}
    monkeypatch.setattr(data, "_register", lambda: {"study": entry})
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / entry["file"]


def giving(content: bytes, calls: list | None = None):
    def download(url, file, pooch):
        if calls is not None:
            calls.append(url)
        Path(file).write_bytes(content)

    return download


def test_fetch_converts_checks_and_keeps(study):
    calls = []
    assert data.fetch("study", download=giving(PUBLISHED, calls)) == study
    assert study.read_bytes() == TABLE
    assert data.path("study") == study
    # The second time nothing is downloaded, and nothing but the table is left.
    assert data.fetch("study", download=giving(b"", calls)) == study
    assert len(calls) == 1
    assert list(study.parent.iterdir()) == [study]


def test_fetch_replaces_a_table_that_rotted(study):
    study.parent.mkdir()
    study.write_bytes(TABLE[:-10])
    data.fetch("study", download=giving(PUBLISHED))
    assert study.read_bytes() == TABLE


@pytest.mark.parametrize("content", [PUBLISHED[:-20], PUBLISHED + b"\n", b"", b"<html>moved</html>"])
def test_another_content_is_refused_and_not_kept(study, content):
    with pytest.raises(ValueError, match="is not the published file"):
        data.fetch("study", download=giving(content))
    assert list(study.parent.iterdir()) == []


def test_a_table_that_comes_out_otherwise_is_refused(study):
    data._register()["study"]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match="gives a table with sha256"):
        data.fetch("study", download=giving(PUBLISHED))
    assert list(study.parent.iterdir()) == []


def test_without_a_network_one_line_says_what_to_do(study):
    import requests

    def download(url, file, pooch):
        Path(file).write_bytes(PUBLISHED[:100])
        raise requests.ConnectionError("name resolution failed")

    expected = r"could not be fetched from https://.*\(ConnectionError\).*BAYESCALE_DATA"
    with pytest.raises(OSError, match=expected) as told:
        data.fetch("study", download=download)
    assert "\n" not in str(told.value)
    assert list(study.parent.iterdir()) == []


def test_an_address_without_https_is_refused(study):
    data._register()["study"]["raw"]["url"] = "http://example.org/table.csv"
    with pytest.raises(ValueError, match="no https address"):
        data.fetch("study", download=giving(PUBLISHED))


def test_a_table_without_a_known_hash_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"cannot be fetched: .*loss_vocab2024\.csv.*put it into"):
        data.fetch("vocab2024")


def test_an_embedded_table_is_there_already():
    assert data.fetch("pile_families_2023") == data.path("pile_families_2023")


@pytest.mark.parametrize("name", ["../study", "/etc/passwd", "study/../../x", "..", "", "a\0b"])
def test_no_name_leads_out_of_the_folder(study, name):
    """Names are those of the register, and their files lie in the folder itself."""
    for ask in (data.path, data.load, lambda name: data.fetch(name, download=giving(PUBLISHED))):
        with pytest.raises((ValueError, KeyError), match="no data set"):
            ask(name)
    assert not study.parent.exists()


def test_files_of_the_register_lie_in_the_folder():
    for name in data.names():
        file = data.describe(name)["file"]
        assert Path(file).name == file


def test_a_folder_that_cannot_be_written_says_so(study):
    study.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot be written .*; set BAYESCALE_DATA"):
        data.fetch("study", download=giving(PUBLISHED))


@pytest.fixture
def server(tmp_path):
    """A server on this machine: /table gives the published file, anything else is not found."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/table" else 404)
            self.end_headers()
            self.wfile.write(PUBLISHED if self.path == "/table" else b"no")

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_fetch_over_http(study, server):
    import pooch

    def from_here(path):
        return lambda url, file, asker: pooch.HTTPDownloader()(server + path, file, asker)

    with pytest.raises(OSError, match=r"\(HTTP 404\)"):
        data.fetch("study", download=from_here("/nothing"))
    assert list(study.parent.iterdir()) == []
    assert data.fetch("study", download=from_here("/table")).read_bytes() == TABLE


def test_besiroglu_marks_the_five_worst_and_derives_the_tokens():
    header, *rows = csv.reader(io.StringIO(TABLE.decode()))
    assert header == list(data.describe("besiroglu2024_chinchilla")["columns"])
    assert [row[-1] for row in rows] == ["0"] * 5 + ["1"] * 2
    assert rows[0] == [
        "besiroglu2024_chinchilla",
        "massivetext",
        "bes_000",
        "1e+08",
        "1e+10",
        "6e+18",
        "3",
        "0",
    ]


def test_llama3_keeps_the_losses_of_the_figure_in_order():
    raw = "condition,tokens,params,budget,loss\n"
    raw += "raw_loss,2e9,5e8,6e18,.9\nraw_loss,4e9,2.5e8,6e18,.8\nexp_loss,2e9,5e8,6e18,2.4\n"
    assert llama3(raw).splitlines()[1:] == [
        "llama3_2024,llama3,l3_001,2.5e+08,4e+09,6e+18,0.8",
        "llama3_2024,llama3,l3_000,5e+08,2e+09,6e+18,0.9",
    ]


def test_bnsl_reads_the_two_lists():
    raw = "x = np.array([160,  192,  \n  256])\ny = np.array([2.5, 2.25, \n 2.0])\n"
    assert bnsl2022(raw).splitlines()[-1] == "bnsl2022_addition,addition4,256,2.0,fit"


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_another_file_is_not_converted(convert):
    with pytest.raises(ValueError, match="it is not the one described"):
        convert("a,b\n1,2\n")
