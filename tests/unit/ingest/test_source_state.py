"""What a session has for each of its sources."""

from __future__ import annotations

import threading

from mxm_dataio.identity.matching import Matcher
from mxm_dataio.ingest.sources import Sources, SourceState
from mxm_dataio.redaction import DEFAULT, Redaction

RULES = {"a.test": "a", "b.test": "b", "open.test": "open"}
REDACTION: dict[str, Redaction | None] = {"b": DEFAULT.adding(names=["isin"]), "open": None}
SECRET = "q7Zr91LmXw03Ty"


def parts(redaction: object = REDACTION) -> Sources:
    return Sources("own", RULES, redaction, matching=lambda _: Matcher(["nonce"]))  # type: ignore[arg-type]


def test_each_source_has_its_redaction_and_is_met_when_called() -> None:
    made = parts()
    assert [part.source for part in made] == ["own"]
    a, b, bare = (made.of(f"https://{host}/") for host in RULES)
    assert (a.redaction, bare.redaction.names) == (DEFAULT, frozenset())
    assert "isin" in b.ignore
    assert "isin" not in a.ignore
    assert "NONCE" in bare.ignore
    assert "isin" not in bare.ignore
    assert "token" not in bare.ignore
    assert made.bare == ["open"]
    assert made.of("https://a.test/else") is a
    assert made.named("b") is b
    assert made.named("") is made.named("unknown") is made.own
    assert made.of("https://c.test/") is made.own


def test_without_rules_all_is_the_sessions_own() -> None:
    made = Sources("own", {}, DEFAULT)
    assert made.of("https://a.test/") is made.own
    assert made.bare == []
    assert Sources("own", {}, None).bare == ["own"]
    assert Sources("own", {}, {"own": None, "other": None}).bare == ["own"]


def test_identity_goes_by_the_sources_redaction() -> None:
    made = parts()
    one, other = (
        made.of(url).identify("GET", f"{url}?isin=1&token=x&nonce=7")
        for url in ("https://a.test/", "https://b.test/")
    )
    assert [bytes(str(p), "ascii") for p in one.params] == [b"['isin', '1']"]
    assert other.params == []
    assert (one.source, other.source) == ("a", "b")
    assert made.of("https://open.test/").identify("GET", "https://open.test/?token=x").params


def test_what_one_source_taught_is_masked_in_the_others() -> None:
    made = parts()
    for learner in ("https://a.test/", "https://b.test/", "https://c.test/"):
        secret = f"{SECRET}{learner[8].upper()}"
        made.of(learner).secrets.url(f"{learner}?token={secret}")
        for url in ("https://a.test/", "https://b.test/", "https://c.test/"):
            assert secret not in made.of(url).secrets.url(f"{url}{secret}")
            assert secret not in made.of(url).secrets.text(f"refused {secret}")
    # One that was met later knows it too.
    later = Sources("own", RULES, REDACTION)
    later.own.secrets.url(f"https://c.test/?token={SECRET}")
    assert SECRET not in later.of("https://a.test/").secrets.url(f"https://a.test/{SECRET}")


def test_where_redaction_is_off_nothing_is_learned_and_nothing_masked() -> None:
    made = parts()
    bare = made.of("https://open.test/").secrets
    bare.url(f"https://open.test/?token={SECRET}")
    assert SECRET in made.own.secrets.url(f"https://c.test/{SECRET}")
    made.own.secrets.url(f"https://c.test/?token={SECRET}x")
    assert f"{SECRET}x" in bare.url(f"https://open.test/{SECRET}x")


def test_sources_share_secrets_where_the_sessions_own_redaction_is_off() -> None:
    made = Sources("own", RULES, {"own": None})
    made.of("https://a.test/").secrets.url(f"https://a.test/?token={SECRET}")
    assert SECRET not in made.of("https://b.test/").secrets.url(f"https://b.test/{SECRET}")
    assert SECRET in made.own.secrets.url(f"https://c.test/{SECRET}")


def test_parts_met_later_are_equipped_too_until_all_is_stripped() -> None:
    made = parts()
    seen: list[str] = []

    def equip(part: SourceState) -> None:
        seen.append(part.source)

    made.of("https://a.test/")
    made.equip(equip)
    made.of("https://b.test/")
    made.of("https://b.test/")
    assert seen == ["own", "a", "b"]
    made.strip()
    made.of("https://open.test/")
    assert seen == ["own", "a", "b"]


def test_threads_that_meet_a_source_at_once_get_one_part() -> None:
    made = parts()
    found: list[SourceState] = []
    gate = threading.Barrier(8)

    def meet() -> None:
        gate.wait()
        found.append(made.of("https://a.test/"))

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(part) for part in found}) == 1


def test_a_child_learns_though_a_thread_of_its_parent_was_about_to() -> None:
    made = parts()
    made.of("https://a.test/")
    made.own.secrets._needles._changing = True
    made.renew()
    made.of("https://a.test/").secrets.url(f"https://a.test/?token={SECRET}")
    assert SECRET not in made.own.secrets.url(f"https://c.test/{SECRET}")
