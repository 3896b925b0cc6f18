"""Libraries that connect without Python's sockets, so that nobody here sees where to.

Loads nothing: it is read as a process starts.
"""

from __future__ import annotations

# Module → what connects in its place. Only those that are there for that: many more can (pyarrow,
# duckdb, polars, GDAL).
NATIVE = {
    "MySQLdb": "libmysqlclient",
    "PyQt5.QtNetwork": "Qt",
    "PyQt6.QtNetwork": "Qt",
    "PySide2.QtNetwork": "Qt",
    "PySide6.QtNetwork": "Qt",
    "_mysql_connector": "libmysqlclient",
    "clr": "the .NET runtime",
    "confluent_kafka": "librdkafka",
    "curl_cffi": "libcurl",
    "cx_Oracle": "the Oracle client",
    "grpc": "gRPC's C core",
    "hf_xet": "Rust's reqwest",
    "hrequests": "Go's net/http",
    "ibm_db": "the Db2 client",
    "jpype": "a Java machine",
    "libtorrent": "libtorrent",
    "obstore": "Rust's object_store",
    "primp": "Rust's reqwest",
    "psycopg": "libpq",
    "psycopg2": "libpq",
    "pycurl": "libcurl",
    "pygit2": "libgit2",
    "pymssql": "FreeTDS",
    "pyodbc": "an ODBC driver",
    "pyreqwest": "Rust's reqwest",
    "rloop": "Rust's mio",
    "rnet": "Rust's reqwest",
    "ssh2": "libssh2",
    "tls_client": "Go's net/http",
    "uvloop": "libuv",
    "wreq": "Rust's reqwest",
    "zmq": "libzmq",
}
_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")
# Of those that are there to ask servers: by what of theirs a program connects. Replay refuses that,
# or the import, where a library has none of it. Runtimes and queues are let be: most of what
# programs do with them stays on the machine.
USES = {
    "MySQLdb": ("connect", "Connect", "Connection"),
    "_mysql_connector": ("MySQL",),
    "confluent_kafka": ("Consumer", "Producer", "admin.AdminClient"),
    "curl_cffi": ("curl.Curl.perform", "aio.AsyncCurl.add_handle"),
    "cx_Oracle": ("connect", "Connection", "SessionPool"),
    "grpc": ("insecure_channel", "secure_channel", "aio.insecure_channel", "aio.secure_channel"),
    "hf_xet": ("download_files", "upload_bytes", "upload_files"),
    "hrequests": ("Session", "TLSSession", *_VERBS),
    "ibm_db": ("connect", "pconnect"),
    "primp": ("AsyncClient", "Client", *_VERBS),
    "psycopg": ("AsyncConnection.connect", "Connection.connect", "connect"),
    "psycopg2": ("connect",),
    "pycurl": ("Curl", "CurlMulti"),
    "pymssql": ("connect",),
    "pyodbc": ("connect",),
    "pyreqwest": (),
    "rnet": ("BlockingClient", "Client", *_VERBS, "websocket"),
    "tls_client": ("Session",),
    "uvloop": ("Loop.create_connection", "Loop.create_datagram_endpoint", "Loop.sock_connect"),
    "wreq": ("BlockingClient", "Client", *_VERBS, "websocket"),
}

# Of those, what an archive has loaded for itself, and the program had not: what goes through it is
# no call of the program's.
own: set[str] = set()
