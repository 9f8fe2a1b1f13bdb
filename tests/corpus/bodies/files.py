"""Files, directories, archives and databases."""

import configparser
import csv
import dbm.dumb
import gzip
import json
import lzma
import mmap
import os
import pathlib
import pickle
import shelve
import shutil
import sqlite3
import tarfile
import tempfile
import zipfile


def test_pathlib(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", encoding="utf-8")  # (leak@back)
    assert path.read_text(encoding="utf-8").split() == ["one", "two"]  # leak@call: it has its first name  leak@back leak@into
    path.rename(tmp_path / "b.txt")  # leak@back leak@into
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.txt"]


def test_os(tmp_path):
    inner = tmp_path / "inner"
    os.makedirs(inner / "deep")
    os.replace(inner / "deep", inner / "other")
    assert [name for _, names, _ in os.walk(tmp_path) for name in names] == ["inner", "other"]
    with os.scandir(inner) as entries:  # (implicit@call)
        assert [entry.name for entry in entries] == ["other"]


def test_open(tmp_path):
    with open(tmp_path / "a", "w", encoding="ascii") as file:  # (implicit@call)
        file.write("x" * 10000)
    with open(tmp_path / "a", encoding="ascii") as file:  # (implicit@call)
        assert sum(len(line) for line in file) == 10000


def test_shutil(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 1000)
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # (leak@back)
    shutil.move(tmp_path / "b", tmp_path / "c")  # (leak@back)? leak@back leak@into
    shutil.rmtree(tmp_path / "c")  # leak@back leak@into
    assert shutil.disk_usage(tmp_path).total > 0


def test_zipfile(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:  # (implicit@call)?  (implicit@into)
        archive.writestr("member", b"content")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:  # (implicit@call)?  (implicit@into) (swallowed@back) (swallowed@into)
        assert archive.read("member") == b"content"


def test_tarfile(tmp_path):
    (tmp_path / "member").write_bytes(b"content")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:  # (implicit@back) (implicit@into)
        archive.add(tmp_path / "member", "member")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:  # (implicit@back) (implicit@into)
        assert archive.getnames() == ["member"]


def test_gzip(tmp_path):
    with gzip.open(tmp_path / "a.gz", "wt", encoding="ascii") as file:  # (implicit@back)? (implicit@into)
        file.write("content")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"content"


def test_lzma(tmp_path):
    with lzma.open(tmp_path / "a.xz", "wb") as file:  # (implicit@into)
        file.write(b"content")
    assert lzma.decompress((tmp_path / "a.xz").read_bytes()) == b"content"


def test_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"numbers": list(range(20))}), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["numbers"][-1] == 19


def test_csv(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="ascii") as file:  # (implicit@back)?
        writer = csv.DictWriter(file, ["a", "b"])
        writer.writeheader()
        writer.writerows({"a": number, "b": -number} for number in range(3))
    assert len(path.read_text(encoding="ascii").splitlines()) == 4


def test_pickle(tmp_path):
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps({"a": {1, 2}, "b": range(3)}))
    assert pickle.loads(path.read_bytes())["a"] == {1, 2}


def test_shelve(tmp_path):
    with shelve.Shelf(dbm.dumb.open(str(tmp_path / "shelf"), "c")) as shelf:  # (swallowed@back)
        shelf["key"] = [1, 2]
        assert shelf["key"] == [1, 2]


def test_mmap(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:  # (implicit@back)?
        mapped[:3] = b"abc"
        mapped.flush()
    assert path.read_bytes().startswith(b"abcx")


def test_sqlite_in_memory():
    connection = sqlite3.connect(":memory:")  # (implicit@call)
    try:
        with connection:
            connection.execute("create table t (a)")
            connection.executemany("insert into t values (?)", [(1,), (2,)])
        assert connection.execute("select sum(a) from t").fetchall() == [(3,)]
    finally:
        connection.close()


def test_sqlite_in_a_file(tmp_path):
    connection = None
    try:
        connection = sqlite3.connect(tmp_path / "a.db")  # (implicit@call)
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
        connection.commit()
        assert connection.execute("select count(*) from t").fetchone() == (1,)
    finally:
        if connection is not None:
            connection.close()


def test_temporary_file():
    with tempfile.TemporaryFile() as file:  # (implicit@back)
        file.write(b"content")
        file.seek(0)
        assert file.read() == b"content"


def test_named_temporary_file():
    with tempfile.NamedTemporaryFile() as file:  # (implicit@back) (implicit@into) (replaced@back)?
        file.write(b"content")
        file.flush()
        assert os.path.getsize(file.name) == 7


def test_spooled_temporary_file():
    with tempfile.SpooledTemporaryFile(max_size=10) as file:  # (implicit@call)?  (implicit@into)
        file.write(b"x" * 5)
        file.write(b"x" * 10)  # (implicit@back)?
        assert file.tell() == 15


def test_temporary_directory():
    with tempfile.TemporaryDirectory() as directory:  # (implicit@call)?  (implicit@back)? (implicit@into) (leak@back)?
        pathlib.Path(directory, "file").write_bytes(b"x")


def test_mkdtemp_in_tmp_path(tmp_path):
    made = None
    try:
        made = tempfile.mkdtemp(dir=tmp_path)  # (leak@back)? leak@back?
        assert os.path.isdir(made)
    finally:
        if made:
            os.rmdir(made)


def test_configparser(tmp_path):
    parser = configparser.ConfigParser()
    parser.read_string("[section]\nkey = value\n")
    with (tmp_path / "a.ini").open("w", encoding="ascii") as file:  # (implicit@back)?
        parser.write(file)
    assert configparser.ConfigParser().read(tmp_path / "a.ini") == [str(tmp_path / "a.ini")]


def test_atomic_replace(tmp_path):
    target, new = tmp_path / "a", tmp_path / "a.new"
    try:
        new.write_text("content", encoding="ascii")
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    assert target.exists()
