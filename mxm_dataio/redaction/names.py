"""Which names carry secrets, and which values give away that theirs is one.

Pure, and of names and values alone. A name is secret if it is listed, or by its words: it is
split at case, digits and whatever is no letter (``user[newPassword]`` → user, new, password),
and a word like ``password``, or a pair like ``api key``, makes it secret, unless what stands
around it says that it is about one (``password_policy``) or that it is data of that name.

**Data of that name.** What is redacted does not count in an identity: a page's token taken for a
secret would make one call of all pages. So ``token`` counts with the words of paging, of coins
and of language models before it as data, and with most words behind it; ``key`` is data but
behind words that make it a secret one.

**By value.** Some names are an identifier in one service and the key in the next (``key``,
``appid``, ``session_id``): secret where the value looks drawn by lot.
"""

from __future__ import annotations

from collections.abc import Collection

from ..patterns import regex
from .values import is_data

SECRET_HEADERS = frozenset(
    """
    api-key api-sign apikey authentication-info authorization bf-access-sign cb-access-sign cookie
    cookie2 cst grpc-metadata-macaroon kc-api-sign key macaroon mcp-session-id
    ocp-apim-subscription-key ok-access-passphrase ok-access-sign
    private-token proxy-authentication-info proxy-authorization set-cookie set-cookie2
    x-access-token x-amz-security-token x-amz-signature x-api-key x-api-keys x-apikey x-auth
    x-auth-token x-bapi-sign
    x-csrf-token x-goog-api-key x-ha-access x-jfrog-art-api x-key x-ms-authorization-auxiliary
    x-session x-session-id x-shopify-access-token x-token x-transmission-session-id x-vault-token
    x-xsrf-token
    """.split()  # noqa: SIM905 - a table reads better than a list
)
SECRET_NAMES = frozenset(
    """
    __gda__ access_key access_token accesskey accesskeyid accesstoken api-key api_key api_secret
    api_token apikey apisecret apitoken app_key appkey assertion auth_token authorization
    authorization_code authtoken awsaccesskeyid client_assertion client_secret clientsecret
    code_verifier crumb device_code googleaccessid hdnea hdntl hdnts id_token jsessionid jwt
    key-pair-id oauth_nonce oauth_signature oauth_timestamp oauth_token ossaccesskeyid pass
    passphrase passwd password phpsessid private_key pwd q-ak q-key-time q-sign-time q-signature
    refresh_token samlresponse secret secret_key secretkey security-token session_token sessionid
    sig signature signature_nonce signaturenonce subscription-key token userpass x-amz-credential
    x-amz-date x-amz-security-token x-amz-signature x-goog-credential x-goog-date
    x-goog-signature x-oss-credential x-oss-date x-oss-signature
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# Under these some services have what is no secret: a coin, a page.
DATA_NAMES = frozenset(["crumb", "signature", "token"])
_PASSING = frozenset(
    """
    assertion client_assertion code_verifier oauth_nonce oauth_signature oauth_timestamp
    q-key-time q-sign-time q-signature sig signature signature_nonce signaturenonce
    x-amz-credential x-amz-date x-amz-signature x-goog-credential x-goog-date x-goog-signature
    x-oss-credential x-oss-date x-oss-signature
    """.split()  # noqa: SIM905 - a table reads better than a list
)
_PASSING_END = regex(r"(?:assertion|nonce|otp|sign|signature|[-_]sig)\Z")


def is_named_data(name: object, value: object) -> bool:
    """Say whether a decoded parameter is data under the name of a secret."""
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    return name.lower() in DATA_NAMES and is_data(value)


def is_passing(name: str) -> bool:
    """Say whether values under a name are made anew for each call, and worth nothing behind it.

    Args:
        name: in lower case.
    """
    return name in _PASSING or _PASSING_END.search(name) is not None


# -- by words --------------------------------------------------------------------------------

# Every name that is secret by its words has one of these in it, in lower case.
STEMS = (
    "key", "token", "pass", "secret", "sig", "auth", "pwd", "jwt", "otp", "credential",
    "assertion", "kennwort", "pswd",
)  # fmt: skip
_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Words within words: ``newpassword``, ``rapidapikey``, ``csrfmiddlewaretoken``.
_GLUED = regex(
    r"password|passwd|passphrase|passcode|passwort|pwd"
    r"|secret(?!ar|e|ion|ive|ly|or)"
    r"|(?:access|account|api|app|auth|client|consumer|developer|licen[cs]e|master|private"
    r"|registration|secret|service|session|signing|subscription|user)(?=key)"
    r"|(?:access|api|app|auth|authenticity|bearer|bot|client|csrf|id|jwt|login|middleware|refresh"
    r"|security|session|user|verification|xsrf)(?=token)"
)
_INDEX = regex(r"\[[0-9]*\]")
_LONGEST = 512
# Secret, whatever they stand behind.
_PASSWORDS = frozenset(
    """
    kennwort passcode passphrase passwd password passwords passwort pswd pwd secret secrets
    """.split()  # noqa: SIM905
)
# Secret, with none but the words of :data:`_STILL` behind them.
_ALONE = frozenset(
    ["assertion", "authorization", "credential", "jwt", "otp", "sig", "signature", "totp"]
)
# A ``pass`` behind these is a password, and ``pass`` before these.
_PASS_OF = frozenset(
    """
    account admin api app auth basic cert client confirm current database db email ftp http imap
    key keystore ldap login mail me mqtt my mysql new old pg proxy redis repeat root server sftp
    smtp ssh store sudo user web wifi
    """.split()  # noqa: SIM905
)
_PASS = frozenset(["code", "confirm", "confirmation", "hash", "key", "phrase", "word"])
# A ``key`` behind these is one that opens something.
_KEY_OF = frozenset(
    """
    access admin api app application auth authentication authorization consumer decryption dev
    developer encryption function functions hmac licence license master private rsa secret signing
    ssh storage subscription webhook
    """.split()  # noqa: SIM905
)
# Behind these it may be a number as well, and its value tells.
_PERHAPS_KEY_OF = frozenset(
    """
    account client integration login merchant partner registration server service session shared
    user
    """.split()  # noqa: SIM905
)
# A ``token`` behind these is data: a place in a list, a coin, a piece of text.
_NO_SECRET_TOKEN = frozenset(
    """
    after base before bid ask bos burn buy change changes cls collateral contract count delta dest
    destination dst end ending eos erc fee first from gas in input last list lp mask max min mint
    native next nft num of offset out output pad pair per pool position prev previous quote
    resume resumption reward sell sep skip special src stake staked start starting stop target to
    total underlying unk watermark wrapped
    """.split()  # noqa: SIM905
)
_PAGING = frozenset(
    ["continuation", "cursor", "page", "pages", "pagination", "paging", "scroll", "sync"]
)
# Behind a password or key, these make it a name for something about it.
_ABOUT = frozenset(
    """
    age alg algorithm allowed arn at attempts change changed check count created date disabled
    enabled error expiration expire expired expires expiry field file format hint holder
    last len length level manager max method min mode name names path policy prefix protection
    required requirements reset retries rotation rule rules scheme score set size state status
    strength time ttl type types updated uri url usage valid validity version
    """.split()  # noqa: SIM905
)
# Before one, too: what is asked is whether there is one.
_ASKING = frozenset(
    """
    allow are disable enable forgot forgotten has have include is need needs no remember require
    required requires show use uses with
    """.split()  # noqa: SIM905
)
# Behind a token and the like, these leave it one.
_STILL = frozenset(
    """
    again b base code confirm confirmation digest encoded hash hint new old plain raw str string
    text v value
    """.split()  # noqa: SIM905
)


def may_hold_secret_words(text: str) -> bool:
    """Say whether a text in lower case may have a name in it that is secret by its words."""
    return any(map(text.__contains__, STEMS))


def has_secret_word(name: str) -> bool:
    """Say whether a name, in any case and style, is one of a secret by its words."""
    return _by_words(_words(name), _KEY_OF)


def has_secret_header_word(name: str) -> bool:
    """Say the same of a header; a signature in one is that of a message, and no secret."""
    words = [word for word in _words(name) if word not in ("sig", "signature")]
    return _by_words(words, _KEY_OF)


def may_be_secret(name: str) -> bool:
    """Say whether a name is an identifier in one service and a secret in the next."""
    return name.lower() in PERHAPS_NAMES or _by_words(_words(name), _PERHAPS_KEY_OF)


def _words(name: str) -> list[str]:
    text = _INDEX.sub(" ", name[-_LONGEST:])
    if not may_hold_secret_words(text.lower()):
        return []
    if not text.isascii():
        # The lower case of some letters beyond ASCII is within it.
        text = text.lower()
    words = " ".join(_WORD.findall(text)).lower()
    return _GLUED.sub(r" \g<0> ", words).split()


def _by_words(words: list[str], key_of: Collection[str]) -> bool:
    for at, word in enumerate(words):
        # ``oauth2_token``, ``erc20_token``.
        before = next((one for one in reversed(words[:at]) if not one.isdigit()), "")
        behind = words[at + 1 :]
        if word in _PASSWORDS:
            secret = words[0] not in _ASKING and _ABOUT.isdisjoint(behind)
        elif word == "key":
            secret = before in key_of or (before.endswith("api") and key_of is _KEY_OF)
            secret = secret and _ABOUT.isdisjoint(behind)
        elif word == "token":
            secret = _is_token(words, before, behind)
        elif word == "pass":
            secret = before in _PASS_OF or bool(behind and behind[0] in _PASS)
            secret = secret and _ABOUT.isdisjoint(behind)
        else:
            secret = word in _ALONE and all(map(_leaves, behind))
        if secret:
            return True
    return False


def _is_token(words: list[str], before: str, behind: list[str]) -> bool:
    if not all(map(_leaves, behind)) or not _PAGING.isdisjoint(words):
        return False
    # ``token0`` and ``token1`` are a pair of coins.
    return before not in _NO_SECRET_TOKEN and bool(before or not (behind and behind[0].isdigit()))


def _leaves(word: str) -> bool:
    return word in _STILL or word.isdigit()


# -- by value --------------------------------------------------------------------------------

PERHAPS_NAMES = frozenset(["app_id", "appid", "auth", "session-id", "session_id", "sid", "sign"])


# -- by what stands beside it ----------------------------------------------------------------
