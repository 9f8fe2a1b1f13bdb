"""SARIF: valid, with all that code scanning needs, within its limits, and stable."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import jsonschema
import pytest
import sarif_pydantic

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import sarif
from pytest_maskcheck.results import Audit, Verdict
from tests.reports.exported import HOSTILE, LEFT_OUT, SOURCE, finding, refused
from tests.reports.exported import audit as audit_of

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA)


def run(*audits: Audit, shard: str = "") -> dict:
    """Return the run in the SARIF of audits, which is valid and which another program reads."""
    log = json.loads(sarif.encode(audits, shard))
    VALIDATOR.validate(log)
    assert len(sarif_pydantic.Sarif.model_validate(log).runs[0].results) == len(log["runs"][0]["results"])
    return log["runs"][0]


def test_the_schema_refuses_what_is_not_sarif():
    """The schema that the other tests validate with is in force."""
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({"version": "2.1.0", "runs": [{"tool": {}}]})


def test_a_result_has_what_github_needs(tmp_path):
    """A result has its rule, level, message, four fields of a region at the line to cure, a way, related places and fingerprints."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")
    made = run(audit_of(finding(file=str(path)), file=str(path)))
    (result,) = made["results"]
    assert result["ruleId"] == "leak-lock"
    assert made["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "leak-lock"
    assert result["level"] == "error"
    assert result["message"]["text"].startswith("Leak: lock LOCK. A lock is still held: LOCK. 1 µs of a run of 1 s")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 19}
    flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [each["kinds"] for each in flow] == [
        ["acquired"],
        ["interrupted"],
        ["unwound"],
        ["left"],
        ["held"],
        ["blocks"],
    ]
    assert [each["message"]["text"] for each in result["relatedLocations"]] == [
        "Acquired here: lock LOCK.",
        "SIGINT arrives here.",
        "Whoever acquires it next waits here for ever.",
    ]
    assert result["partialFingerprints"]["primaryLocationLineHash"].endswith(":1")
    assert result["properties"]["tests"] == ["test_a.py::test"]


def test_a_rule_has_help_for_its_verdict_and_kind():
    """A rule says what the verdict means and what helps against this kind of leftover."""
    (rule,) = run(audit_of(finding()))["tool"]["driver"]["rules"]
    assert rule["name"] == "LeakLock"
    assert "still held" in rule["shortDescription"]["text"]
    assert "with lock:" in rule["help"]["text"]
    assert "with lock:" in rule["help"]["markdown"]
    assert rule["properties"]["precision"]
    assert rule["defaultConfiguration"]["level"] == "error"


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_has_a_valid_rule(verdict):
    """Findings of each verdict can be exported."""
    (result,) = run(audit_of(finding(verdict=verdict, kind=verdict)))["results"]
    assert result["ruleId"] == verdict


def test_the_worst_come_first():
    """What fails comes before what is known or listed; of each level, the most exposed first."""
    listed, mild, bad = finding("LISTED", fails=False), finding("MILD"), finding("BAD")
    made = run(audit_of(mild, bad, listed))
    assert [each["properties"]["key"] for each in made["results"]] == ["BAD", "MILD", "LISTED"]
    assert [each["level"] for each in made["results"]] == ["error", "error", "note"]


def test_a_known_defect_is_suppressed():
    """A defect of the baseline is there, as accepted."""
    digest = audit_of(finding()).defects[0].fingerprints[0].digest
    (result,) = run(audit_of(finding(), known=(digest,)))["results"]
    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "in the baseline"}]
    (result,) = run(audit_of(finding()))["results"]
    assert "suppressions" not in result


def test_a_defect_of_several_tests_is_one_result():
    """A defect has one result, however many tests meet it, and the same fingerprint whichever came first."""
    first, second = audit_of(finding(), test="a.py::first"), audit_of(finding(), test="a.py::second")
    (result,) = run(first, second)["results"]
    assert "in 2 tests" in result["message"]["text"]
    (other,) = run(second, first)["results"]
    assert other["partialFingerprints"] == result["partialFingerprints"]


def test_fingerprints_are_unique():
    """Two defects that have equal fingerprints get a number each."""
    twin = finding(category="cleanup")
    made = run(audit_of(finding(), twin))
    hashes = [each["partialFingerprints"]["primaryLocationLineHash"] for each in made["results"]]
    assert len(set(hashes)) == 2
    assert {text.partition(":")[2] for text in hashes} == {"1", "2"}


