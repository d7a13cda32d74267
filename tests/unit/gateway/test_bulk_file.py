"""
Files of messages: what is read from them, and what is refused.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from common.errors import SettingsError
from gateway.bulk_file import Line, read, write_report


def made(folder: Path, content: str | bytes, name: str = "spring.csv") -> Path:
    """
    Write a file and return its path.
    """
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def told(lines: list[Line]) -> list[tuple[int, str, str]]:
    """
    Return line, chat and text of what was read.
    """
    return [(line.number, line.message.chat_id, line.message.text) for line in lines]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("chat_id,text\nc1,Привет\nc2,Hello", "a.csv"),
        ("chat_id;text\r\nc1;Привет\r\nc2;Hello\r\n", "a.csv"),
        ("chat_id\ttext\nc1\tПривет\nc2\tHello\n", "a.txt"),
        ("\ufeffchat_id,text\nc1,Привет\nc2,Hello\n", "a.csv"),
        ("chat_id;text\nc1;Привет\nc2;Hello\n".encode("cp1251"), "a.csv"),
        ("text, chat_id\nПривет,c1\nHello,c2\n", "a.csv"),
    ],
)
def test_whatever_a_spreadsheet_writes_is_read(tmp_path: Path, content: str | bytes, name: str) -> None:
    """
    Comma, semicolon or tab, with a mark at the beginning or without, in UTF-8 or Windows-1251, columns in any order.
    """
    assert told(read(made(tmp_path, content, name))) == [(2, "c1", "Привет"), (3, "c2", "Hello")]


def test_json_lines_are_read(tmp_path: Path) -> None:
    """
    One object a line; empty lines do not count.
    """
    content = (
        '{"chat_id":"c1","text":"a"}\n\n{"chat_id":"c2","text":"b","priority":"interactive","send_at":4102444800}\n'
    )

    lines = read(made(tmp_path, content.replace("4102444800", "1795600000"), "a.jsonl"))

    assert told(lines) == [(1, "c1", "a"), (3, "c2", "b")]
    assert ("interactive", 1795600000) == (lines[1].message.priority, lines[1].message.send_at)


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        ("", "a.csv", "the column chat_id is missing"),
        ("chat_id\nc1\n", "a.csv", "the column text is missing"),
        ("chat_id,text,colour\nc1,a,red\n", "a.csv", "the column 'colour' is not known"),
        ("chat_id,text\n", "a.csv", "there is no message in it"),
        ("chat_id,text\nc1,a\n,b\n", "a.csv", "line 3, chat_id: Field required"),
        ("chat_id,text\nc1,a\nc1,\n", "a.csv", "line 3, text: Field required"),
        (f"chat_id,text\nc1,{'x' * 1001}\n", "a.csv", "line 2, text: String should have at most 1000 characters"),
        ("chat_id,text\nc1,a,b\n", "a.csv", "line 2: there are more fields than columns"),
        ("chat_id,text,priority\nc1,a,soon\n", "a.csv", "line 2, priority: Input should be 'interactive' or 'bulk'"),
        ("chat_id,text,send_at\nc1,a,tomorrow\n", "a.csv", "line 2, send_at: This must be ISO 8601"),
        ("chat_id,text,key\nc1,a,\x07\n", "a.csv", "line 2, key: This must not contain control characters."),
        ("[1]\n", "a.jsonl", "line 1: this is no JSON object"),
        ("{\n", "a.jsonl", "line 1: this is no JSON object"),
        ('{"chat_id":"c1","text":"a","colour":1}\n', "a.jsonl", "line 1, colour: Extra inputs are not permitted"),
    ],
)
def test_a_file_with_a_fault_is_refused_whole(tmp_path: Path, content: str, name: str, problem: str) -> None:
    """
    The line and the column are named.
    """
    with pytest.raises(SettingsError) as refused:
        read(made(tmp_path, content, name))

    assert problem in str(refused.value)


def test_only_the_first_faults_are_listed(tmp_path: Path) -> None:
    """
    A wrong file does not flood the terminal.
    """
    with pytest.raises(SettingsError) as refused:
        read(made(tmp_path, "chat_id,text\n" + "c1,\n" * 50))

    lines = str(refused.value).splitlines()
    assert (12, "  and 40 more") == (len(lines), lines[-1])


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """
    The path and the reason.
    """
    with pytest.raises(SettingsError, match=r"nowhere\.csv: No such file"):
        read(tmp_path / "nowhere.csv")


def test_keys_are_the_same_for_the_same_messages(tmp_path: Path) -> None:
    """
    The same file goes on where it stopped, also with lines added; two equal lines are two messages.
    """
    first = read(made(tmp_path, "chat_id,text\nc1,a\nc1,a\nc2,b\n"))
    longer = read(made(tmp_path, "chat_id,text\nc0,new\nc1,a\nc1,a\nc2,b\n"))

    assert [line.key for line in first] == [line.key for line in longer[1:]]
    assert 4 == len({line.key for line in longer})


def test_another_batch_is_sent_anew(tmp_path: Path) -> None:
    """
    The file's name tells batches apart, or the name given; a key of one's own stays.
    """
    content = "chat_id,text,key\nc1,a,\nc1,b,mine\n"
    named = [
        [line.key for line in read(made(tmp_path, content))],
        [line.key for line in read(made(tmp_path, content, "summer.csv"))],
        [line.key for line in read(made(tmp_path, content), "again")],
    ]

    assert 3 == len({keys[0] for keys in named})
    assert {"mine"} == {keys[1] for keys in named}


def test_a_report_is_a_file_to_send(tmp_path: Path) -> None:
    """
    What failed can be mended in the report and sent from it.
    """
    (line,) = read(made(tmp_path, 'chat_id,text\nc1,"two\nlines"\n'))
    path = tmp_path / "spring.report.csv"

    write_report(path, {line: ("failed", "404: Not found")})

    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert ("3", "failed", "404: Not found") == (row["line"], row["status"], row["detail"])
    assert [line.message] == [again.message for again in read(path)]
