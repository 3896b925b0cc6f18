"""Pages for people: a form filled in with MechanicalSoup, a scraper with BeautifulSoup."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from tests.clients.harness import WHY, Carry, exchanges, files_with, record_then_replay
from tests.support.servers import RawServer, Request, answer, responder

bs4 = pytest.importorskip("bs4", reason=WHY)

USER, PASSWORD, TICKET = "alfa", "example-form-password", "example-session-ticket"
FORM = """<html><body><form action="/login" method="post" id="login">
<input name="username"><input name="password" type="password">
<input type="hidden" name="csrf" value="c1"><input type="checkbox" name="keep" value="yes">
<select name="language"><option value="en">English<option value="et" selected>Eesti</select>
<input type="file" name="photo"><button name="go" value="1">Log in</button></form></body></html>"""
LAST = 5


def page(text: str, *headers: tuple[str, str], status: int = 200) -> bytes:
    fields = [("Content-Type", "text/html; charset=utf-8"), *headers]
    return answer(status, text.encode(), headers=fields)


def logged_in(request: Request) -> bool:
    jar = SimpleCookie(request.header("Cookie") or "")
    return "ticket" in jar and jar["ticket"].value == TICKET


def login(request: Request) -> bytes:
    form = parse_qs(request.body.decode())
    if form["username"] != [USER] or form["password"] != [PASSWORD]:
        return page("<p class='error'>Wrong name or password</p>", status=403)
    ticket = ("Set-Cookie", f"ticket={TICKET}; Path=/; HttpOnly")
    kept = ("Set-Cookie", f"keep={form.get('keep', ['no'])[0]}; Path=/")
    return page("", ticket, kept, ("Location", "/account"), status=302)


def account(request: Request) -> bytes:
    if not logged_in(request):
        return page("", ("Location", "/form"), status=302)
    return page("<title>Account</title><p id='balance'>70.25 €</p><a href='/out'>Log out</a>")


def listing(request: Request) -> bytes:
    number = int(parse_qs(urlsplit(request.target).query).get("page", ["1"])[0])
    rows = "".join(f"<tr><td>S{number}{n}</td><td>{number}.{n}</td></tr>" for n in range(3))
    following = f"<a rel='next' href='?page={number + 1}'>next</a>" if number < LAST else ""
    return page(f"<meta charset='utf-8'><table>{rows}</table>{following}")


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/form": page(FORM),
        "/login": login,
        "/account": account,
        "/out": page("Bye", ("Set-Cookie", "ticket=; Path=/; Max-Age=0")),
        "/list": listing,
    }
    with RawServer(responder(routes)) as running:
        yield running


def test_a_login_through_a_form(server: RawServer, tmp_path: Path, way: str) -> None:
    mechanicalsoup = pytest.importorskip("mechanicalsoup", reason=WHY)

    def log_in(browser: Any, password: str) -> Any:
        browser.open(f"{server.url}/form")
        browser.select_form("#login")
        browser["username"] = USER
        browser["password"] = password
        browser["keep"] = True
        made = browser.submit_selected()
        return made.status_code, browser.url, made.text

    def work(carry: Carry) -> Any:
        with mechanicalsoup.StatefulBrowser(soup_config={"features": "html.parser"}) as browser:
            carry(browser.session)
            browser.open(f"{server.url}/account")
            seen = [browser.url, log_in(browser, "wrong"), log_in(browser, PASSWORD)]
            seen.append([cookie.name for cookie in browser.session.cookies])
            seen.append(browser.page.select_one("#balance").text)
            browser.follow_link("out")
            seen.append((browser.page.text, len(browser.session.cookies)))
        return seen

    result = record_then_replay(tmp_path, server, work, way=way)
    assert result[0] == f"{server.url}/form"
    assert result[1][0] == 403
    assert result[2][:2] == (200, f"{server.url}/account")
    assert result[4] == "70.25 €"
    assert result[5] == ("Bye", 1)
    assert any(PASSWORD.encode() in request.body for request in server.requests)
    for secret in (PASSWORD, TICKET):
        assert files_with(tmp_path, secret) == []


def test_a_file_sent_with_a_form(server: RawServer, tmp_path: Path, way: str) -> None:
    # A multipart boundary is drawn anew each time.
    mechanicalsoup = pytest.importorskip("mechanicalsoup", reason=WHY)
    photo = tmp_path / "photo"
    photo.write_bytes(bytes(range(256)))
    form = FORM.replace("<form ", "<form enctype='multipart/form-data' ").replace("login", "echo")

    def work(carry: Carry) -> Any:
        with mechanicalsoup.StatefulBrowser(soup_config={"features": "html.parser"}) as browser:
            carry(browser.session)
            browser.open(f"{echo.url}/form")
            browser.select_form("#echo")
            browser["password"] = PASSWORD
            with photo.open("rb") as file:
                browser["photo"] = file
                return browser.submit_selected().text

    routes: dict[str, Any] = {
        "/form": page(form),
        "/echo": lambda r: page(str(bytes(range(256)) in r.body)),
    }
    with RawServer(responder(routes)) as echo:
        assert record_then_replay(tmp_path / "root", echo, work, way=way) == "True"
    assert files_with(tmp_path / "root", PASSWORD) == []


def scrape(web: requests.Session, url: str | None) -> list[tuple[str, str]]:
    """Return the rows of all pages, from one to the next."""
    rows = []
    while url is not None:
        soup = bs4.BeautifulSoup(web.get(url, timeout=10).content, "html.parser")
        for row in soup.select("tr"):
            symbol, close = (cell.text for cell in row.select("td"))
            rows.append((symbol, close))
        following = soup.select_one("a[rel=next]")
        url = urljoin(url, following["href"]) if following else None
    return rows


def test_a_scraper_from_page_to_page(server: RawServer, tmp_path: Path, way: str) -> None:
    def work(carry: Carry) -> Any:
        with requests.Session() as web:
            carry(web)
            return scrape(web, f"{server.url}/list")

    rows = record_then_replay(tmp_path, server, work, way=way)
    assert len(rows) == 3 * LAST
    assert rows[-1] == ("S52", "5.2")
    assert len(exchanges(tmp_path)) == LAST
    assert server.connections == 2