def test_what_was_not_audited_is_told():
    """Each reason is a notification with its code; an error of the audit itself makes the invocation fail."""
    invocation = run(audit_of(finding(), left_out=LEFT_OUT), refused())["invocations"][0]
    assert invocation["executionSuccessful"]
    told = {each["descriptor"]["id"]: each for each in invocation["toolExecutionNotifications"]}
    assert told["doctest"]["level"] == "warning"
    assert "1 test: doctests cannot be run twice" in told["doctest"]["message"]["text"]
    assert told["further-hit"]["properties"]["points"] == 12
    broken = Audit("test", breakdown=Reason(NotAudited.BROKE, error="OSError", where=""))
    assert not run(broken)["invocations"][0]["executionSuccessful"]


def test_no_defect_is_a_valid_file():
    """A file without results closes the alerts of a former one."""
    assert run()["results"] == run(audit_of())["results"] == []


def test_each_shard_has_its_own_category():
    """The upload of one shard must not close the alerts of another."""
    assert run(shard="1/3")["automationDetails"]["id"] == "maskcheck/1-of-3/"
    assert run()["automationDetails"]["id"] == "maskcheck/"


def test_hostile_names():
    """A name is shown as it is, but is no link and no placeholder; a path is percent-encoded."""
    path = "/nowhere/a b%\udcff\ud800#?.py"
    (result,) = run(audit_of(finding(HOSTILE), file=path))["results"]
    text = result["message"]["text"]
    assert "](1)" not in text.replace("\\](1)", "")
    assert "{{0}}" in text
    assert "<script>" in text


def test_paths_outside_are_urls(tmp_path):
    """A path that is no relative one is a URL, with characters that those have."""
    made = audit_of(finding(file=str(tmp_path / "a b.py")))
    data = json.loads(json.dumps(made.to_json()).replace('"a.py"', json.dumps(str(tmp_path / "a b.py"))))
    (result,) = run(Audit.from_json(data))["results"]
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("a%20b.py")
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("file:///")


def test_paths_are_relative_to_the_repository(tmp_path):
    """The root directory of pytest may be a folder of the repository."""
    (tmp_path / ".git").mkdir()
    place = tmp_path / "python" / "src"
    place.mkdir(parents=True)
    (place / "a.py").write_text(SOURCE, encoding="utf-8")
    (result,) = run(audit_of(finding(file=str(place / "a.py")), file=str(place / "a.py")))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "python/src/a.py"


def test_the_limits_of_github(monkeypatch):
    """More defects than code scanning takes are left out from the least bad one on, and a notification says how many."""
    monkeypatch.setattr(sarif, "_RESULTS", 3)
    made = run(audit_of(*(finding(f"L{number}") for number in range(5))))
    assert [each["properties"]["key"] for each in made["results"]] == ["L4", "L3", "L2"]
    assert "2 more defects" in made["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    whole = sarif.encode([audit_of(*(finding(f"L{number}") for number in range(3)))], "")
    monkeypatch.setattr(sarif, "_BYTES", len(zlib.compress(whole)) - 50)
    assert len(run(audit_of(*(finding(f"L{number}") for number in range(3))))["results"]) == 1


def test_long_ways_and_texts_are_cut(monkeypatch):
    """A deep recursion keeps both ends of its way, and a long name is cut."""
    monkeypatch.setattr(sarif, "_STAGES", 4)
    (result,) = run(audit_of(finding("x" * 5000)))["results"]
    flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [each["kinds"] for each in flow] == [["acquired"], ["interrupted"], ["held"], ["blocks"]]
    assert len(result["message"]["text"]) == 1000


TEST = """
    import threading
    import pytest

    class Pool:
        def __init__(self):
            self.lock = threading.Lock()

        def get(self):
            "ä"; self.lock.acquire()
            return self

        def put(self):
            self.lock.release()

    POOL = Pool()

    @pytest.mark.interrupt_safe
    def test_it():
        item = POOL.get()
        try:
            str(item)
        except BaseException:
            pass
        finally:
            POOL.put()
"""


def test_a_session(pytester, audit):
    """The file of a real session is valid, and has the columns of the interrupted call."""
    audit(TEST, "--maskcheck-report=sarif:out.sarif", "--maskcheck-interrupts=2", "--maskcheck-max-points=200")
    log = json.loads((pytester.path / "out.sarif").read_text(encoding="utf-8"))
    VALIDATOR.validate(log)
    sarif_pydantic.Sarif.model_validate(log)
    results = log["runs"][0]["results"]
    assert {"leak-lock", "swallowed-exception"} <= {each["ruleId"] for each in results}
    leak = next(each for each in results if each["ruleId"] == "leak-lock" and each["properties"]["category"] == "own")
    flow = leak["codeFlows"][0]["threadFlows"][0]["locations"]
    struck = next(each for each in flow if each["kinds"] == ["interrupted"])["location"]["physicalLocation"]
    region, path = struck["region"], pytester.path / struck["artifactLocation"]["uri"]
    line = path.read_text(encoding="utf-8").splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "self.lock.acquire()"
